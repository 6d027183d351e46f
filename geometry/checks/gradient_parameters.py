"""Which classes the gradient of a loss by the parameters is made of."""

from dataclasses import dataclass

import numpy as np

from geometry.artifact import Artifact
from geometry.checks.gradient_amplification import redraw_batches
from geometry.checks.gradient_records import Array, Masks
from geometry.defined import ratio
from geometry.errors import DataError
from geometry.intervals import Interval, percentile_interval

PREFIX = "parameter_gradient/"
PARTS = ("head", "trained")


@dataclass(frozen=True, eq=False)
class ParameterShare:
    """What each class contributes to the gradient by the parameters, over B batches.

    With ``g = sum_k g_k`` the gradient of a batch and its contributions by class (a probe says how they are made):

    Attributes:
        part: of the parameters: ``head``, or ``trained`` for all that were.
        along: ``(K,)`` ``sum_b <g_k, g>/|g| / sum_b |g|``: shares that sum to 1; negative where a class pulls against
            the others.
        norm: ``(K,)`` ``sum_b |g_k| / sum_b sum_j |g_j|``.
        samples: ``(K,)`` share of the samples.
        groups_along: the first of each shot group, with an interval over batches.
        groups_norm: the second.
        groups_samples: the third.
        batches: B.
    """

    part: str
    along: Array
    norm: Array
    samples: Array
    groups_along: dict[str, Interval]
    groups_norm: dict[str, Interval]
    groups_samples: dict[str, float]
    batches: int


def parameter_shares(
    artifact: Artifact, loss: str, masks: Masks, *, rng: np.random.Generator, resamples: int, level: float
) -> dict[str, ParameterShare]:
    """:class:`ParameterShare` of each recorded part of the parameters; empty where nothing is recorded.

    Args:
        artifact: with ``parameter_gradient/<loss>/count`` and, of each part, ``<part>/norm``, ``<part>/along`` ``(B,
            K)`` and ``<part>/total`` ``(B,)``; NaN where a class is absent from a batch.
        loss: its name.
        masks: shot groups, ``(K,)`` each.
        rng: source of randomness.
        resamples: bootstrap redraws of the batches.
        level: nominal coverage.

    Raises:
        DataError: arrays are missing or of the wrong shape.
    """
    shares = {}
    for part in PARTS:
        names = {what: f"{PREFIX}{loss}/{part}/{what}" for what in ("norm", "along", "total")}
        names["count"] = f"{PREFIX}{loss}/count"
        if names["norm"] not in artifact.probes:
            continue
        missing = [name for name in names.values() if name not in artifact.probes]
        if missing:
            raise DataError(f"Expected a probe array {missing[0]!r} beside {names['norm']!r}; record it again.")
        found = {what: np.nan_to_num(artifact.probes[name].astype(np.float64)) for what, name in names.items()}
        batches = len(found["total"])
        for what in ("norm", "along", "count"):
            if found[what].shape != (batches, artifact.num_classes) or not batches:
                raise DataError(
                    f"Expected (batches, {artifact.num_classes}) numbers in {names[what]!r}, got {found[what].shape}."
                )
        draws = redraw_batches(batches, resamples, rng)
        shares[part] = _share(part, found, masks, draws, level)
    return shares


def _share(part: str, found: dict[str, Array], masks: Masks, draws: Array, level: float) -> ParameterShare:
    whole = {"along": found["total"], "norm": found["norm"].sum(axis=1), "count": found["count"].sum(axis=1)}

    def groups(what: str) -> dict[str, Interval]:
        result = {}
        for name, mask in masks.items():
            inside = found[what][:, mask].sum(axis=1)
            estimate = float(ratio(inside.sum(), whole[what].sum()))
            redrawn = ratio(draws @ inside, draws @ whole[what])
            result[name] = percentile_interval(estimate, redrawn, n=len(inside), level=level)
        return result

    by_class = {what: np.asarray(ratio(found[what].sum(axis=0), whole[what].sum())) for what in whole}
    return ParameterShare(
        part=part,
        along=by_class["along"],
        norm=by_class["norm"],
        samples=by_class["count"],
        groups_along=groups("along"),
        groups_norm=groups("norm"),
        groups_samples={name: float(by_class["count"][mask].sum()) for name, mask in masks.items()},
        batches=len(found["total"]),
    )
