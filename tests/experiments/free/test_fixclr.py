"""What repelling alone wants of free vectors: the statements of THEORY.md, section 7, one by one."""

from itertools import product

import numpy as np
import pytest
import torch

from experiments.free.experiment import free_optimum
from experiments.free.minimise import minimise
from experiments.free.objectives import objective
from experiments.free.reached import program_settings
from experiments.free.repelling import balanced_repel, domains_of
from experiments.losses.fixclr import repel_only
from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.thresholds import threshold

TAIL = (12, 6, 3, 2)


def solved(counts, *, starts=2, dimension=None, **options):
    return free_optimum("fixclr", counts, dimension=dimension, starts=starts, options={"tau": 0.5} | options)


def mean_value(vectors, labels, *, tau, anchors="sample"):
    """Log-mean-exp over the samples of other classes, in loops."""
    per_class = []
    for y in np.unique(labels):
        mine = [
            np.log(np.mean([np.exp(x @ z / tau) for z, c in zip(vectors, labels, strict=True) if c != y]))
            for x, own in zip(vectors, labels, strict=True)
            if own == y
        ]
        per_class.append(mine)
    if anchors == "class":
        return np.mean([np.mean(mine) for mine in per_class])
    return np.mean(np.concatenate(per_class))


def unit(rng, size, dimension):
    vectors = rng.standard_normal((size, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("anchors", ["sample", "class"])
def test_sum_and_mean_have_the_same_gradient(anchors):
    rng, labels = np.random.default_rng(0), torch.tensor([0] * 5 + [1] * 3 + [2])
    point = torch.from_numpy(unit(rng, 9, 4)).requires_grad_()
    values = {
        how: repel_only(point, labels, tau=0.3, aggregate=how, anchor_reduction=anchors) for how in ("sum", "mean")
    }
    slopes = [torch.autograd.grad(value, point, retain_graph=True)[0] for value in values.values()]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-14)
    assert values["mean"].item() == pytest.approx(
        mean_value(point.detach().numpy(), labels.numpy(), tau=0.3, anchors=anchors), abs=1e-12
    )


@pytest.mark.parametrize("anchors", ["sample", "class"])
@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_a_random_collapse_never_costs_on_average(anchors, dimension):
    # Theorem: the mean loss over all ways of moving every class to one of its own samples is at most the loss.
    rng, counts = np.random.default_rng(dimension), (4, 3, 2)
    labels = np.repeat(np.arange(3), counts)
    first = np.cumsum((0, *counts[:-1]))
    for _ in range(5):
        vectors = unit(rng, len(labels), dimension)
        whole = mean_value(vectors, labels, tau=0.2, anchors=anchors)
        collapsed = [
            mean_value(vectors[first + np.array(chosen)][labels], labels, tau=0.2, anchors=anchors)
            for chosen in product(*map(range, counts))
        ]
        assert np.mean(collapsed) <= whole + 1e-12
        assert min(collapsed) < whole


def test_sample_level_is_the_convex_program_of_log_mean_exp():
    for aggregate in ("sum", "mean"):
        found = solved(TAIL, aggregate=aggregate)
        assert found.program.name == "convex program, lme"
        assert found.program.gap == pytest.approx(0, abs=1e-9)
        assert found.program.gram_difference < 1e-6
        assert found.geometry.spread < 1e-6  # nothing attracts, and classes collapse
        assert found.agreeing == 2


def test_balanced_samples_reach_the_collapsed_simplex_and_its_value():
    found = solved((4, 4, 4, 4), aggregate="mean", dimension=3)
    assert found.verdict == "simplex"
    assert found.value == pytest.approx(-1 / (3 * 0.5), rel=1e-12)


@pytest.mark.parametrize("anchors", ["sample", "class"])
def test_imbalance_breaks_the_simplex_whatever_the_anchors(anchors):
    found = solved(TAIL, anchor_reduction=anchors)
    assert found.verdict == "objective"
    assert found.simplex_value > found.value + 1e-2
    assert found.geometry.gram[2, 3] > found.geometry.gram[0, 1] + 0.1  # rare classes close up


@pytest.mark.parametrize("anchors", ["sample", "class"])
def test_forces_on_pairs_of_classes_at_the_simplex(anchors):
    # Gamma_yc = (w_y n_c / (N - n_y) + w_c n_y / (N - n_c)) / 2 tau
    counts = np.array(TAIL)
    size, labels, tau = counts.sum(), np.repeat(np.arange(4), counts), 0.7
    gram = torch.from_numpy(simplex_etf(4)).requires_grad_()
    weights = counts / size if anchors == "sample" else np.full(4, 0.25)
    loss = 0.0
    for y in range(4):
        others = [c for c in range(4) if c != y]
        terms = torch.stack(
            [torch.log(torch.tensor(counts[c] / (size - counts[y]))) + gram[y, c] / tau for c in others]
        )
        loss = loss + weights[y] * torch.logsumexp(terms, dim=0)
    vectors = np.linalg.cholesky(simplex_etf(4) + 1e-13 * np.eye(4))[labels]
    assert float(loss.detach()) == pytest.approx(mean_value(vectors, labels, tau=tau, anchors=anchors), abs=1e-9)
    (slope,) = torch.autograd.grad(loss, gram)
    gamma = (slope + slope.T).numpy() / 2
    wanted = weights[:, None] * counts[None, :] / (size - counts)[:, None]
    wanted = (wanted + wanted.T) / (2 * tau) * (1 - np.eye(4))
    np.testing.assert_allclose(gamma, wanted, atol=1e-12)
    pairs = wanted[np.triu_indices(4, 1)]
    assert pairs.max() > 1.5 * pairs.min()  # unequal: the simplex is not at rest


def test_minorities_share_a_vector_from_the_threshold_of_log_mean_exp_on():
    r_star = threshold(1, 2, loss="lme", tau=1.0).r_star
    assert 4 < r_star < 5
    assert solved((8, 2, 2), tau=1.0).geometry.distinct == 3
    assert solved((10, 2, 2), tau=1.0).geometry.distinct == 2


def test_classes_weighed_alike_reach_the_simplex_at_any_counts():
    found = solved(TAIL, level="balanced")
    assert found.verdict == "simplex"
    assert found.value == pytest.approx(np.log(3) - 1 / (3 * 0.5), rel=1e-12)
    rng, labels = np.random.default_rng(0), torch.from_numpy(np.repeat(np.arange(4), TAIL))
    for _ in range(50):
        vectors = torch.from_numpy(unit(rng, len(labels), 5))
        assert float(balanced_repel(vectors, labels, tau=0.5)) > found.value


def test_class_means_leave_samples_where_they_are():
    # A minimiser with scatter: samples of a class on both sides of its corner.
    corners = np.pad(np.linalg.cholesky(simplex_etf(4) + 1e-14 * np.eye(4)), ((0, 0), (0, 1)))
    labels = np.repeat(np.arange(4), 2)
    aside = np.array([0.0, 0, 0, 0, 1])
    vectors = 0.6 * corners[labels] + 0.8 * np.where(np.arange(8) % 2, 1, -1)[:, None] * aside
    point = torch.from_numpy(vectors).requires_grad_()
    value = repel_only(point, torch.from_numpy(labels), tau=0.5, level="class", aggregate="mean")
    assert float(value.detach()) == pytest.approx(-1 / (3 * 0.5), abs=1e-6)
    assert torch.autograd.grad(value, point)[0].abs().max() < 1e-6
    found = solved(TAIL, level="class")
    assert found.verdict == "angles only"
    assert found.geometry.spread > 0.1
    beside = solved(TAIL, level="class", classifier=1.0, starts=1)
    assert beside.geometry.spread < 1e-4  # cross-entropy holds them together


def test_negatives_of_other_domains_alone_separate_domains():
    for number, counts in ((2, (4, 4, 4)), (2, (8, 4, 2)), (3, (3, 3, 3, 3))):
        found = solved(counts, aggregate="mean", domains=float(number), other_domains_only=True)
        assert found.value == pytest.approx(-1 / ((number - 1) * 0.5), rel=1e-9)
        assert found.simplex_value == pytest.approx(-1 / ((len(counts) - 1) * 0.5), rel=1e-9)
        assert found.geometry.lengths.max() < 1e-6  # every class is spread over the domains' points
        assert np.isnan(found.geometry.cosine_std)


def test_domains_share_one_point_for_all_classes():
    goal = objective(
        "fixclr",
        (3, 3, 3, 3),
        dimension=6,
        options={"tau": 0.5, "domains": 3.0, "other_domains_only": True},
    )
    best = minimise(goal.value, goal.space.spheres, goal.space.start(np.random.default_rng(0)))
    vectors, domains = best.point.reshape(-1, 6), domains_of(goal.space.labels, 3, "shared")
    same = domains[:, None] == domains[None, :]
    np.testing.assert_allclose(vectors @ vectors.T, np.where(same, 1.0, -0.5), atol=1e-6)


@pytest.mark.parametrize("counts", [(9, 6, 6, 6, 6), (30, 9, 6, 3, 3)])
def test_when_domains_separate_under_imbalance(counts):
    size, n = sum(counts), np.array(counts)
    weights = n[:, None] * n[None, :] / (size - n)[:, None]
    weights = (weights + weights.T) * (1 - np.eye(5))
    optimal = np.linalg.eigvalsh(np.diag(weights.sum(axis=1)) + 2 * weights).min() >= 0
    assert optimal == (counts[0] == 9)
    found = solved(counts, aggregate="mean", domains=3.0, other_domains_only=True, starts=1)
    assert found.value == pytest.approx(-1.0, rel=1e-9) if optimal else found.value < -1.001


def test_more_domains_than_classes_and_as_many():
    more = solved((4, 4, 4), aggregate="mean", domains=4.0, other_domains_only=True)
    assert more.verdict == "simplex"
    tie = solved((3, 3, 3), aggregate="mean", domains=3.0, other_domains_only=True)
    assert tie.value == pytest.approx(-1 / (2 * 0.5), rel=1e-9)
    assert tie.value == pytest.approx(tie.simplex_value, rel=1e-9)


def across_domains(vectors, labels, domains):
    """Repelling between samples that differ in class and domain, tau 1/2."""
    given, classes, of = map(torch.from_numpy, (vectors, labels, domains))
    return float(repel_only(given, classes, tau=0.5, domains=of, aggregate="mean", other_domains_only=True))


def corners(size):
    return np.linalg.cholesky(simplex_etf(size) + 1e-14 * np.eye(size))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_every_mixture_of_class_and_domain_simplex_is_as_low(share):
    labels, domains = np.repeat(np.arange(3), 6), np.tile(np.arange(3), 6)
    vectors = np.hstack([np.sqrt(share) * corners(3)[labels], np.sqrt(1 - share) * corners(3)[domains]])
    assert across_domains(vectors, labels, domains) == pytest.approx(-1 / (2 * 0.5), abs=1e-9)


@pytest.mark.parametrize(("classes", "number"), [(4, 2), (4, 3), (3, 3), (3, 5)])
def test_no_value_is_below_the_bound_of_domains_and_classes(classes, number):
    rng, least = np.random.default_rng(0), -1 / ((min(classes, number) - 1) * 0.5)
    labels, domains = np.repeat(np.arange(classes), 2 * number), np.tile(np.arange(number), 2 * classes)
    best = corners(classes)[labels] if classes < number else corners(number)[domains]
    assert across_domains(best, labels, domains) == pytest.approx(least, abs=1e-9)
    for scale in (0.1, 1.0):
        assert across_domains(best + scale * rng.standard_normal(best.shape), labels, domains) > least


def test_cells_collapse_whatever_their_negatives_and_counts():
    options = {"tau": 0.2, "domains": 3.0, "other_domains_only": True}
    goal = objective("fixclr", (9, 6, 3, 3), dimension=6, options=options)
    best = minimise(goal.value, goal.space.spheres, goal.space.start(np.random.default_rng(0)))
    vectors, labels = best.point.reshape(-1, 6), goal.space.labels
    cells = 3 * labels + domains_of(labels, 3, "shared")
    widths = {
        name: max(np.ptp(vectors[codes == c], axis=0).max() for c in np.unique(codes))
        for name, codes in (("cells", cells), ("classes", labels))
    }
    assert widths["cells"] < 1e-6
    assert widths["classes"] > 1


def test_cells_collapse_like_samples_and_count_like_them():
    shared = solved((6, 6, 6, 6), level="domain-class", domains=3.0)
    assert shared.verdict == "angles only"  # nothing holds samples inside a cell
    alone = solved((6, 6, 6, 6), level="domain-class", domains=3.0, layout="alone")
    assert alone.verdict == "objective"
    # cells as samples: 3, 3, 3 and 1 of them
    as_samples = solved((3, 3, 3, 1))
    assert alone.value == pytest.approx(as_samples.value, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": "batch"}, "level"),
        ({"layout": "some"}, "layout"),
        ({"domains": 0.0}, "domains"),
        ({"domains": 2.5}, "whole number"),
        ({"domains": float("inf")}, "whole number"),
        ({"level": "balanced", "other_domains_only": True, "domains": 2.0}, "knows no domains"),
        ({"weight": -1.0}, "weight"),
        ({"space": "predictions", "classifier": 1.0}, "predictions"),
        ({"level": "balanced", "tau": -1.0}, "tau"),
    ],
)
def test_refusals(options, said):
    with pytest.raises(UsageError, match=said):
        solved((3, 2), starts=1, **options)


def test_predictions_still_repel():
    assert solved((3, 2), starts=1, space="predictions").representation == "predictions"


def test_vectors_before_a_classifier_are_vectors():
    assert solved((3, 2), starts=1, classifier=1.0).representation == "vectors"


def test_no_program_speaks_of_a_loss_without_negatives():
    goal = objective("fixclr", (3, 2), dimension=3, options={"other_domains_only": True})
    assert program_settings(goal) is None
