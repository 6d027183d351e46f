"""Checks across runs: planted gains are found, planted losses are told, nothing is said of too little."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.checks.across_runs import STUDY_CHECKS, RunSummary, run_study_checks
from geometry.checks.across_runs.pairing import Pair, by_variant, corrected, gain
from geometry.checks.across_runs.summary import OUTCOMES, Place
from geometry.errors import UsageError

PLACES = [Place("PACS", "TotalHeavyTail", domain, seed) for domain in "abcd" for seed in range(5)]
SPACES = {"contrast_space": "predictions", "alignment_space": "predictions"}
NEGATIVES = {"negatives": "mixup", "tau": 1.0, "rho": 0.2, "mixing": "batch", "anchor_reduction": "class"}
NDCL = {"alpha": 0.1, "beta": 0.0, "classification": "cross_entropy"} | NEGATIVES | SPACES
INFONCE = {"weight": 0.1, "classification": "cross_entropy", "contrast_space": "predictions"} | NEGATIVES


def planted(algorithm, shift, rng, *, options=None, variant="", places=PLACES, noise=0.02):
    """Runs whose every outcome is that of the split plus ``shift`` plus noise."""
    base = {place: np.random.default_rng(100 * ord(place.held_out) + place.seed).random() / 2 for place in places}
    return [
        RunSummary(
            place=place,
            algorithm=algorithm,
            options=options or {},
            rest="same",
            outcomes={name: base[place] + shift + noise * rng.normal() for name in OUTCOMES},
            variant=variant,
        )
        for place in places
    ]


def study(check, shift, rng):
    """Runs on which a check has something to say; its claim is a gain of ``shift``."""
    # An outcome that should be small has its sign turned by the check, so plant one sign for each kind.
    if check == "minority_gain":
        return planted("erm", 0, rng) + planted("new", shift, rng)
    if check == "margin_remedy":
        return planted("erm", 0, rng) + planted("new", -shift, rng)
    if check == "dominance":
        return planted("infonce", 0, rng, options=INFONCE) + planted("ndcl", shift, rng, options=NDCL)
    features = NDCL | dict.fromkeys(SPACES, "features")
    return planted("ndcl", 0, rng, options=features, variant="in features") + planted("ndcl", shift, rng, options=NDCL)


def first(check, runs):
    return run_study_checks(runs, names=(check,))[0]


@pytest.mark.parametrize("check", STUDY_CHECKS)
def test_a_planted_gain_holds_a_planted_loss_does_not_and_one_seed_decides_nothing(check):
    rng = np.random.default_rng(0)
    assert first(check, study(check, 0.1, rng)).verdict == "holds"
    assert first(check, study(check, -0.1, rng)).verdict == "does not hold"
    few = [run for run in study(check, 0.1, rng) if run.place.seed == 0]
    assert first(check, few).verdict == "undecided"


@pytest.mark.parametrize("check", STUDY_CHECKS)
def test_without_runs_to_pair_a_check_says_what_it_needs(check):
    found = run_study_checks([], names=(check,))
    assert [v.verdict for v in found] == ["undecided"]
    assert "needs runs" in found[0].note


@pytest.mark.parametrize("check", STUDY_CHECKS)
def test_no_gain_is_called_one_at_most_at_the_stated_rate(check):
    rng = np.random.default_rng(1)
    held = [
        any(v.verdict == "holds" for v in run_study_checks(study(check, 0.0, rng), names=(check,))) for _ in range(200)
    ]
    assert np.mean(held) <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5  # over the whole family


def test_an_outcome_to_be_small_gains_by_falling():
    rng = np.random.default_rng(2)
    verdicts = run_study_checks(study("dominance", 0.1, rng), names=("dominance",))
    found = {v.details["gain"].outcome: v.verdict for v in verdicts}
    assert found["few_margin"] == "holds"
    assert found["prediction_nc1"] == "does not hold"


def test_pairs_are_those_of_one_split_and_seed_in_any_order():
    rng = np.random.default_rng(3)
    ours, theirs = planted("new", 0.3, rng, noise=0.0), planted("erm", 0.0, rng, noise=0.0)
    groups = by_variant(rng.permutation(np.array(ours + theirs[:7], dtype=object)).tolist())
    found = gain("target_few", Pair(("new", "erm"), "s", groups["new"], groups["erm"]), rng=rng)
    assert found.pairs == 7
    assert found.test.difference == pytest.approx(0.3)


@pytest.mark.parametrize(("shift", "verdict"), [(0.3, "holds"), (-0.3, "undecided"), (0.0, "does not hold")])
def test_the_same_gain_in_every_run_has_a_sign_test_but_no_interval(shift, verdict):
    rng = np.random.default_rng(3)
    groups = by_variant(planted("new", shift, rng, noise=0.0) + planted("erm", 0.0, rng, noise=0.0))
    (found,) = corrected([gain("target_few", Pair(("new", "erm"), "s", groups["new"], groups["erm"]), rng=rng)])
    assert found.test.p_value == (2.0**-19 if shift else 1.0)
    assert np.isnan(found.interval.low) == np.isnan(found.interval.high) == bool(shift)
    assert ("no scatter" in found.interval.method) == bool(shift)
    assert found.verdict(0.95) == verdict
    assert "20 pairs" in found.note()


def test_holm_runs_over_what_can_reject_alone():
    rng = np.random.default_rng(4)
    many = Pair(("a", "b"), "s", *(by_variant(planted(n, d, rng))[n] for n, d in (("a", 0.05), ("b", 0.0))))
    few = replace(many, better=dict(list(many.better.items())[:3]))
    alone = corrected([gain("target_few", many, rng=rng)])[0]
    beside = corrected([gain("target_few", many, rng=rng), gain("target_few", few, rng=rng)])[0]
    assert beside.p_holm == alone.p_holm == alone.test.p_value


def test_dominance_is_not_judged_where_other_terms_differ():
    rng = np.random.default_rng(5)
    for changed in ({"tau": 0.1}, {"negatives": "real"}, {"weight": 0.2}, {"classification": "balanced_softmax"}):
        runs = planted("infonce", 0, rng, options=INFONCE | changed) + planted("ndcl", 0.1, rng, options=NDCL)
        assert first("dominance", runs).verdict == "undecided"
    aligned = planted("infonce", 0, rng, options=INFONCE) + planted("ndcl", 0.1, rng, options=NDCL | {"beta": 0.1})
    assert first("dominance", aligned).verdict == "undecided"


def test_an_unknown_check_is_refused():
    with pytest.raises(UsageError, match="Unknown check 'luck'"):
        run_study_checks([], names=("luck",))
