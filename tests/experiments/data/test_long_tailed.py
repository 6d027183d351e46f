"""Sets of one training and one test split: which images are where, for every way such a set comes."""

import numpy as np
import pytest

from experiments.config import RunConfig
from experiments.data.datasets import open_dataset
from experiments.data.long_tailed import comes_in_order, divide, targets
from experiments.data_config import DataConfig
from experiments.task import open_split, open_task
from geometry.errors import DataError, UsageError
from geometry.shots import ShotThresholds, shot_groups

TRAIN = {"a": 40, "b": 12, "c": 4, "d": 1}


@pytest.fixture
def two_splits(make_tree):
    return make_tree({"train": TRAIN, "test": dict.fromkeys(TRAIN, 3)})


def split_of(root, **given):
    return open_split(DataConfig(**{"dataset": "mine", "data": root, "setting": "natural"} | given))[:2]


def ids(split, part):
    return [split.catalogue.paths[i] for i in split.indices(part)]


def test_every_training_image_trains_and_the_whole_test_split_is_the_target(two_splits):
    split, shots = split_of(two_splits)
    assert (split.catalogue.domains, split.held_out) == (("train", "test"), "test")
    assert split.sizes == {"train": 57, "validation": 0, "source_test": 0, "target": 12, "target_unused": 0}
    assert split.table.counts.tolist() == [list(TRAIN.values())]
    assert all(path.startswith("train/") for path in ids(split, "train"))
    assert all(path.startswith("test/") for path in ids(split, "target"))
    assert shots == ShotThresholds(101, 19)
    assert split_of(two_splits, shots=(30, 4))[1] == ShotThresholds(30, 4)


@pytest.mark.parametrize("seed", [0, 5])
def test_validation_comes_from_classes_that_are_not_tiny_alone(two_splits, seed):
    split, _ = split_of(two_splits, validation=3, seed=seed)
    assert split.counts("validation")[0].tolist() == [3, 3, 0, 0]  # 4 is not more than 3 + 1
    assert split.counts("train")[0].tolist() == [37, 9, 4, 1] == split.table.counts[0].tolist()
    assert split.to_manifest()["setting_parameters"]["classes that validate"] == 2
    assert split.digest == split_of(two_splits, validation=3)[0].digest  # no seed of a run has a part in it


def test_larger_imbalance_factors_are_nested_and_take_the_first_files(make_tree):
    root = make_tree({"train": dict.fromkeys("abc", 20), "test": dict.fromkeys("abc", 2)})
    before = None
    for factor in (2, 5, 20):
        split = open_split(DataConfig(dataset="mine", data=root, imbalance_factor=factor, seed=factor))[0]
        chosen = ids(split, "train")
        expected = [int(20 * (1 / factor) ** (i / 2)) for i in range(3)]
        assert chosen == [
            f"train/{c}/{n:03d}.png" for c, most in zip("abc", expected, strict=True) for n in range(most)
        ]
        assert before is None or set(chosen) < before
        before = set(chosen)
        assert len(ids(split, "source_test")) == 60 - sum(expected)


@pytest.mark.parametrize(("given", "tested"), [(("val",), "val"), (("test", "val"), "test"), (("Test",), "Test")])
def test_the_test_folder_may_be_called_otherwise(make_tree, given, tested):
    root = make_tree({"train": {"a": 3}} | {folder: {"a": 2} for folder in given})
    data = open_dataset("mine", root)
    assert data.domains == ("train", "test")
    assert data.sizes.tolist() == [[3], [2]]
    assert data.paths[-1] == f"{tested}/a/001.png"
    assert comes_in_order(data)


def test_other_trees_stay_what_they_were(make_tree):
    data = open_dataset("mine", make_tree({"train": {"a": 1}, "test": {"a": 1}, "sketch": {"a": 1}}))
    assert data.domains == ("sketch", "test", "train")
    assert targets(data.domains) == data.domains
    assert targets(("train", "test")) == ("test",)


