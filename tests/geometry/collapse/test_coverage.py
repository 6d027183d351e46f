"""How often the nominal 95 % intervals of collapse metrics miss the population's value, as `measure` states it."""

import re

import numpy as np
import pytest

from geometry.collapse import measure
from tests.geometry.collapse.planted_classes import (
    CLASSES,
    DESIGNS,
    DEVIATION,
    DIMENSION,
    DIRECTIONS,
    intervals,
    means,
    outside,
    pairs,
    population,
)

COUNTS = dict(zip(("60 each", "60, 40, 20, 10, 6", "60, 40, 20, 5, 3"), DESIGNS, strict=True))
SETS = {DESIGNS[0]: 60, DESIGNS[1]: 100, DESIGNS[2]: 60}


def stated():
    """The table in `measure`'s docstring: the share of misses by directions, samples and metric, in percent."""
    lines = measure.__doc__.split("::\n\n")[1].split("\n\n")[0].splitlines()
    names = lines[0].split()[2:]
    found = {}
    for line in lines[1:]:
        directions, samples, *numbers = re.fullmatch(
            r" +(\w+) +(60 each|[\d, ]+\d)  +" + r" *([\d.]+)" * len(names), line
        ).groups()
        found[directions, COUNTS[samples.strip()]] = dict(zip(names, map(float, numbers), strict=True))
    return found


def formulas(centres):
    """The metrics of the normal classes themselves."""
    centred = centres - centres.mean(axis=0)
    between = centred.T @ centred / CLASSES
    pairs = [(i, j) for i in range(CLASSES) for j in range(CLASSES) if i < j]
    length = np.linalg.norm(centred, axis=1)
    cosine = np.array([centred[i] @ centred[j] / (length[i] * length[j]) for i, j in pairs])
    cdnv = [DIMENSION * DEVIATION**2 / np.sum((centres[i] - centres[j]) ** 2) for i, j in pairs]
    log_energy = [-np.log(np.linalg.norm(centred[i] / length[i] - centred[j] / length[j])) for i, j in pairs]
    return {
        "nc1": DEVIATION**2 * np.trace(np.linalg.pinv(between)) / CLASSES,
        "trace_ratio": DIMENSION * DEVIATION**2 / np.trace(between),
        "cdnv": np.mean(cdnv),
        "cdnv_max": np.max(cdnv),
        "means_norm_cov": length.std() / length.mean(),
        "means_cosine": cosine.mean(),
        "means_cosine_std": cosine.std(),
        "means_max_equiangularity": np.abs(cosine + 1 / (CLASSES - 1)).mean(),
        "means_min_angle": np.degrees(np.arccos(cosine.max())),
        "means_gnc2": np.mean(log_energy),
        "means_gnc2_variance": np.var(log_energy),
        "relative_error": np.linalg.norm(cosine + 1 / (CLASSES - 1)) / np.sqrt(len(pairs)) * (CLASSES - 1),
    }


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_the_population_has_the_metrics_of_its_formulas(directions):
    centres = means(directions, np.random.default_rng(0))
    found = intervals(population(centres), 0, 0)
    for name, value in formulas(centres).items():
        assert found[name][0] == pytest.approx(value), name


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("counts", DESIGNS)
def test_intervals_miss_as_often_as_stated(counts, directions):
    """Within three standard deviations of what 1,000 data sets gave."""
    found = [outside(*pair) for pair in pairs(counts, directions, SETS[counts], 200, 0)]
    for name, percent in stated()[directions, counts].items():
        key = name if name in found[0] else f"means_{name}"
        wrong = [one[key] for one in found if key in one]
        rate = percent / 100
        assert abs(np.mean(wrong) - rate) <= 3 * np.sqrt(rate * (1 - rate) / len(wrong)), name
