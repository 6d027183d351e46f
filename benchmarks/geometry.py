"""Geometry: the optimum against CVXPY's defaults, and NC1's Gram route against a pseudo-inverse.

python -m benchmarks.geometry
"""

import warnings

import numpy as np

from benchmarks.timing import compare, seconds_of, show
from geometry.collapse import class_statistics, nc1
from geometry.optimum import Program, certify, class_proportions, solve
from geometry.optimum.loss_family import InfoNCE


def long_tail(num_classes: int, ratio: float = 100.0) -> np.ndarray:
    return class_proportions(ratio ** -(np.arange(num_classes) / (num_classes - 1)))


def cvxpy_defaults(proportions: np.ndarray, tau: float) -> np.ndarray:
    """The same program as a user would first write it: CVXPY's modelling, solver and tolerances left alone."""
    import cvxpy as cp

    size = len(proportions)
    gram = cp.Variable((size, size), PSD=True)
    weights = proportions[None, :] / (1 - proportions[:, None])
    rows = []
    for y in range(size):
        others = [c for c in range(size) if c != y]
        exponents = cp.hstack([0.0, *((gram[y, c] - 1) / tau + np.log(weights[y, c]) for c in others)])
        rows.append(proportions[y] * cp.log_sum_exp(exponents))
    problem = cp.Problem(cp.Minimize(cp.sum(rows)), [cp.diag(gram) == 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inaccurate solution is what is measured here
        problem.solve()
    return np.asarray(gram.value)


def optimum_rows() -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for size in (5, 10, 20):
        for tau in (1.0, 0.1):
            proportions = long_tail(size)
            found = {}

            def ours(p=proportions, t=tau, out=found):
                out["ours"] = solve(p, tau=t)

            def other(p=proportions, t=tau, out=found):
                out["other"] = cvxpy_defaults(p, t)

            mine, theirs, ratio = compare(ours, other, rounds=3)
            certificate = certify(Program(proportions, InfoNCE(1.0), tau), _feasible(found["other"]))
            error = np.abs(found["other"] - found["ours"].gram).max()
            gaps = (found["ours"].relative_gap, certificate.relative_gap)
            rows.append((size, tau, mine, theirs, ratio, *gaps, error))
    return rows


def _feasible(gram: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    gram = (vectors * np.maximum(values, 0)) @ vectors.T
    scale = np.sqrt(np.diag(gram))
    gram = gram / np.outer(scale, scale)
    np.fill_diagonal(gram, 1.0)
    return gram


def growth_rows() -> list[tuple[object, ...]]:
    return [
        (size, tau, seconds_of(lambda s=size, t=tau: solve(long_tail(s), tau=t)))
        for size in (50, 100, 200)
        for tau in (1.0, 0.1)
    ]


def pinv_nc1(features: np.ndarray, labels: np.ndarray) -> float:
    means = np.stack([features[labels == k].mean(0) for k in range(labels.max() + 1)])
    within = np.zeros((features.shape[1],) * 2)
    for k in range(len(means)):
        centred = features[labels == k] - means[k]
        within += centred.T @ centred / len(centred) / len(means)
    centred = means - means.mean(0)
    return float(np.trace(within @ np.linalg.pinv(centred.T @ centred / len(means))) / len(means))


def nc1_rows() -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    rng = np.random.default_rng(0)
    for num_classes in (7, 65):
        labels = np.repeat(np.arange(num_classes), 20)
        features = rng.normal(size=(num_classes, 1024))[labels] + 0.3 * rng.normal(size=(len(labels), 1024))
        found = {}

        def ours(x=features, y=labels, out=found):
            out["ours"] = nc1(class_statistics(x, y)).value

        def other(x=features, y=labels, out=found):
            out["other"] = pinv_nc1(x, y)

        mine, theirs, ratio = compare(ours, other, rounds=3)
        rows.append((num_classes, 1024, mine, theirs, ratio, abs(found["ours"] / found["other"] - 1)))
    return rows


def main() -> None:
    show(
        "The optimum for a long tail of 100 to 1, against CVXPY's defaults",
        ("C", "tau", "ours, s", "defaults, s", "defaults / ours", "our gap", "their gap", "their error in G"),
        optimum_rows(),
    )
    show("Growth with the number of classes", ("C", "tau", "seconds"), growth_rows())
    show(
        "NC1: K x K Gram route against a D x D pseudo-inverse in float64",
        ("K", "D", "ours, s", "pinv, s", "pinv / ours", "relative difference"),
        nc1_rows(),
    )


if __name__ == "__main__":
    main()