def test_an_image_folder_gives_a_balanced_test_split_first(make_tree):
    root = make_tree({"photo": {"cat": 30, "dog": 20, "elk": 11}}) / "photo"
    data = open_dataset("mine", root)
    assert data.domains == ("train", "test")
    assert data.sizes.tolist() == [[28, 18, 9], [2, 2, 2]]  # a fifth of 11
    assert not comes_in_order(data)
    assert all((data.root / path).is_file() for path in data.paths)
    split = open_split(DataConfig(dataset="mine", data=root, imbalance_factor=4, seed=1))[0]
    assert split.counts("train")[0].tolist() == [28, 14, 7]
    smaller = open_split(DataConfig(dataset="mine", data=root, imbalance_factor=14, seed=2))[0]
    assert set(ids(smaller, "train")) < set(ids(split, "train"))
    assert ids(smaller, "target") == ids(split, "target")
    # Neither the files' order nor that of another class has a part in what is drawn.
    assert sorted(ids(split, "train"))[:28] != [f"photo/cat/{n:03d}.png" for n in range(28)]


def test_a_class_too_small_to_divide_is_named(make_tree):
    with pytest.raises(DataError, match="1 of class 'dog'"):
        open_dataset("mine", make_tree({"photo": {"cat": 5, "dog": 1}}) / "photo")


def test_the_embedded_long_tail(digit_cache):
    split, shots = open_split(DataConfig(dataset="digits-LT"))[:2]
    assert split.catalogue.name == "digits-LT"
    assert split.counts("target")[1].tolist() == [50] * 10
    assert split.table.counts[0].tolist() == [int(200 * 0.01 ** (i / 9.0)) for i in range(10)]
    groups = shot_groups(split.table.counts, shots)
    assert [groups.count(group) for group in ("many", "medium", "few")] == [2, 3, 5]
    assert all(path.startswith("mnist/") for path in split.catalogue.paths)
    assert open_task(RunConfig(DataConfig(dataset="digits-LT"))).inputs.size == 28


def test_cifar_by_name_asks_for_its_published_head(make_tree, tmp_path):
    sizes = {f"{k:02d}": int(500 * 0.01 ** (k / 9.0)) for k in range(10)}
    inner = make_tree({"train": sizes, "test": dict.fromkeys(sizes, 1)}, root=tmp_path / "CIFAR100-LT", size=(1, 1))
    for root in (inner, tmp_path):
        task = open_task(RunConfig(DataConfig(dataset="cifar100-lt", data=root)))
        assert task.counts[0].tolist() == list(sizes.values())
        assert (task.inputs.size, task.held_out) == (32, "test")
    with pytest.raises(DataError, match="'01'"):
        open_split(DataConfig(dataset="CIFAR100-LT", data=inner, imbalance_factor=50))


def test_names_without_their_data(tmp_path):
    with pytest.raises(UsageError, match="CIFAR100-LT/"):
        open_dataset("CIFAR100-LT")
    with pytest.raises(DataError, match="train/<class>"):
        open_dataset("CIFAR10-LT", tmp_path)
    with pytest.raises(DataError, match="list files"):
        open_dataset("ImageNet-LT", tmp_path)


def test_the_division_of_one_class_leaves_the_others(make_tree):
    small = open_dataset("mine", make_tree({"x": {"a": 10, "b": 10}}) / "x")
    from dataclasses import replace

    whole = replace(small, domains=("x",), domain=np.zeros_like(small.domain))
    more = divide(whole.select(np.flatnonzero(whole.label == 0)[::-1].tolist() + np.flatnonzero(whole.label).tolist()))
    assert more.sizes.tolist() == small.sizes.tolist() == [[8, 8], [2, 2]]


def test_short_and_long_spelling_are_one_run():
    short = DataConfig(dataset="mine", imbalance_factor=50, imbalance="step")
    long = DataConfig(dataset="mine", setting="Step", setting_options=("ratio=50",))
    assert RunConfig(short).to_dict() == RunConfig(long).to_dict()
    assert not {"imbalance", "imbalance_factor"} & set(RunConfig(short).to_dict()["data"])
    assert RunConfig(DataConfig(dataset="CIFAR100-LT")).to_dict() == (
        RunConfig(DataConfig(dataset="CIFAR100-LT", imbalance_factor=100.0)).to_dict()
    )
    with pytest.raises(UsageError, match="got both"):
        DataConfig(setting="natural", imbalance_factor=5)
    with pytest.raises(UsageError, match="beside --imbalance step"):
        DataConfig(imbalance="step")
    with pytest.raises(UsageError, match="exponential, step"):
        DataConfig(imbalance="linear", imbalance_factor=5)
