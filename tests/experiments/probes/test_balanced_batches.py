"""Batches of equally many samples a class, and a backbone that is asked once for the same inputs."""

from types import SimpleNamespace

import numpy as np
import torch

from experiments.models import build_classifier
from experiments.probes.anchor_gradients import Remembered, balanced_batches


def context(counts, steps=3):
    """A run on one feature a sample, its number; the first sample of each class is not trained on."""
    labels = np.repeat(np.arange(len(counts)), counts)
    part = np.full(labels.size, "train")
    domain = np.arange(labels.size) % 2 * 2
    inputs = SimpleNamespace(batch=lambda index, device: torch.as_tensor(index, dtype=torch.float32)[:, None])
    task = SimpleNamespace(
        labels=labels, domain=domain, sources=(0, 2), inputs=inputs, indices=lambda name: np.flatnonzero(part == name)
    )
    config = SimpleNamespace(data=SimpleNamespace(seed=0))
    return SimpleNamespace(task=task, config=config, steps=steps, device=torch.device("cpu"))


def test_every_class_gives_four_different_samples_or_all_it_has():
    batches = list(balanced_batches(context([30, 4, 2, 0, 1])))
    assert len(batches) == 3
    for batch in batches:
        assert torch.bincount(batch.labels, minlength=5).tolist() == [4, 4, 2, 0, 1]
        assert len(torch.unique(batch.inputs)) == 11
        assert torch.equal(batch.domains, batch.inputs[:, 0].long() % 2)
    assert not torch.equal(batches[0].inputs, batches[1].inputs)
    again = list(balanced_batches(context([30, 4, 2, 0, 1])))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(batches, again, strict=True))


def test_of_many_classes_a_batch_takes_some():
    seen = set()
    for batch in balanced_batches(context([5] * 60, steps=12)):
        counts = torch.bincount(batch.labels, minlength=60)
        assert sorted(set(counts.tolist())) == [0, 4]
        assert int(counts.sum()) == 96
        seen |= set(batch.labels.tolist())
    assert len(seen) > 50


def test_the_same_inputs_pass_through_the_backbone_once():
    model = build_classifier("features", 3, seed=0, num_inputs=2)
    calls = []
    model.features = lambda inputs: calls.append(inputs) or inputs * 2
    known = Remembered(model)
    x, y = torch.ones(2, 2), torch.zeros(2, 2)
    assert torch.equal(known.features(x), known.features(x.clone()))
    assert torch.equal(known.features(y), y)
    assert len(calls) == 2
    assert known.head is model.head
