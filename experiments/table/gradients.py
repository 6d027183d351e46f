"""Which share of the gradient each row's rare classes get: a table of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.sweep.results import GRADIENT_FORMS
from experiments.table.aggregate import seed_means, values_by_row
from experiments.table.records import Run
from geometry.significance import paired_test

NAMES = {"own": "contrast", "loss": "whole loss"}
NOTE = (
    "Gradients: norms by the logits of training batches' samples at the selected checkpoint. Few over many: mean norm "
    "of a few-shot sample over that of a many-shot one. Amplification: the same without the weights of the contrast's "
    "average over classes, mean and t interval over seeds. The contrast is shown whatever its weight in the loss."
)


@dataclass(frozen=True)
class GradientShare:
    """What the few-shot samples of a row's batches get, means over seeds of means over held-out domains.

    Attributes:
        dataset: name.
        setting: imbalance setting.
        algorithm: row of the table.
        gradient: ``contrast``, the run's own whatever its weight in the loss, or ``whole loss``.
        few_share: share of the summed gradient norm that few-shot samples get, in [0, 1].
        few_samples: their share of the samples.
        many_share: the same of many-shot samples.
        many_samples: their share of the samples.
        few_zero: share of the few-shot samples whose gradient is exactly zero; NaN without any.
        per_sample: mean gradient norm of a few-shot sample over that of a many-shot one.
        amplification: the same with the weights taken out that the contrast's average over classes gives.
        low: lower end of its interval over seeds (Student's t, cut off at 0); NaN for fewer than two seeds, and
            where all are alike.
        high: upper end.
        seeds: with a defined amplification on every held-out domain.
    """

    dataset: str
    setting: str
    algorithm: str
    gradient: str
    few_share: float
    few_samples: float
    many_share: float
    many_samples: float
    few_zero: float
    per_sample: float
    amplification: float
    low: float
    high: float
    seeds: int


def gradient_table(runs: Sequence[Run], *, level: float = 0.95) -> list[GradientShare]:
    """A line for every data set, setting, row and gradient that the runs have numbers of; empty where none has any.

    Args:
        runs: one for each place and seed.
        level: of the intervals.
    """
    found = []
    for dataset, setting in dict.fromkeys(run.place[:2] for run in runs):
        here = [run for run in runs if run.place[:2] == (dataset, setting)]
        domains = sorted({run.place.held_out for run in here})
        for form, prefix in GRADIENT_FORMS.items():
            for row in dict.fromkeys(run.place.algorithm for run in here):
                mine = [run for run in here if run.place.algorithm == row]
                if not any(np.isfinite(run.number(f"{prefix}many_share")) for run in mine):
                    continue
                found.append(GradientShare(dataset, setting, row, NAMES[form], *_numbers(mine, prefix, domains, level)))
    return found


HEADER = (
    "", "gradient of", "few: share of gradient", "few: share of samples", "few: gradient exactly 0", "few over many",
    "amplification", "seeds",
)  # fmt: skip


def in_words(shares: Sequence[GradientShare]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """For every data set and setting: its title, and lines under :data:`HEADER`, shares in percent."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for share in shares:
        percent = [_shown(100 * value, ".1f") for value in (share.few_share, share.few_samples, share.few_zero)]
        ratio = _shown(share.amplification)
        if not math.isnan(share.low):
            ratio += f" [{_shown(share.low)}, {_shown(share.high)}]"
        line = (share.algorithm, share.gradient, *percent, _shown(share.per_sample), ratio, share.seeds)
        found.setdefault(f"{share.dataset}, {share.setting}: gradient of few-shot samples", []).append(line)
    return list(found.items())


def _shown(value: float, form: str = "") -> str:
    if math.isnan(value):
        return "–"
    return format(value, form or (".2g" if abs(value) < 100 else ".0f"))


def _numbers(runs: Sequence[Run], prefix: str, domains: Sequence[str], level: float) -> list[float | int]:
    def by_seed(name: str) -> np.ndarray:
        return seed_means(next(iter(values_by_row(runs, prefix + name).values())), domains)

    names = ("few_share", "few_anchors", "many_share", "many_anchors", "few_zero", "amplification_raw")
    means = [float(values.mean()) if (values := by_seed(name)).size else float("nan") for name in names]
    ratios = by_seed("amplification")
    test = paired_test(ratios, np.zeros(ratios.size), test="t", level=level)
    return [*means, test.difference, float(np.maximum(test.low, 0.0)), test.high, ratios.size]
