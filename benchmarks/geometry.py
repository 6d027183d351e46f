"""Geometry: the optimum against CVXPY's defaults, and NC1's Gram route against a pseudo-inverse.

python -m benchmarks.geometry             # a few minutes
python -m benchmarks.geometry --hundred   # with CVXPY's defaults at C = 100, which take minutes and gigabytes
"""

import sys
import warnings
from statistics import median

import numpy as np

from benchmarks.timing import compare, seconds_of, show
from geometry.collapse import class_statistics, nc1
from geometry.errors import TailgeomError
from geometry.optimum import Program, certify, class_proportions, solve
from geometry.optimum.loss_family import InfoNCE


def long_tail(num_classes: int, ratio: float = 100.0) -> np.ndarray:
    return class_proportions(ratio ** -(np.arange(num_classes) / (num_classes - 1)))


def cvxpy_defaults(proportions: np.ndarray, tau: float) -> tuple[np.ndarray, str]:
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
    return np.asarray(gram.value), str(problem.solver_stats.solver_name)


SOLVERS = ("auto", "factor", "burer-monteiro", "reduced", "conic")
CONIC_MOST = 50  # classes up to which our own conic model is timed: it is the reference, not the fast way


def optimum_rows(sizes: tuple[int, ...]) -> list[tuple[object, ...]]:
    """Every solver against CVXPY's defaults on the same program, each ratio from one run of both in turn."""
    rows: list[tuple[object, ...]] = []
    for size in sizes:
        for tau in (1.0,) if size >= 100 else (1.0, 0.1):  # minutes each
            proportions = long_tail(size)
            reference = solve(proportions, tau=tau, tolerance=1e-9).gram
            rounds = 3 if size <= 20 else 1
            theirs = {}

            def defaults(p=proportions, t=tau, out=theirs):
                out["gram"], out["solver"] = cvxpy_defaults(p, t)

            slow = [seconds_of(defaults) for _ in range(rounds)]
            gram = _feasible(theirs["gram"])
            gap = certify(Program(proportions, InfoNCE(1.0), tau), gram).relative_gap
            name = f"CVXPY's defaults ({theirs['solver']})"
            proved = gap if np.isfinite(gap) else "none"  # the gap is larger than the loss itself
            rows.append((size, tau, name, median(slow), 1.0, proved, np.abs(gram - reference).max()))
            for method in SOLVERS:
                if method == "conic" and size > CONIC_MOST:
                    continue
                found = {}

                def ours(p=proportions, t=tau, m=method, out=found):
                    out["optimum"] = solve(p, tau=t, method=m, require_certificate=False)

                try:
                    fast = [seconds_of(ours) for _ in range(rounds)]
                except TailgeomError as error:
                    rows.append((size, tau, f"{method}: {error}", None, None, None, None))
                    continue
                optimum = found["optimum"]
                name = f"auto ({optimum.method})" if method == "auto" else method
                error = np.abs(optimum.gram - reference).max()
                rows.append((size, tau, name, median(fast), median(slow) / median(fast), optimum.relative_gap, error))
    return rows


def _feasible(gram: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    gram = (vectors * np.maximum(values, 0)) @ vectors.T
    scale = np.sqrt(np.diag(gram))
    gram = gram / np.outer(scale, scale)
    np.fill_diagonal(gram, 1.0)
    return gram


def growth_rows() -> list[tuple[object, ...]]:
    """Seconds of ``solve`` with its choices left alone, as the number of classes grows."""
    rows: list[tuple[object, ...]] = []
    for size in (10, 30, 100, 300, 1000):
        for tau in (1.0, 0.5, 0.1):
            found = {}

            def ours(s=size, t=tau, out=found):
                out["optimum"] = solve(long_tail(s), tau=t)

            ours() if size <= 100 else None  # warm-up where it is cheap
            seconds = seconds_of(ours)
            rows.append((size, tau, found["optimum"].method, seconds, found["optimum"].relative_gap))
    return rows


def finite_rows() -> list[tuple[object, ...]]:
    """The same with k negatives, whose expectation is an integral."""
    return [
        (100, tau, k, seconds_of(lambda t=tau, n=k: solve(long_tail(100), tau=t, negatives=n)))
        for tau in (1.0, 0.5, 0.1)
        for k in (1, 16, 256)
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


def main(words: list[str]) -> None:
    sizes = (10, 20, 50, 100) if "--hundred" in words else (10, 20, 50)
    show(
        "The optimum for a long tail of 100 to 1, InfoNCE, many negatives: every solver against CVXPY's defaults",
        ("C", "tau", "solver", "seconds", "defaults / solver", "certified relative gap", "error in G"),
        optimum_rows(sizes),
    )
    show("Growth with the number of classes", ("C", "tau", "method", "seconds", "certified gap"), growth_rows())
    show("k negatives, C = 100", ("C", "tau", "k", "seconds"), finite_rows())
    show(
        "NC1: K x K Gram route against a D x D pseudo-inverse in float64",
        ("K", "D", "ours, s", "pinv, s", "pinv / ours", "relative difference"),
        nc1_rows(),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
