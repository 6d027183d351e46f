"""Batches: which samples, views and domains a step has, with and without labels, and the parts they come from."""

import numpy as np
import pytest
import torch

from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data.splits import UNLABELLED
from experiments.data_config import DataConfig
from experiments.step_batches import StepBatches, step_rng
from experiments.task import open_task
from experiments.training import build

CPU = torch.device("cpu")
LABELS = 3


def run(labels=LABELS, **optim):
    data = DataConfig(setting="exponential", test_domain="textured", labels=labels, seed=1)
    return RunConfig(data=data, optim=OptimConfig(batch_size=4, device="cpu", **optim))


@pytest.fixture(scope="module")
def task():
    return open_task(run())


def test_every_source_cell_keeps_so_many_labels_and_the_rest_is_unlabelled(task):
    whole = open_task(run(labels=0))
    assert np.array_equal(task.counts, whole.counts)
    assert np.array_equal(task.labelled_counts, np.minimum(whole.source_counts, LABELS))
    assert (whole.part != UNLABELLED).all()
    taught = (task.part == "train") | (task.part == UNLABELLED)
    assert np.array_equal(taught, whole.part == "train")
    for part in ("validation", "source_test", "target"):
        assert np.array_equal(task.indices(part), whole.indices(part))


def test_labelled_samples_stay_labelled_when_there_are_more_labels(task):
    more = open_task(run(labels=LABELS + 2))
    assert set(task.indices("train")) < set(more.indices("train"))


def test_shot_groups_and_the_artifact_know_of_every_training_sample_and_the_algorithm_of_the_labelled(task):
    assert task.source_counts.sum() == len(task.indices("train")) + len(task.indices(UNLABELLED))
    algorithm = build(run(algorithm="balanced_softmax", options={"prior": "domain"}), task, CPU)
    assert np.array_equal(algorithm.counts.numpy(), task.labelled_counts)


def test_a_batch_holds_the_views_that_were_asked_for_each_augmented_anew(task):
    batches = StepBatches(run(augment="crop"), task, CPU, ("crop", "none"), ("none", "crop"))
    batch = batches.at(2)
    index = np.concatenate(batches.sampler.indices(2))
    pixels = task.inputs.batch(index, CPU)
    assert [view.shape for view in batch.views] == [batch.inputs.shape] * 2
    assert torch.equal(batch.views[1], pixels)
    assert not torch.equal(batch.views[0], batch.inputs)
    assert set(index) <= set(task.indices("train"))
    again = batches.at(2)
    assert torch.equal(again.views[0], batch.views[0])
    assert torch.equal(again.unlabelled.views[1], batch.unlabelled.views[1])


def test_unlabelled_samples_are_of_the_unlabelled_part_of_each_source_domain(task):
    batches = StepBatches(run(unlabelled_batch_size=5), task, CPU, (), ("none",))
    index = np.concatenate(batches.unlabelled_sampler.indices(0))
    unlabelled = batches.at(0).unlabelled
    assert set(index) <= set(task.indices(UNLABELLED))
    assert len(index) == 5 * len(task.sources)
    assert unlabelled.domains.tolist() == np.repeat(np.arange(len(task.sources)), 5).tolist()
    assert torch.equal(unlabelled.views[0], task.inputs.batch(index, CPU))


def test_the_samples_of_a_step_are_named_with_and_without_labels(task):
    batches = StepBatches(run(unlabelled_batch_size=5), task, CPU, (), ("none",))
    samplers = (batches.sampler, batches.unlabelled_sampler)
    expected = [task.sample_ids[i] for sampler in samplers for i in np.concatenate(sampler.indices(3))]
    assert batches.sample_ids(3) == expected
    assert len(expected) == (4 + 5) * len(task.sources)
    assert StepBatches(run(), task, CPU).sample_ids(3) == expected[: 4 * len(task.sources)]


def test_no_view_is_made_for_who_wants_none(task):
    batch = StepBatches(run(), task, CPU).at(0)
    assert batch.views == ()
    assert batch.unlabelled is None


def test_stacked_views_are_samples_of_their_own(task):
    batch = StepBatches(run(), task, CPU, ("crop", "none")).at(0)
    stacked = batch.stacked()
    assert torch.equal(stacked.inputs, torch.cat(batch.views))
    assert torch.equal(stacked.labels, torch.cat([batch.labels, batch.labels]))
    assert torch.equal(stacked.domains, torch.cat([batch.domains, batch.domains]))
    assert stacked.stacked() is stacked
    some = batch.at(torch.tensor([2, 0]))
    assert torch.equal(some.views[1], batch.views[1][[2, 0]])


def test_purposes_have_separate_streams():
    drawn = [step_rng(0, 3, purpose).random() for purpose in ("terms", "augment", "probe", "views", "unlabelled")]
    assert len(set(drawn)) == len(drawn)
    assert step_rng(0, 3, "views").random() == drawn[3]


def test_a_configuration_that_uses_none_of_it_is_saved_as_before():
    plain = RunConfig(data=DataConfig(), model=ModelConfig(), optim=OptimConfig()).to_dict()
    assert "labels" not in plain["data"]
    assert not {"classifier", "projection_norm", "view_copies"} & set(plain["model"])
    assert "unlabelled_batch_size" not in plain["optim"]
    told = RunConfig(data=DataConfig(labels=2), model=ModelConfig(classifier="cosine")).to_dict()
    assert told["data"]["labels"] == 2
    assert told["model"]["classifier"] == "cosine"
