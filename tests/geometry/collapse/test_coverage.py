"""How often the nominal 95 % intervals of collapse metrics miss the population's value, as `measure` states it.

Its table is ``missed(counts, 1000)``: ``python -c "from tests.geometry.collapse.test_coverage import missed;
print(missed((60, 40, 20, 10, 6), 1000))"``, eight seconds.
"""

import numpy as np
import pytest

from geometry.collapse import METRICS, LabelledFeatures
from geometry.collapse.scope import class_values, draw, interval

DIMENSION, SPREAD, LENGTHS = 8, 0.4, np.array([[2.0], [2.0], [1.5], [1.5], [1.0]])
CLASSES = np.arange(5)
MEANS = np.linalg.qr(np.random.default_rng(0).normal(size=(DIMENSION, DIMENSION)))[0][:5] * LENGTHS
METHOD = "basic and percentile bootstrap, the wider end, 200 resamples"


def population():
    """The metrics of the normal classes themselves, from their formulas."""
    centred = MEANS - MEANS.mean(axis=0)
    between = centred.T @ centred / CLASSES.size
    pairs = [(i, j) for i in CLASSES for j in CLASSES if i < j]
    length = np.linalg.norm(centred, axis=1)
    cosine = np.array([centred[i] @ centred[j] / (length[i] * length[j]) for i, j in pairs])
    return {
        "nc1": SPREAD**2 * np.trace(np.linalg.pinv(between)) / CLASSES.size,
        "trace_ratio": DIMENSION * SPREAD**2 / np.trace(between),
        "cdnv": np.mean([DIMENSION * SPREAD**2 / np.sum((MEANS[i] - MEANS[j]) ** 2) for i, j in pairs]),
        "means_norm_cov": length.std() / length.mean(),
        "means_cosine": cosine.mean(),
        "means_cosine_std": cosine.std(),
        "means_max_equiangularity": np.abs(cosine + 1 / (CLASSES.size - 1)).mean(),
        "means_min_angle": np.degrees(np.arccos(cosine.max())),
    }


def missed(counts, trials):
    """Share of data sets whose interval misses, by metric."""
    truth, labels = population(), np.repeat(CLASSES, counts)
    wrong = dict.fromkeys(truth, 0)

    def values(moments):
        found = class_values(moments.statistics("balanced"), CLASSES, None)
        return {name: found[name] for name in truth}

    for trial in range(trials):
        rng = np.random.default_rng([0, trial])
        data = LabelledFeatures.of(MEANS[labels] + SPREAD * rng.normal(size=(labels.size, DIMENSION)), labels)
        estimates = values(data.moments())
        draws = draw(lambda drawn, data=data: values(data.moments(drawn)), labels, 200, rng, 1000)
        for name, value in truth.items():
            found = interval(METRICS[name], estimates[name], draws[name], labels.size, 0.95, None)
            assert found.method.startswith(METHOD)
            wrong[name] += not found.low <= value <= found.high
    return {name: count / trials for name, count in wrong.items()}


@pytest.mark.parametrize(
    ("counts", "trials", "stated"),
    [
        ((60, 60, 60, 60, 60), 100, (4, 3, 3, 4, 4, 7, 4, 6)),
        ((60, 40, 20, 10, 6), 200, (9, 5, 6, 5, 12, 24, 10, 11)),
        ((60, 40, 20, 5, 3), 100, (13, 8, 12, 9, 18, 39, 18, 17)),
    ],
)
def test_intervals_miss_as_often_as_stated(counts, trials, stated):
    """Within three standard deviations; basic bootstrap intervals miss the mean cosine in 23 % of the second row."""
    found = missed(counts, trials)
    for (name, share), percent in zip(found.items(), stated, strict=True):
        rate = percent / 100
        assert abs(share - rate) <= 3 * np.sqrt(rate * (1 - rate) / trials), (name, share)
