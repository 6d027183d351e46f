"""Repelling, InfoNCE, SupCon and NDCL's contrast on the same batches: forces against autograd, and identities."""

import numpy as np
import pytest
import torch

from experiments.free.relation import (
    CLOSENESS,
    LOSSES,
    NEGATIVES,
    REPEL,
    batch,
    compare,
    forces,
    gradient,
    relation,
)
from experiments.losses.fixclr import repel_only
from experiments.losses.info_nce import info_nce
from experiments.losses.ndcl import negative_dominant_contrast
from experiments.losses.supcon import supcon
from geometry.errors import UsageError


def negatives_alone(vectors, labels, *, tau):
    """``-log N_i`` in loops."""
    units = vectors / vectors.norm(dim=1, keepdim=True)
    losses = [
        -torch.log(sum(torch.exp((1 - x @ z) / tau) for z, c in zip(units, labels, strict=True) if c != y))
        for x, y in zip(units, labels, strict=True)
    ]
    return torch.stack(losses).mean()


CALLS = {
    REPEL: repel_only,
    "InfoNCE": info_nce,
    "SupCon": supcon,
    "NDCL": lambda *a, tau: negative_dominant_contrast(*a, tau=tau, anchor_reduction="sample"),
    NEGATIVES: negatives_alone,
}


@pytest.mark.parametrize("tau", [1.0, 0.1])
@pytest.mark.parametrize("space", ["vectors", "predictions"])
@pytest.mark.parametrize("loss", LOSSES)
def test_forces_give_the_gradient_of_the_loss(loss, space, tau):
    vectors, _ = batch(space, 0.4, np.random.default_rng(0))
    labels = np.repeat(np.arange(4), (3, 2, 5, 30))  # unbalanced on purpose
    point = torch.from_numpy(vectors).requires_grad_()
    value = CALLS[loss](point, torch.from_numpy(labels), tau=tau)
    (wanted,) = torch.autograd.grad(value, point)
    one = forces(vectors, labels, tau=tau)[loss]
    assert one.value == pytest.approx(float(value.detach()), rel=1e-10)
    np.testing.assert_allclose(
        gradient(vectors, one.repulsion + one.attraction), wanted.numpy(), atol=1e-10 * float(wanted.abs().max())
    )
    same = labels[:, None] == labels[None, :]
    assert (one.repulsion >= 0).all()
    assert not one.repulsion[same].any()
    assert not one.attraction[~same].any()


def test_gradients_by_logits():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 4)
    logits = torch.from_numpy(rng.standard_normal((12, 3))).requires_grad_()
    both = [
        torch.autograd.grad(CALLS[name](logits.softmax(dim=1), torch.from_numpy(labels), tau=0.5), logits)[0].ravel()
        for name in ("NDCL", REPEL)
    ]
    found = compare(logits.detach().softmax(dim=1).numpy(), labels, tau=0.5, predictions=True)["NDCL"]
    assert found["cosine"] == pytest.approx(float(torch.cosine_similarity(*both, dim=0)), abs=1e-12)
    assert found["norm"] == pytest.approx(float(both[0].norm()), rel=1e-10)


def test_gates():
    # On every anchor: InfoNCE and SupCon push away the same negatives in the same shares; NDCL the reflected ones.
    vectors, labels = batch("vectors", 0.3, np.random.default_rng(2))
    every = forces(vectors, labels, tau=0.2)
    for name in ("InfoNCE", "SupCon"):
        gate = every[name].repulsion.sum(axis=1) / every[REPEL].repulsion.sum(axis=1)
        assert ((gate > 0) & (gate < 1)).all()
        np.testing.assert_allclose(every[name].repulsion, gate[:, None] * every[REPEL].repulsion, atol=1e-15)
        np.testing.assert_allclose(every[name].attraction.sum(axis=1), -every[name].repulsion.sum(axis=1), atol=1e-15)
    near, far = every[REPEL].repulsion, every[NEGATIVES].repulsion
    other = labels[:, None] != labels[None, :]
    cosines = vectors @ vectors.T
    for i in range(len(labels)):
        assert np.corrcoef(cosines[i, other[i]], np.log(near[i, other[i]]))[0, 1] == pytest.approx(1)
        assert np.corrcoef(cosines[i, other[i]], np.log(far[i, other[i]]))[0, 1] == pytest.approx(-1)


def test_at_the_simplex_all_losses_push_and_pull_alike_up_to_a_factor():
    # Radial pull on a sample towards its own class mean: repelling 1/C of the ungated contrast.
    labels, tau, C, n = np.repeat(np.arange(5), 8), 0.3, 5, 8
    vectors, _ = batch("vectors", 1.0, np.random.default_rng(0))
    every = forces(vectors, labels, tau=tau)

    def pull(name):
        pairs = every[name].repulsion + every[name].attraction
        return -((pairs + pairs.T) @ vectors * vectors).sum(axis=1) * len(labels) * tau / 2

    others = n * (C - 1)
    edge = np.exp(-C / ((C - 1) * tau))
    whole = C / (C - 1)
    np.testing.assert_allclose(pull(REPEL), whole / C, rtol=1e-9)
    np.testing.assert_allclose(pull("InfoNCE"), whole * others * edge / (1 + others * edge), rtol=1e-9)
    np.testing.assert_allclose(pull("SupCon"), whole * others * edge / (n - 1 + others * edge), rtol=1e-9)
    np.testing.assert_allclose(pull("NDCL"), whole * (n - 1) * edge / ((n - 1) * edge + others), rtol=1e-9)


def test_repelling_and_its_reflection_differ_by_the_variance_of_the_cosines():
    # log sum e^{s/tau} and -log sum e^{-s/tau}: halves of sum and difference, to the orders of THEORY.md, section 7.
    rng = np.random.default_rng(0)
    s, tau = rng.uniform(-1, 1, 50), 20.0
    near, far = np.log(np.exp(s / tau).mean()), -np.log(np.exp(-s / tau).mean())
    assert (near + far) / 2 == pytest.approx(s.mean() / tau, abs=2 * np.abs(s).max() ** 3 / tau**3)
    assert (near - far) / 2 == pytest.approx(s.var() / (2 * tau**2), rel=1e-2)
    assert far < s.mean() / tau < near


def test_near_the_simplex_of_vectors_the_reflection_turns_round_at_low_temperature():
    near = {
        tau: compare(*batch("vectors", 0.99, np.random.default_rng(0)), tau=tau)[NEGATIVES]["cosine"]
        for tau in (1.0, 0.1)
    }
    assert near[1.0] > 0.5
    assert near[0.1] < -0.8


def test_rows(monkeypatch):
    monkeypatch.setattr("experiments.free.relation.SEEDS", 2)
    rows = relation(seed=1)
    assert len(rows) == 2 * 3 * len(CLOSENESS) * len(LOSSES)
    for row in rows:
        assert row["seeds"] == 2
        assert row["cosine_low"] - 1e-12 <= row["cosine"] <= row["cosine_high"] + 1e-12
        if row["loss"] == REPEL:
            assert row["cosine"] == pytest.approx(1)
            assert row["attraction"] == 0
    assert rows == relation(seed=1)


def test_refusals():
    with pytest.raises(UsageError, match="two samples"):
        forces(np.eye(3), np.array([0, 0, 1]), tau=1.0)
    with pytest.raises(UsageError, match="tau"):
        forces(np.eye(4), np.array([0, 0, 1, 1]), tau=0.0)
    with pytest.raises(UsageError, match="vectors or predictions"):
        batch("logits", 0.5, np.random.default_rng(0))
