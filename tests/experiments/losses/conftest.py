"""Batches as long tails make them, and the cosines of the naive loops."""

import math

import numpy as np
import pytest
import torch


@pytest.fixture
def tailed_batch():
    """``(vectors, labels, domains, negatives, negative_labels)``: singletons, absent classes, one without
    negatives.
    """

    def make(seed, *, size=20, dim=4, num_classes=6, made=14, dtype=torch.float64):
        rng = np.random.default_rng(seed)
        frequency = rng.permutation(0.5 ** np.arange(num_classes))
        labels = rng.choice(num_classes, size=size, p=frequency / frequency.sum())
        present, counts = np.unique(labels, return_counts=True)
        wanted = rng.choice(np.delete(present, counts.argmin()), size=made)
        vectors, negatives = rng.normal(size=(size, dim)), rng.normal(size=(made, dim))
        return (
            torch.tensor(vectors, dtype=dtype),
            torch.tensor(labels),
            torch.tensor(rng.integers(0, 3, size)),
            torch.tensor(negatives, dtype=dtype),
            torch.tensor(wanted),
        )

    return make


@pytest.fixture
def cosine():
    """The cosine of two vectors, entry by entry."""

    def of(a, b):
        a, b = a.tolist(), b.tolist()
        inner = math.fsum(x * y for x, y in zip(a, b, strict=True))
        return inner / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))

    return of


@pytest.fixture
def mean_over_anchors():
    """The mean of ``{anchor: loss}`` over anchors, or over classes of the class's mean; 0 of nothing."""

    def of(losses, labels, reduction):
        if not losses:
            return 0.0
        if reduction == "sample":
            return sum(losses.values()) / len(losses)
        by_class = {}
        for i, loss in losses.items():
            by_class.setdefault(int(labels[i]), []).append(loss)
        return sum(sum(mine) / len(mine) for mine in by_class.values()) / len(by_class)

    return of
