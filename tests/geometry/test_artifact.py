"""The artifact: written and read back whole, selected without losing counts, told apart by its digest."""

import json
from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact, load
from geometry.errors import DataError, UsageError
from geometry.shots import ShotThresholds


@pytest.fixture
def artifact():
    rng = np.random.default_rng(0)
    n = 60
    labels, domains = rng.integers(0, 3, (2, n))
    return Artifact(
        features=rng.normal(size=(n, 5)).astype(np.float32),
        labels=labels,
        class_names=("a", "b", "c", "absent"),
        logits=rng.normal(size=(n, 4)),
        domains=domains,
        domain_names=("day", "dusk", "night"),
        split=np.where(domains == 2, 1, rng.integers(0, 2, n)),
        split_names=("train", "target"),
        head_weight=rng.normal(size=(4, 5)),
        head_bias=np.zeros(4),
        train_counts=np.array([[10, 5, 1, 0], [30, 7, 1, 0], [0, 0, 0, 0]]),
        held_out="night",
        shot_thresholds=ShotThresholds(many=15, few=2),
        sample_ids=tuple(map(str, range(n))),
        probes={"anchor_gradient/ndcl/norm": rng.random(7)},
        provenance={"seed": 0, "note": float("nan")},
    )


def test_written_and_read_back(artifact, tmp_path):
    again = load(artifact.save(tmp_path / "x"))
    for name in ("features", "labels", "logits", "domains", "split", "head_weight", "head_bias", "train_counts"):
        found = getattr(again, name)
        assert found.dtype == getattr(artifact, name).dtype
        np.testing.assert_array_equal(found, getattr(artifact, name))
    for name in ("class_names", "domain_names", "split_names", "held_out", "shot_thresholds", "sample_ids"):
        assert getattr(again, name) == getattr(artifact, name)
    assert set(again.probes) == set(artifact.probes)
    assert again.digest() == artifact.digest()


def test_digest_sees_every_change_that_an_analysis_can(artifact):
    other = artifact.features.copy()
    other[3, 2] += 1e-6
    changes = [
        {"features": other},
        {"labels": np.roll(artifact.labels, 1)},
        {"held_out": None},
        {"class_names": ("a", "b", "c", "d")},
        {"probes": {}},
        {"shot_thresholds": ShotThresholds(15, 3)},
    ]
    digests = {replace(artifact, **change).digest() for change in changes} | {artifact.digest()}
    assert len(digests) == len(changes) + 1
    assert replace(artifact, provenance={}).digest() == artifact.digest()


def test_selection_keeps_counts_and_groups(artifact):
    target = artifact.select(split="target", domain="night")
    assert set(target.split) == {1}
    assert set(target.domains) == {2}
    assert target.shots == artifact.shots == ("many", "medium", "few", "few")
    bare = replace(artifact, train_counts=None)
    assert np.array_equal(bare.select(split="target").source_counts, bare.source_counts)
    assert len(artifact.select(split="all").labels) == len(artifact.labels)


def test_counts_without_a_manifest_come_from_the_training_samples(artifact):
    bare = replace(artifact, train_counts=None)
    expected = np.zeros((3, 4), int)
    for y, d, s in zip(bare.labels, bare.domains, bare.split, strict=True):
        expected[d, y] += s == 0
    assert np.array_equal(bare.training_counts, expected)
    assert np.array_equal(bare.source_counts, expected[:2])


def test_unknown_names_and_empty_selections(artifact):
    with pytest.raises(UsageError, match="train, target"):
        artifact.select(split="tset")
    with pytest.raises(UsageError, match="day, dusk, night"):
        artifact.select(domain="noon")
    with pytest.raises(DataError, match="none"):
        replace(artifact, split=np.zeros(60, np.int64)).select(split="target")
    with pytest.raises(DataError, match="logits"):
        replace(artifact, logits=None).probabilities()


