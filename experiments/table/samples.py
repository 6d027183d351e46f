"""Paired tests on the target samples themselves, from the logits that the runs kept."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.data.randomness import named_generator
from experiments.sweep.status import LOGITS
from experiments.table.records import Run
from geometry.bound.margin import score_margin
from geometry.errors import DataError
from geometry.significance import PairedTest, bootstrap_test
from geometry.split_bootstrap import SplitAccuracies, redrawn_accuracies

SAMPLED = {"target_accuracy": False, "target_balanced_accuracy": True}  # whether classes weigh alike
RESAMPLES = 2000

Where = tuple[str, str, str]  # data set, setting, held-out domain


class SampleTests:
    """Differences of the target accuracy between rows, under redraws of the target samples inside each class.

    What is tested are *these trained models* on other images of the same domains: seeds and domains are taken as they
    are, and a difference is its mean over the seeds of a domain, then over the domains. A sample that the splits of
    several seeds share is redrawn in all of them at once. Tests over runs ask the other question, what another seed
    would have given.

    Args:
        runs: one for each place and seed.
        resamples: redraws.
        seed: of the redraws.
    """

    def __init__(self, runs: Iterable[Run], *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self._resamples, self._seed = resamples, seed
        self._runs: dict[Where, list[Run]] = {}
        for run in runs:
            self._runs.setdefault(run.place[:3], []).append(run)
        self._rows = {
            where: list(dict.fromkeys(r.place.algorithm for r in found)) for where, found in self._runs.items()
        }
        self._outcomes: dict[Where, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}
        self._redrawn: dict[tuple[Where, str], SplitAccuracies] = {}

    def compare(
        self, dataset: str, setting: str, metric: str, domains: Sequence[str], level: float, row: str, other: str
    ) -> PairedTest:
        """Test one row against another one on the mean over held-out domains.

        A metric that is not in :data:`SAMPLED`, and a domain without a seed that both rows have, make it undefined.

        Args:
            dataset: name.
            setting: imbalance setting.
            metric: name.
            domains: held-out domains.
            level: of the interval.
            row: name.
            other: name of the other row.

        Raises:
            DataError: a run kept no logits, or the splits do not agree on a label.
        """
        differences, draws, samples, dropped = [], [], 0, 0
        for domain in domains:
            where = (dataset, setting, domain)
            rows = self._rows.get(where, [])
            if metric not in SAMPLED or row not in rows or other not in rows:
                differences.append(np.nan)
                continue
            found = self._accuracies(where, metric)
            pair = [rows.index(row), rows.index(other)]
            first, second = found.estimate[:, pair].T
            both = np.isfinite(first) & np.isfinite(second)
            dropped += int(both.size - both.sum())
            samples += found.samples
            differences.append(float(np.mean((first - second)[both])) if both.any() else np.nan)
            draws.append(
                (found.draws[:, both, pair[0]] - found.draws[:, both, pair[1]]).mean(axis=1) if both.any() else 0
            )
        return bootstrap_test(
            float(np.mean(differences)),
            np.mean(draws, axis=0) if draws else np.zeros(1),
            units=samples,
            method=f"paired bootstrap over {samples} target samples",
            dropped=dropped,
            level=level,
        )

    def _accuracies(self, where: Where, metric: str) -> SplitAccuracies:
        if (where, metric) not in self._redrawn:
            if where not in self._outcomes:
                self._outcomes[where] = _outcomes(self._runs[where], self._rows[where])
            outcomes, labels = self._outcomes[where]
            self._redrawn[where, metric] = redrawn_accuracies(
                outcomes,
                labels,
                rng=named_generator(self._seed, "sample tests", *where),
                balanced=SAMPLED[metric],
                resamples=self._resamples,
            )
        return self._redrawn[where, metric]


def _outcomes(runs: Sequence[Run], rows: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """``(N, S, C)`` whether each sample is right by seed and row, NaN where not tested, and the classes ``(N,)``."""
    seeds = sorted({run.seed for run in runs})
    read = [_target(run.path) for run in runs]
    samples = np.unique(np.concatenate([index for index, _, _ in read]))
    labels = np.full(samples.size, -1, dtype=np.int64)
    outcomes = np.full((samples.size, len(seeds), len(rows)), np.nan)
    for run, (index, codes, right) in zip(runs, read, strict=True):
        at = np.searchsorted(samples, index)
        if np.any((labels[at] >= 0) & (labels[at] != codes)):
            raise DataError(
                f"The target samples in {run.path} are not those of the other runs on {run.place.held_out}; "
                "tests on samples need runs on the same data."
            )
        labels[at] = codes
        outcomes[at, seeds.index(run.seed), rows.index(run.place.algorithm)] = right
    return outcomes, labels


def _target(run: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Positions, classes and outcomes of a run's target samples."""
    from safetensors import SafetensorError, safe_open

    file = run / LOGITS
    try:
        with safe_open(file, "numpy") as saved:
            index, labels, logits = (saved.get_tensor(f"{name}/target") for name in ("index", "labels", "logits"))
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"Expected the logits of the target samples at {file}, cannot read them ({error}); tests on samples need "
            "sweeps that keep logits (keep: [logits]), at hand with their runs."
        ) from error
    return index, labels, score_margin(logits.astype(np.float64), labels) > 0
