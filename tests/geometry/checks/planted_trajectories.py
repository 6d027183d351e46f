"""Trajectories whose truth is known: of prototypes with a known reliability, of class means towards a known Gram."""

from itertools import combinations

import numpy as np

from geometry.alignment import coordinates, cosines
from geometry.artifact import Artifact
from geometry.checks.prototype_stability import MOMENTUM
from geometry.path_geometry import mean_angle
from geometry.shots import ShotThresholds

BATCHES = 20
FEW_COUNTS = np.array([[5, 6, 4], [5, 5, 6], [6, 6, 6]])  # training samples of three few-shot classes in three sources
LADDER = (400, 150, 60, 25, 12, 6, 3)  # training samples of a class


def artifact(arrays: dict[str, np.ndarray], shots: ShotThresholds | None = None, **provenance) -> Artifact:
    """An artifact around the arrays ``cell_counts``, ``feature_means`` and what else is given; the rest made up."""
    counts, means = arrays["cell_counts"], arrays["feature_means"]
    moments, domains, classes, _ = means.shape
    none = np.zeros(0, dtype=np.int64)
    flat = np.full((moments, domains, classes, classes), np.nan)
    flat[:, counts > 0] = 1.0 / classes
    scatter = np.where(counts > 0, np.where(counts > 1, 0.1, 0.0), np.nan) * np.ones((moments, 1, 1))
    made_up = {
        "step": 10 * np.arange(moments),
        "feature_scatter": scatter,
        "prediction_means": flat,
        "prediction_scatter": scatter,
        "moving_prototypes": arrays.get("prediction_means", flat),
        "head_weight": np.zeros((moments, classes, means.shape[-1])),
        "head_bias": np.zeros((moments, classes)),
        "target_errors": np.full((moments, classes), np.nan),
        "validation_errors": np.zeros((moments, classes)),
        "batch_prototypes/mean": np.zeros((0, classes)),
        **{f"batch_prototypes/{name}": none for name in ("step", "batch", "domain", "class", "count")},
    }
    return Artifact(
        features=np.zeros((2, 2)),
        labels=np.array([0, 1]),
        class_names=tuple(f"class {k}" for k in range(classes)),
        domain_names=tuple(f"domain {m}" for m in range(domains)),
        held_out=f"domain {domains - 1}",
        train_counts=counts,
        shot_thresholds=shots,
        probes={f"trajectory/{name}": np.asarray(values) for name, values in (made_up | arrays).items()},
        provenance=provenance,
    )


