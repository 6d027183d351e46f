"""Check: are prediction prototypes of few-shot cells known better than the distance that aligning them reduces?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.checks.gradient_share import minority_groups
from geometry.checks.verdict import Claim, Verdict, decide, undecided, verdict
from geometry.defined import ratio
from geometry.intervals import Interval, percentile_interval, undefined
from geometry.trajectory import Trajectory, read_trajectory

Array = NDArray[np.float64]

SUBJECTS = ("batch", "moving")
THRESHOLD = 0.5
FEWEST_PAIRS = 3
DRAWS_EACH = 5  # draws for every resample asked for: they are cheap, and verdicts hang on their tails
MOMENTUM = 0.9  # of the recorded moving averages
WORDS = {"batch": "in one batch", "moving": "as a moving average over batches"}


@dataclass(frozen=True, eq=False)
class GroupStability:
    """Prototypes of one group of classes along training; T moments, root mean squares of L2 lengths.

    Attributes:
        distance: ``(T,)`` between two domains' prototypes of a class, sampling error taken off; NaN where the error
            explains all of it.
        batch_error: ``(T,)`` error of that difference when both prototypes come from one batch.
        moving_error: ``(T,)`` when both are moving averages over batches.
        drift: ``(T,)`` movement of a cell's prototype since the moment before; NaN at the first.
        standard_error: ``(T,)`` error of a cell's prototype from all its training samples.
        reliability: for each subject, the number that decides, of this group.
        pairs: pairs of domains, summed over classes, with a known variance on both sides.
        cells: cells with training samples.
        singles: cells of one sample, whose variance is unknown.
    """

    distance: Array
    batch_error: Array
    moving_error: Array
    drift: Array
    standard_error: Array
    reliability: Mapping[str, Interval]
    pairs: int
    cells: int
    singles: int


@dataclass(frozen=True, eq=False)
class _Pairs:
    """P pairs of cells ``(domain, class)`` of one class, both of two or more samples and met in recorded batches."""

    first: tuple[NDArray[np.intp], NDArray[np.intp]]
    second: tuple[NDArray[np.intp], NDArray[np.intp]]

    @property
    def size(self) -> int:
        return int(self.first[0].size)


def claim_about(subject: str) -> Claim:
    """The claim for prototypes of one ``batch`` or for ``moving`` averages."""
    return Claim(
        check="prototype_stability",
        subject=subject,
        sentence=f"Prediction prototypes of few-shot classes {WORDS[subject]} are known to better than the distance "
        "between domains that aligning them is to reduce.",
        source="needed by prototype alignment (NDCL, arXiv 2601.21999); the claim and its test are ours",
        rule="Reliability of the squared distance between two domains' prototypes of a few-shot class: distance over "
        "distance plus the error that the sample counts imply, both summed over pairs of domains and over all moments "
        f"after the first. Holds if its interval lies above {THRESHOLD:g} (error below distance), does not hold if it "
        f"lies below, undecided otherwise or with fewer than {FEWEST_PAIRS} pairs of cells of two or more samples.",
    )


def prototype_stability(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    r"""Hold the distance between domains' prototypes against their sampling error (ours).

    With ``v_dk`` the unbiased trace of a cell's covariance and ``N_dk`` its training samples, a prototype of n of them
    has ``E||p - mu||^2 = v / n``, so the squared distance of two domains' prototypes from *all* training samples
    overstates that of the domains by ``v_d / N_d + v_d' / N_d'``, which is taken off. A batch's prototype errs by
    ``v E[1/n]`` over the recorded batches that hold the cell; a moving average with weights ``w_b`` by
    ``v (1/N + sum_b w_b^2 (1/n_b - 1/N))``: it can never know more than the training samples do. How far training
    itself moves on while it averages is not in that (``drift`` shows it). Predictions are those of training samples,
    which a model that has fit them spreads less than unseen ones.

    Variances of cells of two samples are hardly known and means hardly better, so the interval draws both anew from
    what they tell of the truth: all v times ``nu / chi2_nu``, with Satterthwaite's nu for their sum over cells; each
    mean with one normal error of variance ``v / N`` along the difference, the same at every moment. One direction for
    all of the error is the widest case.

    Args:
        artifact: with the arrays of the probe ``trajectory``; shot groups as in ``gradient_share``.
        rng: source of randomness.
        resamples: draws.
        level: nominal coverage.

    Returns:
        Verdicts for ``batch`` and ``moving``; ``details`` hold ``step``, ``groups`` (:class:`GroupStability` by name)
        and ``observed_over_implied``: the squared error of recorded prototypes about the training mean over what the
        counts imply, 1 where sampling explains it.

    Raises:
        DataError: recorded arrays are malformed.
    """
    path = read_trajectory(artifact)
    if path is None:
        return _all_undecided("no probe arrays named trajectory/ are recorded", level)
    masks, how = minority_groups(artifact)
    if not masks:
        return _all_undecided(how, level)
    variance, factors = cell_variances(path), sampling_factors(path)
    groups = {name: _group(path, variance, factors, mask, rng, resamples, level) for name, mask in masks.items()}
    few = groups["few"]
    details = {
        "step": path.step,
        "groups": groups,
        "grouping": how,
        "observed_over_implied": observed_over_implied(path, variance, factors),
    }
    notes = [f"{few.singles} of {few.cells} few-shot cells hold one sample: their variance is unknown", how]
    if few.pairs < FEWEST_PAIRS:
        notes.insert(0, f"only {few.pairs} pairs of few-shot cells of two or more samples, {FEWEST_PAIRS} needed")
    verdicts = []
    for subject in SUBJECTS:
        estimate = few.reliability[subject]
        outcome = decide(estimate, THRESHOLD, enough=few.pairs >= FEWEST_PAIRS)
        verdicts.append(verdict(claim_about(subject), outcome, estimate, "; ".join(notes), details))
    return tuple(verdicts)


def cell_variances(path: Trajectory) -> Array:
    """``(T, M, K)`` unbiased trace of each cell's covariance of predictions; NaN for cells of fewer than two samples.

    ``v = s N / (N - 1)`` with s the recorded mean squared distance to the cell mean.
    """
    counts = path.cell_counts
    unbiased = np.where(counts > 1, counts / np.maximum(counts - 1, 1), np.nan)
    return np.asarray(path.prediction_scatter * unbiased, dtype=np.float64)


def sampling_factors(path: Trajectory) -> dict[str, Array]:
    """What multiplies a cell's variance to the squared error of its prototype, ``(M, K)`` each.

    ``batch``: mean ``1/n`` over recorded batches that hold the cell. ``moving``: ``1/N + sum_b w_b^2 (1/n_b - 1/N)``.
    ``all``: ``1/N``. NaN for cells that no batch holds (``all``: that are empty).
    """
    counts = path.cell_counts.astype(np.float64)
    everything = np.where(counts > 0, 1.0 / np.maximum(counts, 1.0), np.nan)
    batch, moving = np.full(counts.shape, np.nan), np.full(counts.shape, np.nan)
    recorded = path.batches
    here = recorded.moment == (recorded.moment.min() if recorded.moment.size else 0)  # the same batches every time
    for m, k in np.argwhere(counts > 0):
        met = recorded.count[here & (recorded.domain == m) & (recorded.label == k)]
        if met.size == 0:
            continue
        one = 1.0 / np.minimum(met, counts[m, k])  # a sample that comes twice in a batch counts once
        weights = (1.0 - MOMENTUM) * MOMENTUM ** np.arange(met.size - 1, -1, -1.0)
        weights[0] = MOMENTUM ** (met.size - 1)
        batch[m, k] = one.mean()
        moving[m, k] = everything[m, k] + weights**2 @ (one - everything[m, k])
    return {"batch": batch, "moving": moving, "all": everything}


def observed_over_implied(path: Trajectory, variance: Array, factors: Mapping[str, Array]) -> dict[str, float]:
    """Squared deviation of recorded prototypes from the training mean over the one implied, all moments and cells.

    About the mean of all N training samples, ``n`` of them without replacement err by ``v (1/n - 1/N)``.
    """
    recorded = path.batches
    at = (recorded.moment, recorded.domain, recorded.label)
    own = path.cell_counts[recorded.domain, recorded.label]
    spare = 1.0 / np.minimum(recorded.count, own) - 1.0 / own
    deviation = ((recorded.mean - path.prediction_means[at]) ** 2).sum(axis=1)
    moved = ((path.moving_prototypes - path.prediction_means) ** 2).sum(axis=-1)
    return {
        "batch": _quotient(deviation, variance[at] * spare),
        "moving": _quotient(moved, variance * (factors["moving"] - factors["all"])),
    }


def _quotient(observed: Array, implied: Array) -> float:
    known = np.isfinite(observed) & np.isfinite(implied)
    return float(ratio(observed[known].sum(), implied[known].sum()))


def _all_undecided(reason: str, level: float) -> tuple[Verdict, ...]:
    return tuple(undecided(claim_about(subject), reason, level=level) for subject in SUBJECTS)


def _group(
    path: Trajectory,
    variance: Array,
    factors: Mapping[str, Array],
    mask: NDArray[np.bool_],
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> GroupStability:
    means, filled = path.prediction_means, (path.cell_counts > 0) & mask
    pairs = _pairs(filled & (path.cell_counts > 1) & np.isfinite(factors["batch"]))
    raw = ((means[:, *pairs.first] - means[:, *pairs.second]) ** 2).sum(axis=-1)
    errors = {name: _pair_error(variance * factor, pairs) for name, factor in factors.items()}
    drift = np.full(len(path.step), np.nan)
    drift[1:] = [_root_mean(((now - then)[filled] ** 2).sum(axis=-1)) for then, now in pairwise(means)]
    return GroupStability(
        distance=np.array([_root_mean(row) for row in raw - errors["all"]]),
        batch_error=np.array([_root_mean(row) for row in errors["batch"]]),
        moving_error=np.array([_root_mean(row) for row in errors["moving"]]),
        drift=drift,
        standard_error=np.array([_root_mean(row[np.isfinite(row)]) for row in (variance * factors["all"])[:, filled]]),
        reliability=_reliability(path, variance, factors, pairs, raw, rng, resamples, level),
        pairs=pairs.size,
        cells=int(filled.sum()),
        singles=int((path.cell_counts[filled] == 1).sum()),
    )


def _pairs(known: NDArray[np.bool_]) -> _Pairs:
    chosen = [(d, e, k) for k in range(known.shape[1]) for d, e in combinations(np.flatnonzero(known[:, k]), 2)]
    first, second, label = np.array(chosen, dtype=np.intp).reshape(-1, 3).T
    return _Pairs((first, label), (second, label))


def _pair_error(error: Array, pairs: _Pairs) -> Array:
    """``(..., P)`` squared error of a difference of prototypes, from that of each ``(..., M, K)``."""
    return np.asarray(error[..., *pairs.first] + error[..., *pairs.second], dtype=np.float64)


def _reliability(
    path: Trajectory,
    variance: Array,
    factors: Mapping[str, Array],
    pairs: _Pairs,
    raw: Array,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> dict[str, Interval]:
    """``sum distance^2 / sum (distance^2 + error^2)`` over pairs and the moments after the first, with its interval."""
    resamples *= DRAWS_EACH
    if pairs.size == 0:
        return {subject: undefined(0, "no pair of cells with known variances", level) for subject in SUBJECTS}
    counts = path.cell_counts
    inflated = np.ones((resamples + 1, 1, 1))  # the first draw is the estimate itself
    error = np.zeros((resamples + 1, *counts.shape))
    degrees = _degrees_of_freedom(variance[1:].sum(axis=0) * factors["batch"], counts, pairs)
    inflated[1:, 0, 0] = degrees / rng.chisquare(degrees, resamples)
    error[1:] = rng.standard_normal((resamples, *counts.shape))
    distance, noise = np.zeros(resamples + 1), {subject: np.zeros(resamples + 1) for subject in SUBJECTS}
    for moment in range(1, len(path.step)):
        drawn = variance[moment] * inflated
        own = drawn * factors["all"]
        off = np.sqrt(own) * error
        moved = off[:, *pairs.first] - off[:, *pairs.second]
        spread = moved**2
        spread[1:] -= _pair_error(own, pairs)[1:]  # the error's own square has this mean
        squares = raw[moment] + 2.0 * np.sqrt(raw[moment]) * moved + spread - _pair_error(own, pairs)
        distance += squares.sum(axis=1)
        for subject in SUBJECTS:
            noise[subject] += _pair_error(drawn * factors[subject], pairs).sum(axis=1)
    found = {}
    for subject in SUBJECTS:
        signal = np.maximum(distance, 0.0)  # less than its error: domains that cannot be told apart
        total = signal + noise[subject]
        share = np.asarray(ratio(signal, total))
        made = percentile_interval(float(share[0]), share[1:], n=pairs.size, level=level)
        found[subject] = replace(made, method=made.method.replace("percentile bootstrap", "drawn means and variances"))
    return found


def _degrees_of_freedom(error: Array, counts: NDArray[np.int64], pairs: _Pairs) -> float:
    """Welch and Satterthwaite's of a sum over pairs of cells, ``(sum c)^2 / sum (c^2 / (N - 1))``; 1 for a sum of 0."""
    share = np.zeros(counts.shape)
    for cells in (pairs.first, pairs.second):
        np.add.at(share, cells, error[cells])
    square = float((share**2 / np.maximum(counts - 1, 1)).sum())
    return float(share.sum() ** 2 / square) if square > 0 else 1.0


def _root_mean(squares: Array) -> float:
    """Root of a mean of squares; NaN where there is none, or sampling error leaves nothing of it."""
    mean = float(squares.mean()) if squares.size else float("nan")
    return float(np.sqrt(mean)) if mean >= 0 else float("nan")
