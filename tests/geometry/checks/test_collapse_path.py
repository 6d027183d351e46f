"""Trajectories towards the optimum and away from it, minorities on either side, and where nothing can be said."""

import json
from functools import cache
from importlib import import_module

import numpy as np
import pytest

from geometry.alignment import cosines
from geometry.atomic import plain
from geometry.checks.collapse_path import collapse_path, program_settings, step_threshold
from geometry.frames import simplex_etf
from geometry.layer_peeled import layer_peeled
from geometry.optimum.solve import solve
from geometry.thresholds import threshold
from tests.geometry.checks.planted_trajectories import (
    LADDER,
    at_optimum,
    between,
    half_collapsed,
    minority_angle,
    minority_at,
    moving,
)

ONE_MAJORITY = (3000, 10, 10, 10, 10, 10)  # R = 300, beyond R* of one majority and five minority classes


@pytest.fixture
def solved_once(monkeypatch):
    """Artifacts of the same counts share one optimum."""
    known = cache(lambda counts, settings: solve(counts, **dict(settings)))

    def remembered(counts, **settings):
        return known(tuple(np.asarray(counts).tolist()), tuple(settings.items()))

    monkeypatch.setattr(import_module("geometry.checks.collapse_path"), "solve", remembered)


def judge(artifact):
    found = collapse_path(artifact, rng=np.random.default_rng(0))
    json.dumps(plain(found), allow_nan=False)
    return found


def test_towards_the_optimum_and_back():
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(7, 16)), at_optimum(solve(LADDER).gram, 16)
    towards, _ = judge(moving(between(start, end)))
    assert towards.verdict == "holds"
    assert towards.estimate.estimate == pytest.approx(1.0, abs=1e-6)
    assert towards.details["trend"] < -0.8
    assert towards.details["features"].distance["optimum"][-1] == pytest.approx(0.0, abs=1e-6)
    back, _ = judge(moving(between(end, start)))
    assert back.verdict == "does not hold"
    assert back.details["trend"] > 0.8


def test_what_stops_short_of_the_optimum_approaches_it_by_a_share():
    """Half the way by Gram error: the share that is gone is the distance's, whatever the scale and place."""
    start, end = np.eye(7, 16) * np.linspace(1, 3, 7)[:, None], at_optimum(solve(LADDER).gram, 16)
    path = between(start, end, 9)[:5]
    found, _ = judge(moving(5 + 10 * path))
    distance = found.details["features"].distance["optimum"]
    assert found.estimate.estimate == pytest.approx(1 - distance[-1] / distance[0])
    plainly, _ = judge(moving(path))
    assert plainly.estimate.estimate == pytest.approx(found.estimate.estimate)
    assert plainly.estimate.low == pytest.approx(found.estimate.low)


def test_frozen_features_leave_the_predictions_to_be_judged():
    made = moving(np.repeat(np.random.default_rng(0).normal(size=(1, 7, 16)), 3, axis=0))
    share = np.linspace(0.1, 1, 3)[:, None, None]
    predictions = share * np.eye(7) + (1 - share) / 7
    made.probes["trajectory/prediction_means"][:, 0] = predictions + 0.01 * np.random.default_rng(1).normal(
        size=(3, 7, 7)
    )
    for verdict in judge(made):
        assert verdict.details["judged"] == "predictions"
        assert verdict.note.startswith("predictions; ")


@pytest.mark.parametrize(
    ("cosine", "outcome"), [(0.999, "holds"), (0.98, "holds"), (0.0, "does not hold"), (-0.15, "does not hold")]
)
def test_minorities_where_the_optimum_collapses(cosine, outcome):
    """One majority class beyond R*: minorities at a common cosine, exactly."""
    assert threshold(1, 5).r_star < 300
    rng = np.random.default_rng(0)
    gram = np.full((5, 5), cosine) + (1 - cosine) * np.eye(5) * (1 + 0.01 * rng.random(5))
    minority = at_optimum(gram, 8)
    last = np.vstack([-minority.sum(axis=0), minority])  # centred as it stands
    found = judge(moving(between(rng.normal(size=(6, 8)), last), ONE_MAJORITY))[1]
    assert found.details["foretold"]["optimum"].says == "collapsed"
    assert found.details["threshold"].ratio == 300
    assert found.details["threshold"].r_star == threshold(1, 5).r_star
    assert found.verdict == outcome


