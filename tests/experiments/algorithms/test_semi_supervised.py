"""Labelled and unlabelled samples in one loss, term by term on a linear head whose rows can be taken one at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.algorithms.base import Unlabelled
from experiments.descent import Descent
from experiments.losses.fixclr import repel_only
from experiments.models import build_classifier
from geometry.errors import UsageError

CLASSES, DIMENSIONS, LABELLED = 3, 4, 6
COUNTS = np.full((2, CLASSES), 9)


def build(name, *, images=False, unlabelled=20, **options):
    model = build_classifier("small_cnn" if images else "features", CLASSES, seed=1, num_inputs=DIMENSIONS)
    return build_algorithm(name, model, TrainingSet(COUNTS, 10, unlabelled=unlabelled), options).double()


@pytest.fixture
def batch():
    """Six labelled samples and ten others, in two domains."""
    rng = np.random.default_rng(0)

    def draw(size):
        return torch.tensor(3 * rng.normal(size=(size, DIMENSIONS)))

    others = Unlabelled((draw(10), draw(10)), torch.tensor([0] * 5 + [1] * 5))
    labels, domains = torch.tensor([0, 1, 2, 0, 0, 1]), torch.tensor([0, 0, 0, 1, 1, 1])
    return Batch(draw(LABELLED), labels, domains, (draw(LABELLED), draw(LABELLED)), others)


def naive(model, batch, threshold, labelled_too):
    """Cross-entropy, FixMatch's loss, and (pseudo-)classes with whether they are believed, sample by sample."""
    own = range(LABELLED) if labelled_too else ()
    weak = [batch.views[0][i] for i in own] + list(batch.unlabelled.views[0])
    strong = [batch.views[1][i] for i in own] + list(batch.unlabelled.views[1])
    losses, found = [], []
    for one, other in zip(weak, strong, strict=True):
        q = model(one[None]).softmax(dim=1)[0].tolist()
        predicted, believed = q.index(max(q)), max(q) >= threshold
        found.append((predicted, believed))
        losses.append(cross_entropy(model(other[None]), torch.tensor([predicted])).item() if believed else 0.0)
    classes = [(k, True) for k in batch.labels.tolist()] + found[len(own) :]
    return cross_entropy(model(batch.inputs), batch.labels).item(), sum(losses) / len(losses), classes


@pytest.mark.parametrize("labelled_too", [True, False])
@pytest.mark.parametrize("view", ["weak", "strong"])
@pytest.mark.parametrize("threshold", [0.0, 0.8, 1.0])
def test_fixmatch_is_the_sum_of_its_terms(batch, labelled_too, view, threshold):
    shared = {"lambda_u": 0.7, "labelled_too": labelled_too, "threshold": threshold}
    algorithm = build("fixmatch", **shared, fixclr=0.3, fixclr_space="predictions", fixclr_view=view, fixclr_tau=0.5)
    ce, unlabelled, classes = naive(algorithm.model, batch, threshold, labelled_too)
    v = ("weak", "strong").index(view)
    inputs = torch.cat([batch.views[v] if labelled_too else batch.inputs, batch.unlabelled.views[v]])
    repelled = repel_only(
        algorithm.model(inputs).softmax(dim=1),
        torch.tensor([k for k, _ in classes]),
        kept=torch.tensor([on for _, on in classes]),
        tau=0.5,
    )
    terms = {key: float(value.detach()) for key, value in algorithm.terms(batch, np.random.default_rng(0)).items()}
    assert terms["loss/ce"] == pytest.approx(ce)
    assert terms["loss/unlabelled"] == pytest.approx(unlabelled)
    assert terms["loss/fixclr"] == pytest.approx(repelled.item())
    assert terms["loss"] == pytest.approx(ce + 0.7 * unlabelled + 0.3 * repelled.item())
    assert terms["kept"] == pytest.approx(np.mean([on for _, on in classes[LABELLED:]]), rel=1e-6)


def test_levels_and_domains_reach_the_term(batch):
    values = {
        build("fixmatch", threshold=0.5, fixclr=1, fixclr_space="predictions", **more)
        .terms(batch, np.random.default_rng(0))["loss/fixclr"]
        .item()
        for more in (
            {},
            {"fixclr_level": "class"},
            {"fixclr_level": "domain-class"},
            {"fixclr_other_domains": True},
            {"fixclr_aggregate": "mean"},
            {"fixclr_tau": 1.0},
        )
    }
    assert len(values) == 6


