"""Which term predicts generalization? Rank correlations of bound terms with target errors over many runs.

Runs on one held-out domain share its images, so a study of 960 runs on four domains has four independent units, not
960: every statement here is made over clusters of runs, and where clusters are few it says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geometry.bound.model_permutation import ModelPermutation, permute_models
from geometry.bound.run_clusters import (
    LEAST_RUNS,
    LEAST_TESTED,
    Clusters,
    codes,
    correlation,
    kendall,
    partial_correlation,
)
from geometry.bound.run_table import Needs, Runs, Term
from geometry.defined import mean_defined
from geometry.errors import DataError, UsageError
from geometry.intervals import Interval, undefined
from geometry.significance import holm

Array = NDArray[np.float64]
CLUSTERS = ("held-out domain", "held-out domain and seed")
FEW_CLUSTERS = 10


@dataclass(frozen=True, eq=False)
class Association:
    """How one term goes with one outcome over the runs; all correlations are Spearman's unless named otherwise.

    Attributes:
        term: its name.
        outcome: its name.
        needs: what measuring the term takes.
        trivial: why it goes with the outcome by construction.
        within: mean over clusters of the correlation among the runs of a cluster, with Student's t interval over
            clusters (Ibragimov and Mueller 2010): the number to read.
        bootstrap: the same with a percentile interval over redrawn clusters; too short with few clusters.
        pooled: correlation over all runs together, between-domain differences included, clusters redrawn.
        within_kendall: mean over clusters of Kendall's tau-b.
        pooled_kendall: Kendall's tau-b over all runs.
        domains: correlation on the runs of each held-out domain alone.
        same_sign: how many of the domains with a correlation have the sign of ``within``.
        partial: ``within`` with source risk, model or setting held fixed (on ranks inside each cluster).
        p_domains: two-sided p-value of t over clusters: other clusters, the same models. NaN for a single cluster, for
            clusters that are all alike, and where one has fewer than six runs.
        models: permutation of the models: the same splits, other models.
        p_value: the larger of the two, so that the claim needs both; of the first alone where no model moves the term,
            and then NaN where seeds are clusters.
        p_holm: ``p_value`` after Holm's correction over the terms of the same kind (oracles apart) for this outcome;
            terms that rank the runs alike count once.
        same_as: an earlier term that ranks the runs alike (so that all numbers are its numbers), or empty.
        n: runs with both numbers.
        note: why something is undefined.
    """

    term: str
    outcome: str
    needs: Needs
    trivial: str
    within: Interval
    bootstrap: Interval
    pooled: Interval
    within_kendall: float
    pooled_kendall: float
    domains: dict[str, float]
    same_sign: int
    partial: dict[str, Interval]
    p_domains: float
    models: ModelPermutation
    p_value: float
    p_holm: float
    same_as: str
    n: int
    note: str

    @property
    def oracle(self) -> bool:
        """Whether it takes target labels."""
        return self.needs == "target labels"


@dataclass(frozen=True, eq=False)
class Predictive:
    """The answer for every term and outcome.

    Attributes:
        associations: one a term and outcome, strongest ``within`` first inside each outcome.
        runs: number of runs.
        held_out: the domains.
        clusters: what a cluster is.
        num_clusters: how many there are.
        level: nominal coverage.
        resamples: redraws of clusters and permutations of models.
        seed: of both.
        caution: what so many clusters can tell.
    """

    associations: tuple[Association, ...]
    runs: int
    held_out: tuple[str, ...]
    clusters: str
    num_clusters: int
    level: float
    resamples: int
    seed: int
    caution: str


def predictive(
    runs: Runs, *, clusters: str = CLUSTERS[0], resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Predictive:
    """Correlate every term with every outcome.

    Args:
        runs: the table.
        clusters: one of ``CLUSTERS``. Held-out domains speak about other domains. With seeds, the clusters are more,
            but the claim is about other splits and seeds of *these* domains only.
        resamples: redraws of clusters, and permutations of models.
        seed: of both; every term has the same draws, so that none depends on which others there are.
        level: nominal coverage.

    Raises:
        UsageError: unknown clusters, or a number out of range.
        DataError: fewer than two runs.
    """
    if clusters not in CLUSTERS:
        raise UsageError(f"Unknown clusters {clusters!r}; known: {', '.join(CLUSTERS)}.")
    if resamples < 20 or not 0.0 < level < 1.0:
        raise UsageError(f"Expected 20 resamples or more and a level in (0, 1), got {resamples} and {level}.")
    if len(runs.held_out) < 2:
        raise DataError(f"Expected two runs or more to correlate over, got {len(runs.held_out)}.")
    by_seed = clusters == CLUSTERS[1]
    code = codes([(d, s if by_seed else 0) for d, s in zip(runs.held_out, runs.seed, strict=True)])
    design = _Design(runs, Clusters(code, resamples, np.random.default_rng([seed, 0]), level), by_seed, resamples, seed)
    found: list[Association] = []
    alike = _alike(runs.terms)
    for outcome, errors in runs.outcomes.items():
        of_outcome = [_associate(term, outcome, errors, design) for term in runs.terms]
        for oracle in (False, True):
            kind = _adjusted([one for one in of_outcome if one.oracle is oracle], alike)
            found += sorted(kind, key=lambda one: -np.nan_to_num(abs(one.within.estimate), nan=-1.0))
    count = design.clusters.count
    domains = tuple(dict.fromkeys(runs.held_out))
    caution = _caution(count, clusters, len(domains), int(np.bincount(code).min()))
    return Predictive(tuple(found), len(code), domains, clusters, count, level, resamples, seed, caution)


@dataclass(frozen=True, eq=False)
class _Design:
    """What every term shares: the runs, their clusters, and the random draws."""

    runs: Runs
    clusters: Clusters
    by_seed: bool
    resamples: int
    seed: int


def _associate(term: Term, outcome: str, errors: Array, design: _Design) -> Association:
    runs, clusters = design.runs, design.clusters
    known = ~(np.isnan(term.values) | np.isnan(errors))
    x, y = term.values[known], errors[known]
    held_out = np.asarray(runs.held_out)
    inside = clusters.correlations(term.values, errors)
    within, p_domains = clusters.mean(inside, clusters.sizes(known), _why_undefined(x, y, clusters.code[known]))
    domains = {
        name: correlation(x[held_out[known] == name], y[held_out[known] == name]) for name in dict.fromkeys(held_out)
    }
    models = permute_models(
        term.values,
        errors,
        blocks=codes(list(zip(runs.held_out, runs.setting, runs.seed, strict=True))),
        cells=clusters.code,
        models=codes(runs.model),
        permutations=design.resamples,
        rng=np.random.default_rng([design.seed, 1]),
    )
    # Seeds of one domain share what its settings do: there a term of the splits alone goes with the error by chance.
    untested = design.by_seed and models.constant
    pooled, bootstrap = clusters.redrawn(term.values, errors, inside)
    tau = clusters.correlations(term.values, errors, kendall)
    return Association(
        term=term.name,
        outcome=outcome,
        needs=term.needs,
        trivial=term.trivial,
        within=within,
        bootstrap=bootstrap,
        pooled=pooled,
        within_kendall=float(mean_defined(tau)),
        pooled_kendall=kendall(x, y),
        domains={str(name): value for name, value in domains.items()},
        same_sign=sum(value * within.estimate > 0 for value in domains.values()),
        partial=_partial(term, errors, design),
        p_domains=p_domains,
        models=models,
        p_value=float("nan") if untested else joint_p_value(p_domains, models),
        p_holm=float("nan"),
        same_as="",
        n=int(x.size),
        note="" if np.isfinite(p_domains) else within.method.removeprefix("undefined: "),
    )


def _alike(terms: Sequence[Term]) -> dict[str, str]:
    """For every term the first one of its kind with the same ranks over the runs, itself where it is the first."""
    first: dict[tuple[bool, bytes], str] = {}
    found = {}
    for term in terms:
        rounded = np.array([float(f"{value:.9g}") for value in term.values])  # one number computed in two ways
        ranks = np.unique(rounded, return_inverse=True)[1] * ~np.isnan(rounded) - np.isnan(rounded)
        key = (term.needs == "target labels", ranks.astype(np.int64).tobytes())
        found[term.name] = first.setdefault(key, term.name)
    return found


def _adjusted(kind: Sequence[Association], alike: dict[str, str]) -> list[Association]:
    """Holm's correction over the terms that differ."""
    distinct = [one for one in kind if alike[one.term] == one.term]
    p_values = {one.term: p for one, p in zip(distinct, holm([one.p_value for one in distinct]), strict=True)}
    same = {one.term: "" if alike[one.term] == one.term else alike[one.term] for one in kind}
    return [replace(one, p_holm=float(p_values[alike[one.term]]), same_as=same[one.term]) for one in kind]