def test_minorities_where_the_optimum_keeps_them_apart():
    rng, counts = np.random.default_rng(0), (300,) * 4 + (10,) * 4
    apart = judge(moving(between(rng.normal(size=(8, 16)), simplex_etf(8) @ np.eye(8, 16)), counts))[1]
    assert apart.details["foretold"]["optimum"].says == "apart"
    assert apart.verdict == "holds"
    merged = np.vstack([np.eye(4, 16), np.eye(16)[5] + 0.05 * rng.normal(size=(4, 16))])
    assert judge(moving(between(rng.normal(size=(8, 16)), merged), counts))[1].verdict == "does not hold"


def test_the_foretold_angles_are_those_of_the_solvers():
    found = judge(moving(np.random.default_rng(0).normal(size=(3, 7, 16))))[1].details
    assert len(found["minority"]) == 3
    rare = [4, 5, 6]
    grams = {"optimum": solve(LADDER).gram, "etf": simplex_etf(7), "lpm embeddings": layer_peeled(LADDER).embeddings}
    for name, gram in grams.items():
        cosine = cosines(gram, centre=True)[np.ix_(rare, rare)][np.triu_indices(3, 1)]
        assert found["foretold"][name].angle == pytest.approx(np.degrees(np.arccos(cosine)).mean())


@pytest.mark.parametrize(
    ("moments", "counts", "reason"),
    [(2, LADDER, "2 moments"), (3, (400, 20, 3, 0, 0, 0, 0), "3 trained classes"), (3, (20,) * 7, "no minority")],
)
def test_too_little_is_undecided(moments, counts, reason):
    path = np.random.default_rng(0).normal(size=(moments, 7, 16))
    path[:, np.array(counts) == 0] = np.nan
    found = judge(moving(path, counts))[1]
    assert found.verdict == "undecided"
    assert reason in found.note


def test_two_minority_classes_have_no_interval():
    found = judge(moving(np.random.default_rng(0).normal(size=(3, 5, 16)), LADDER[:5]))[1]
    assert found.verdict == "undecided"
    assert found.estimate.n == 2


def test_vectors_that_coincide_are_undecided_without_a_warning():
    assert {verdict.verdict for verdict in judge(moving(np.ones((3, 7, 16))))} == {"undecided"}


def test_step_structure_is_two_counts():
    settings = {"loss": "infonce", "tau": 1.0}
    assert step_threshold(np.array(LADDER), settings) is None
    assert step_threshold(np.array([5, 5, 5]), settings) is None
    assert step_threshold(np.array([50, 50, 5]), settings) is None
    assert step_threshold(np.array([50, 5, 5]), settings).ratio == 10


@pytest.mark.parametrize(
    ("optim", "expected"),
    [
        ({}, {"loss": "infonce", "tau": 1.0}),
        ({"algorithm": "erm", "options": {"tau": 0.1}}, {"loss": "infonce", "tau": 1.0}),
        ({"algorithm": "supcon", "options": {"tau": 0.1}}, {"loss": "supcon", "tau": 0.1}),
    ],
)
def test_the_program_is_the_runs_own_where_it_has_one(optim, expected):
    made = moving(np.random.default_rng(0).normal(size=(3, 7, 16)), run={"optim": optim})
    assert program_settings(made) == expected


def test_at_its_threshold_approach_seldom_decides(solved_once):
    rng, nulls = np.random.default_rng(0), 100
    decided = sum(judge(moving(rng.normal(size=(3, 7, 16))))[0].verdict != "undecided" for _ in range(nulls))
    assert decided <= 0.05 * nulls + 2 * np.sqrt(0.05 * 0.95 * nulls)


def test_half_collapsed_minorities_are_at_half_and_seldom_decided(solved_once):
    angles = [minority_angle(minority_at(0.3791, np.random.default_rng([1, i])), 5) for i in range(800)]
    half = np.degrees(np.arccos(-1 / 9)) / 2
    assert np.mean(angles) == pytest.approx(half, abs=3 * np.std(angles) / np.sqrt(800) + 0.1)
    nulls = 150
    made = (half_collapsed(np.random.default_rng([2, i])) for i in range(nulls))
    decided = sum(judge(artifact)[1].verdict != "undecided" for artifact in made)
    assert decided <= 0.05 * nulls + 2 * np.sqrt(0.05 * 0.95 * nulls)