def test_freematch_is_fixmatch_at_its_thresholds_and_fairness(batch):
    algorithm = build("freematch", momentum=0.5, fairness=0.0, labelled_too=False)
    with torch.no_grad():
        q = algorithm.model(batch.unlabelled.views[0]).softmax(dim=1)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    tau = 0.5 / CLASSES + 0.5 * q.max(dim=1).values.mean()
    mean = 0.5 / CLASSES + 0.5 * q.mean(dim=0)
    assert algorithm.averages.confidence.item() == pytest.approx(tau.item())
    kept = q.max(dim=1).values >= (mean / mean.max() * tau)[q.argmax(dim=1)]
    assert terms["kept"].item() == pytest.approx(kept.double().mean().item())
    assert 0 < kept.sum() < len(kept)
    losses = cross_entropy(algorithm.model(batch.unlabelled.views[1]), q.argmax(dim=1), reduction="none")
    assert terms["loss/unlabelled"].item() == pytest.approx((losses * kept).mean().item())
    fair = {
        sign: build("freematch", momentum=0.5, fairness=0.5, fairness_sign=sign, labelled_too=False).terms(
            batch, np.random.default_rng(0)
        )["loss/unlabelled"]
        for sign in ("published", "turned")
    }
    assert fair["published"] < terms["loss/unlabelled"] < fair["turned"]


@pytest.mark.parametrize("name", ["fixmatch", "freematch"])
def test_without_weights_nothing_is_asked_for(batch, name):
    algorithm = build(name, lambda_u=0, unlabelled=0)
    assert algorithm.views == algorithm.unlabelled_views == ()
    assert set(algorithm.terms(batch, np.random.default_rng(0))) == {"loss", "loss/ce"}
    assert build(name).views == build(name).unlabelled_views == ("weak", "strong")
    assert build(name, labelled_too=False).views == ()
    assert build(name, lambda_u=0, fixclr=1, fixclr_space="predictions").unlabelled_views == ("weak", "strong")


def test_unlabelled_samples_wait_until_they_are_due(batch):
    algorithm = build("freematch", anneal=0.2)  # of ten steps
    descent = Descent(torch.optim.SGD(algorithm.parameters(), lr=0.0), algorithm)
    found = [set(algorithm.update(batch, np.random.default_rng(0), descent)) for _ in range(4)]
    assert found[0] == found[1] == {"loss", "loss/ce"}
    assert found[2] == found[3] == {"loss", "loss/ce", "loss/unlabelled", "kept"}


@pytest.mark.parametrize("labelled_too", [True, False])
@pytest.mark.parametrize("name", ["fixmatch", "freematch"])
def test_a_batch_may_hold_no_unlabelled_sample(batch, name, labelled_too):
    """Then no share of them is believed, neither none nor that of the labelled ones."""
    nothing = torch.zeros(0, DIMENSIONS, dtype=torch.float64)
    alone = replace(batch, unlabelled=Unlabelled((nothing, nothing), torch.zeros(0, dtype=torch.int64)))
    algorithm = build(name, labelled_too=labelled_too, fixclr=1, fixclr_space="predictions")
    terms = algorithm.terms(alone, np.random.default_rng(0))
    assert set(terms) == {"loss", "loss/ce", "loss/unlabelled", "loss/fixclr"}
    assert all(torch.isfinite(term) for term in terms.values())
    assert labelled_too or terms["loss/unlabelled"].item() == 0
    terms["loss"].backward()
    assert torch.isfinite(algorithm.model.head.weight.grad).all()


@pytest.mark.parametrize("name", ["fixmatch", "freematch"])
def test_what_cannot_be_is_refused_in_words(name):
    for options in ({}, {"lambda_u": 0, "fixclr": 1, "fixclr_space": "predictions"}):
        with pytest.raises(UsageError, match=r"^Expected unlabelled training samples; add --labels 10 .*\.$"):
            build(name, unlabelled=0, **options)
    with pytest.raises(UsageError, match=r"frozen backbone fixclr_space=features never reaches.*fixclr_space=pred"):
        build(name, fixclr=1)
    with pytest.raises(UsageError, match="projection head for fixclr_space=projections"):
        build(name, images=True, fixclr=1, fixclr_space="projections")
    build(name, images=True, fixclr=1)