def prototypes(
    ratio: float,
    rng: np.random.Generator,
    *,
    few: np.ndarray = FEW_COUNTS,
    skewed: bool = False,
    subject: str = "batch",
) -> Artifact:
    """Normal (or two-point) predictions in few-shot cells, squared distances of domains ``ratio`` times their error.

    Three sources and a held-out domain, three many- and three few-shot classes, four moments with the same samples,
    one sample of every few-shot cell in each of the batches.
    """
    counts = np.zeros((4, 6), dtype=np.int64)
    counts[:3, :3], counts[:3, 3:] = 40, few
    weights = (1 - MOMENTUM) * MOMENTUM ** np.arange(BATCHES - 1, -1, -1.0)
    weights[0] = MOMENTUM ** (BATCHES - 1)
    factor = np.ones(few.shape) if subject == "batch" else 1 / few + (weights**2).sum() * (1 - 1 / few)
    chance = rng.uniform(0.1, 0.4, few.shape)
    variance = 2 * chance * (1 - chance) if skewed else rng.uniform(0.05, 0.2, few.shape)
    centre = rng.normal(size=(*few.shape, 6))
    if skewed:
        centre[..., :2] = 0
    pairs = [(a, b, k) for k in range(3) for a, b in combinations(range(3), 2)]
    error = sum(variance[a, k] * factor[a, k] + variance[b, k] * factor[b, k] for a, b, k in pairs)
    fixed = sum(2 * (chance[a, k] - chance[b, k]) ** 2 for a, b, k in pairs) if skewed else 0.0
    free = sum(((centre[a, k] - centre[b, k]) ** 2).sum() for a, b, k in pairs)
    centre *= np.sqrt(max(ratio * error - fixed, 0.0) / free)
    means, scatter = np.full((4, 6, 6), np.nan), np.full((4, 6), np.nan)
    for a in range(3):
        for k in range(6):
            if k < 3:
                sample = np.eye(6)[k] + 0.1 * rng.normal(size=(40, 6))
            elif skewed:
                sample = np.zeros((few[a, k - 3], 6))
                sample[:, 0] = rng.random(len(sample)) < chance[a, k - 3]
                sample[:, 1] = 1 - sample[:, 0]
                sample += centre[a, k - 3]
            else:
                sample = np.zeros((few[a, k - 3], 6))
                sample[:, :3] = np.sqrt(variance[a, k - 3] / 3) * rng.normal(size=(len(sample), 3))
                sample += centre[a, k - 3]
            means[a, k], scatter[a, k] = sample.mean(axis=0), ((sample - sample.mean(axis=0)) ** 2).sum(axis=1).mean()
    moment, batch, domain, label = (
        part.ravel() for part in np.meshgrid(range(4), range(BATCHES), range(3), range(6), indexing="ij")
    )
    recorded = {"step": moment, "batch": batch, "domain": domain, "class": label, "mean": means[domain, label]}
    recorded["count"] = np.where(label < 3, 4, 1)
    arrays = {
        "cell_counts": counts,
        "feature_means": np.repeat(means[None, ..., :2], 4, axis=0),
        "prediction_means": np.repeat(means[None], 4, axis=0),
        "prediction_scatter": np.repeat(scatter[None], 4, axis=0),
        **{f"batch_prototypes/{name}": values for name, values in recorded.items()},
    }
    return artifact(arrays, ShotThresholds(many=20, few=8))


def moving(means: np.ndarray, counts=LADDER, **provenance) -> Artifact:
    """Class means ``(T, K, D)`` of one source domain with these training counts."""
    moments, classes, dimension = means.shape
    cells = np.stack([np.asarray(counts), np.zeros(classes, dtype=np.int64)])
    features = np.full((moments, 2, classes, dimension), np.nan)
    features[:, 0] = means
    return artifact({"cell_counts": cells, "feature_means": features}, **provenance)


def between(start: np.ndarray, end: np.ndarray, moments: int = 5) -> np.ndarray:
    """``(T, K, D)`` on the straight line from one set of vectors to another."""
    share = np.linspace(0, 1, moments)[:, None, None]
    return (1 - share) * start + share * end


def at_optimum(gram: np.ndarray, dimension: int) -> np.ndarray:
    """``(K, D)`` vectors with this Gram matrix."""
    return coordinates(gram) @ np.eye(len(gram), dimension)


def minority_at(closeness: float, rng: np.random.Generator, majority: int = 5, minority: int = 5) -> np.ndarray:
    """``(K, 64)`` random majority vectors, and minority vectors about one direction, some nearer to it than others."""
    scale = closeness * rng.uniform(0.3, 1.7, (minority, 1))
    return np.vstack([rng.normal(size=(majority, 64)), rng.normal(size=64) + scale * rng.normal(size=(minority, 64))])


def half_collapsed(rng: np.random.Generator) -> Artifact:
    """Ten classes, five in the minority, whose mean angle is half a simplex's in expectation."""
    last = minority_at(0.3791, rng)  # found by bisection; a test holds it to that
    return moving(
        np.stack([rng.normal(size=last.shape), 0.5 * last + 1, last]), (300, 290, 280, 270, 260, 14, 13, 12, 11, 10)
    )


def minority_angle(vectors: np.ndarray, minority: int) -> float:
    """Mean angle between the last vectors, all centred, degrees."""
    centred = vectors - vectors.mean(axis=0)
    return mean_angle(cosines(centred @ centred.T), np.arange(len(vectors)) >= len(vectors) - minority)