def test_probabilities_are_a_softmax_that_does_not_overflow(artifact):
    huge = replace(artifact, logits=artifact.logits * 1e4)
    assert np.allclose(huge.probabilities().sum(axis=1), 1)
    expected = np.exp(artifact.logits) / np.exp(artifact.logits).sum(1, keepdims=True)
    assert np.allclose(artifact.probabilities(), expected)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_bare_files(tmp_path, suffix):
    from safetensors.numpy import save_file

    arrays = {"features": np.eye(4, 3, dtype=np.float32), "labels": np.array([0, 2, 2, 0])}
    path = tmp_path / f"x{suffix}"
    np.savez(path, **arrays) if suffix == ".npz" else save_file(arrays, path)
    found = load(path)
    assert found.num_classes == 3
    assert found.class_names == ("0", "1", "2")
    assert found.domain_names == ("all",)
    assert found.default_split() == "all"
    assert np.array_equal(found.features, arrays["features"])


def test_a_crash_between_the_two_renames_loses_nothing(artifact, tmp_path):
    path = artifact.save(tmp_path / "x")
    path.rename(tmp_path / ".x.previous")
    assert load(path).digest() == artifact.digest()
    assert not path.exists()  # a reader renames nothing


def test_manifest_of_another_format_is_refused(artifact, tmp_path):
    path = artifact.save(tmp_path / "x")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"format": "other"}))
    with pytest.raises(DataError, match="tailgeom-artifact"):
        load(path)


@pytest.mark.parametrize("name", ["labels", "domains", "split"])
@pytest.mark.parametrize("shape", [(), (4, 1)])
def test_codes_that_are_no_list_of_integers_are_refused(tmp_path, name, shape):
    arrays = {"features": np.eye(4), "labels": np.zeros(4, int), name: np.zeros(shape, int)}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=rf"`{name}` of shape \(N,\)"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_numbers_that_numpy_cannot_hold_are_refused(tmp_path, dtype):
    width = 2 if dtype == "BF16" else 1
    header = json.dumps({"features": {"dtype": dtype, "shape": [2, 1], "data_offsets": [0, 2 * width]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2 * width))
    with pytest.raises(DataError, match="save float16, float32 or float64"):
        load(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"train_counts": [[1, 2, 3, 4], [1, 2]]}, "`train_counts`"),
        ({"train_counts": {"a": 1}}, "`train_counts`"),
        ({"classes": "abcd"}, "list of strings under 'classes'"),
        ({"classes": [0, 1, 2, 3]}, "list of strings under 'classes'"),
        ({"domains": {"day": 0}}, "list of strings under 'domains'"),
        ({"splits": 2}, "list of strings under 'splits'"),
        ({"sample_ids": list(range(60))}, "list of strings under 'sample_ids'"),
        ({"shot_thresholds": {"many": "15", "few": "2"}}, "two numbers, many and few"),
        ({"shot_thresholds": {"many": 15}}, "two numbers, many and few"),
        ({"shot_thresholds": [15, 2]}, "two numbers, many and few"),
        ({"shot_thresholds": {"many": 2, "few": 15}}, "many > few"),
    ],
)
def test_manifest_entries_of_another_form_are_refused(artifact, tmp_path, entry, message):
    path = artifact.save(tmp_path / "x")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | entry))
    with pytest.raises(DataError, match=message):
        load(path)


def test_a_disk_that_takes_no_more_leaves_the_old_artifact(artifact, tmp_path):
    import resource
    import signal

    path = artifact.save(tmp_path / "x")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(DataError, match=r"Cannot write .*Nothing was left half-written"):
            replace(artifact, held_out=None).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert load(path).held_out == "night"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_projections_are_kept_selected_and_checked(artifact, tmp_path):
    with_them = replace(artifact, projections=np.random.default_rng(1).normal(size=(60, 2)))
    again = load(with_them.save(tmp_path / "x"))
    np.testing.assert_array_equal(again.projections, with_them.projections)
    assert with_them.digest() != artifact.digest()
    index = np.flatnonzero(with_them.split == 0)
    np.testing.assert_array_equal(with_them.select("train").projections, with_them.projections[index])
    assert load(artifact.save(tmp_path / "y")).projections is None
    for wrong in (np.zeros((59, 2)), np.zeros(60), np.zeros((60, 0))):
        with pytest.raises(DataError, match=r"`projections` of shape \(N, P\) with N=60"):
            replace(artifact, projections=wrong)
    with pytest.raises(DataError, match="`projections` has NaN or infinity in 60 rows"):
        replace(artifact, projections=np.full((60, 2), np.nan))