def joint_p_value(p_domains: float, models: ModelPermutation) -> float:
    """The larger of two p-values: the claim is about other clusters *and* other models, so both nulls must fall.

    Rejecting only where both tests do keeps the level under either null (intersection-union; Berger 1982). A term that
    no permutation of models can move has the first alone; where a test cannot be made the claim cannot either (NaN).

    >>> moved = ModelPermutation(0.3, 0.2, models=12, blocks=80, constant=False, note="")
    >>> joint_p_value(0.01, moved)
    0.2
    """
    return float(p_domains if models.constant else np.maximum(p_domains, models.p_value))


def _partial(term: Term, errors: Array, design: _Design) -> dict[str, Interval]:
    """The correlation inside clusters with one thing at a time held fixed."""
    runs, clusters, found = design.runs, design.clusters, dict[str, Interval]()
    held = {"model": codes(runs.model), "setting": codes(runs.setting)}
    control = next((one.values for one in runs.terms if one.name == runs.control), None)
    for name in (*(() if control is None else (runs.control,)), *held):
        fixed = control if name == runs.control and control is not None else held[name]
        known = ~(np.isnan(term.values) | np.isnan(errors) | np.isnan(fixed))
        if name == term.name:
            found[name] = undefined(int(known.sum()), "it is what is held fixed", clusters.level)
            continue
        inside = np.full(clusters.count, np.nan)
        for g in range(clusters.count):
            here = known & (clusters.code == g)
            inside[g] = partial_correlation(term.values[here], errors[here], fixed[here], categorical=name in held)
        reason = f"nothing varies inside a cluster once {name} is held fixed"
        found[name] = clusters.mean(inside, clusters.sizes(known), reason)[0]
    return found


def _why_undefined(x: Array, y: Array, code: NDArray[np.intp]) -> str:
    """Why there may be no correlation inside any cluster."""
    if x.size == 0:
        return "no run has both numbers"
    if np.bincount(code).max() < LEAST_RUNS:
        return f"fewer than {LEAST_RUNS} runs in every cluster"
    if np.unique(x).size < 2:
        return "constant over the runs"
    return "constant inside every cluster"


def _caution(count: int, clusters: str, domains: int, least: int) -> str:
    """What clusters so many, the smallest of ``least`` runs, can tell."""
    if count < 2:
        return "One cluster: no interval and no test; correlations describe these runs only."
    few = f" No p-value where a cluster has fewer than {LEAST_TESTED} runs." if least < LEAST_TESTED else ""
    if count < FEW_CLUSTERS:
        return (
            f"{count} clusters ({clusters}): Student's t over {count} numbers. Only an association that is strong and "
            f"alike in every one can be told from none, and bootstrap intervals over so few are too short.{few}"
        )
    if clusters == CLUSTERS[1]:
        return (
            f"{count} clusters of {domains} held-out domains: this says nothing about other domains, and tests no term "
            f"that is the same for all models.{few}"
        )
    return f"{count} clusters ({clusters}).{few}"
