"""Artifacts whose truth is known, for every check: built to hold, built to break, too small, and at the threshold.

To register a check add a line to PLANTED (three makers of an artifact) and one or more to NULLS (makers whose truth
sits exactly at the check's threshold). The common controls and ``python -m benchmarks.false_positives`` do the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from geometry.alignment import cosines
from geometry.artifact import Artifact
from geometry.frames import simplex_etf
from geometry.optimum.solve import solve
from geometry.shots import ShotThresholds
from tests.geometry.checks import planted_negatives as negatives
from tests.geometry.checks import planted_trajectories as paths
from tests.geometry.checks.planted_negatives import alike, near

NEARER = tuple(f"nearer than {kind}" for kind in ("random mixups", "real samples", "plain hard negatives"))
Maker = Callable[[np.random.Generator], Artifact]

COUNTS = np.array([[120, 70, 45, 20, 9, 4, 2], [200, 90, 60, 30, 14, 6, 1], [80, 50, 20, 12, 5, 2, 1]])
K = COUNTS.shape[1]
SHOTS = ShotThresholds(many=60, few=6)


@dataclass(frozen=True)
class Planted:
    """Makers of artifacts on which a check holds, does not hold, and cannot decide."""

    holds: Maker
    breaks: Maker
    little: Maker
    subject: str = ""


@dataclass(frozen=True)
class Null:
    """An artifact whose truth is the threshold itself: any decision is a false positive."""

    make: Maker
    subjects: tuple[str, ...] = ("",)


def unseen_artifact(cells: np.ndarray, counts: np.ndarray, **parts) -> Artifact:
    """An artifact of unseen samples in cells ``(M + 1, K)``, the last domain held out; training counts ``(M, K)``."""
    domains, labels = np.nonzero(cells)
    repeats = cells[domains, labels]
    domains, labels = np.repeat(domains, repeats), np.repeat(labels, repeats)
    names = (*(f"domain {m}" for m in range(len(counts))), "elsewhere")
    return Artifact(
        labels=labels,
        domains=domains,
        domain_names=names,
        class_names=tuple(f"class {k}" for k in range(counts.shape[1])),
        split=(domains == len(counts)).astype(np.int64),
        split_names=("source_test", "target"),
        held_out="elsewhere",
        train_counts=np.vstack([counts, np.zeros((1, counts.shape[1]), dtype=np.int64)]),
        shot_thresholds=SHOTS,
        **{name: value(domains, labels) for name, value in parts.items()},
    )


# --- margins


def margins(centres, rng, *, spread=0.5, shift=0.3, counts=COUNTS, most=40) -> Artifact:
    """Unseen samples with logit margins about ``centres[class]``, a shift of each domain, and ragged cells."""
    centres = np.asarray(centres, dtype=np.float64)
    cells = rng.integers(most // 4, most, (len(counts) + 1, centres.size))
    offset = shift * rng.normal(size=len(cells))

    def logits(domains, labels):
        scores = np.zeros((labels.size, centres.size))
        noise = spread * rng.normal(size=labels.size)
        scores[np.arange(labels.size), labels] = centres[labels] + offset[domains] + noise
        return scores

    made = unseen_artifact(cells, counts, features=logits)
    return replace(made, logits=made.features, head_weight=np.eye(centres.size))


LOG_COUNTS = np.log(COUNTS.sum(axis=0))


def sloped(slope, difficulty=0.1, **options) -> Maker:
    """Margins rising with ``log n_k`` at this rate, and classes that differ for reasons of their own."""
    return lambda rng: margins(1.0 + slope * LOG_COUNTS + difficulty * rng.normal(size=K), rng, **options)


def powers(exponent, difficulty=0.03) -> Maker:
    """Margins proportional to ``n_k^exponent``."""

    def make(rng):
        centres = 3.0 * np.exp(exponent * (LOG_COUNTS - LOG_COUNTS.mean()) + difficulty * rng.normal(size=K))
        return margins(centres, rng, spread=0.1, shift=0.0)

    return make


def ragged(make: Maker) -> Maker:
    """The same with cells left empty or with a single sample."""

    def thin(rng):
        made = make(rng)
        keep = np.ones(made.labels.size, dtype=bool)
        for m, k in ((0, 6), (1, 5), (2, 6)):
            keep[np.flatnonzero((made.domains == m) & (made.labels == k))[(m == 1) :]] = False
        return made.take(np.flatnonzero(keep))

    return thin


# --- simplex


def vectors_at(deviation, rng, size=K, dimension=None, rows_sum_to_zero=False) -> np.ndarray:
    """``(K, D)`` vectors whose centred cosines deviate from the simplex by this much on average over the pairs."""
    dimension = dimension or size
    simplex = np.eye(size, dimension) - np.eye(size, dimension).mean(axis=0)
    # Of rank two: in many dimensions random vectors are a simplex themselves.
    direction = rng.normal(size=(size, 2)) @ rng.normal(size=(2, dimension)) / np.sqrt(dimension)
    if rows_sum_to_zero:
        direction = direction - direction.mean(axis=1, keepdims=True)

    def measured(step):
        moved = simplex + step * direction
        moved = moved - moved.mean(axis=0)
        off = cosines(moved @ moved.T)[np.triu_indices(size, 1)]
        return np.abs(off + 1 / (size - 1)).mean()

    low, high = 0.0, 1.0
    while measured(high) < deviation:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if measured(middle) < deviation else (low, middle)
    return simplex + high * direction


def clusters(means, rng, *, noise=0.25, most=60, shift=0.0) -> Artifact:
    """Unseen samples about class means, with the means as head; a shift of each domain."""
    cells = rng.integers(most // 4, most, (len(COUNTS) + 1, len(means)))
    offset = shift * rng.normal(size=(len(cells), means.shape[1]))

    def features(domains, labels):
        return means[labels] + offset[domains] + noise * rng.normal(size=(labels.size, means.shape[1]))

    made = unseen_artifact(cells, COUNTS, features=features)
    weight = 6.0 * (means - means.mean(axis=0))
    return replace(made, logits=made.features @ weight.T, head_weight=weight)


def prototypes_at(deviation, rng, concentration=15.0) -> Artifact:
    """Predictions drawn from a Dirichlet law about prototypes that deviate from the simplex by this much."""
    vectors = vectors_at(deviation, rng, rows_sum_to_zero=True)
    prototypes = 1 / K + 0.9 / K * vectors / np.abs(vectors).max()  # positive, and rows sum to one
    made = clusters(vectors, rng, most=80)
    draws = np.stack([rng.dirichlet(concentration * K * prototypes[k]) for k in made.labels])
    return replace(made, logits=np.log(np.maximum(draws, 1e-300)), head_weight=None)


def merged(rng) -> Artifact:
    """Minority collapse: the three rarest classes share nearly one direction."""
    means = np.eye(K, 16)
    means[4:] = means[4] + 0.1 * rng.normal(size=(3, 16)) / 4
    return clusters(means, rng, noise=0.1)


# --- confidence and the boundary, gradient shares


def paired(correlation, rng, n=400) -> Artifact:
    """Two classes with a signed distance and a log odds of this Spearman correlation (normal copula)."""
    labels = rng.integers(0, 2, n)
    pearson = 2 * np.sin(np.pi * correlation / 6)
    distance = rng.normal(size=n)
    odds = pearson * distance + np.sqrt(1 - pearson**2) * rng.normal(size=n)
    sign = 1.0 - 2.0 * labels
    return Artifact(
        features=np.c_[sign * distance, np.zeros(n)],
        labels=labels,
        class_names=("a", "b"),
        logits=np.c_[sign * odds, np.zeros(n)],
        head_weight=np.array([[0.5, 0.0], [-0.5, 0.0]]),
    )


def gradients(ratio, rng, batches=40) -> Artifact:
    """Recorded gradient norms, those of few anchors ``ratio`` times the others on average."""
    label = np.tile(np.repeat(np.arange(K), 3), batches)
    batch = np.repeat(np.arange(batches), label.size // batches)
    few = np.isin(label, (5, 6))
    norm = np.where(few, ratio, 1.0) * np.exp(0.4 * rng.normal(size=label.size) + 0.2 * rng.normal(size=batches)[batch])
    made = clusters(np.eye(K, 8), rng, most=8)
    arrays = {"norm": norm, "label": label, "batch": batch}  # as many of each class, so that no count confounds
    prefixes = ("anchor_gradient", "anchor_gradient_balanced")
    return replace(made, probes={f"{p}/ndcl/{name}": value for p in prefixes for name, value in arrays.items()})


# --- registries


def _head(artifact: Artifact, n: int) -> Artifact:
    return artifact.take(np.arange(min(n, artifact.labels.size)))


def towards(rng, moments=5, backwards=False) -> Artifact:
    """Class means on the way from random ones to the optimum for their counts, or back."""
    ends = rng.normal(size=(K, 16)), paths.at_optimum(solve(paths.LADDER).gram, 16)
    return paths.moving(paths.between(*(ends[::-1] if backwards else ends), moments))


def negatives_at(draw, batches=40) -> Maker:
    """Recorded negatives whose distances come from ``draw``."""
    return lambda rng: negatives.planted(draw, batches=batches, seed=int(rng.integers(2**31)))


PLANTED: dict[str, Planted] = {
    "collapse_path": Planted(
        towards,
        lambda rng: towards(rng, backwards=True),
        lambda rng: towards(rng, moments=2),
        "approaches optimum",
    ),
    "confidence_boundary": Planted(
        lambda rng: paired(0.9, rng), lambda rng: paired(0.1, rng), lambda rng: paired(0.9, rng, 12), "feature space"
    ),
    "gradient_share": Planted(
        lambda rng: gradients(3.0, rng), lambda rng: gradients(0.3, rng), lambda rng: gradients(3.0, rng, 5), "ndcl"
    ),
    "hard_negatives": Planted(
        negatives_at(near(0.2)), negatives_at(near(5.0)), negatives_at(near(0.2), 19), "nearer than random mixups"
    ),
    "margin_scaling": Planted(
        sloped(0.5), sloped(-0.5), lambda rng: _head(margins(LOG_COUNTS, rng), 25), "logit margin"
    ),
    "prototype_stability": Planted(
        lambda rng: paths.prototypes(30.0, rng),
        lambda rng: paths.prototypes(0.05, rng),
        lambda rng: paths.prototypes(30.0, rng, few=np.ones((3, 3), dtype=np.int64)),
        "batch",
    ),
    "simplex_alignment": Planted(
        lambda rng: clusters(simplex_etf(K) @ np.eye(K, 16), rng, noise=0.1),
        merged,
        lambda rng: clusters(np.eye(K, 16), rng, most=4).take(np.arange(12)),
        "class means",
    ),
}

SCALES = tuple(f"{scale} margin" for scale in ("probability", "logit", "geometric"))

NULLS: dict[str, dict[str, Null]] = {
    "collapse_path": {
        "random means, D = 16": Null(lambda rng: paths.moving(rng.normal(size=(3, K, 16))), ("approaches optimum",)),
        "half collapsed": Null(paths.half_collapsed, ("minority collapse",)),
    },
    "confidence_boundary": {"correlation 0.5": Null(lambda rng: paired(0.5, rng), ("feature space",))},
    "gradient_share": {"ratio 1": Null(lambda rng: gradients(1.0, rng), ("ndcl",))},
    "hard_negatives": {"alike": Null(negatives_at(alike), NEARER)},
    "margin_scaling": {
        "slope 0, classes alike": Null(sloped(0.0, 0.0), SCALES),
        "slope 0, classes differ": Null(sloped(0.0, 0.8), SCALES),
        "slope 0, ragged cells": Null(ragged(sloped(0.0, 0.5)), SCALES),
        "exponent -3/8": Null(powers(-0.375), ("n^(-1/4) rule",)),
        "exponent -1/8": Null(powers(-0.125), ("n^(-1/4) rule",)),
    },
    "prototype_stability": {
        "distance is error, in a batch": Null(lambda rng: paths.prototypes(1.0, rng), ("batch",)),
        "distance is error, moving": Null(lambda rng: paths.prototypes(1.0, rng, subject="moving"), ("moving",)),
        "two-point predictions": Null(lambda rng: paths.prototypes(1.0, rng, skewed=True), ("batch",)),
    },
    "simplex_alignment": {
        "means at 0.1, D = 7": Null(lambda rng: clusters(vectors_at(0.1, rng), rng, shift=0.3), ("class means",)),
        "means at 0.1, D = 64": Null(
            lambda rng: clusters(vectors_at(0.1, rng, dimension=64), rng, noise=0.2, most=30), ("class means",)
        ),
        "prototypes at 0.1": Null(lambda rng: prototypes_at(0.1, rng), ("prediction prototypes",)),
    },
}


def random_artifact(rng: np.random.Generator, *, dimension: int = 24, per_cell: int = 6) -> Artifact:
    """Features, labels and head without any relation."""
    cells = np.full((len(COUNTS) + 1, K), per_cell)
    made = unseen_artifact(cells, COUNTS, features=lambda _, labels: rng.normal(size=(labels.size, dimension)))
    weight = rng.normal(size=(K, dimension))
    return replace(made, logits=made.features @ weight.T, head_weight=weight)
