"""Confidence against the distance to the boundary in input space, as the probe recorded it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from geometry.atomic import plain
from geometry.checks.confidence_boundary import signed_boundary_distance
from geometry.errors import DataError
from tests.geometry.checks.planted_models import halves, linear_model, measured, verdicts


def test_without_the_probe_input_space_is_undecided_and_says_what_to_do():
    found = verdicts(linear_model())
    assert [v.subject for v in found] == ["feature space", "low half is nearer, feature space", "input space"]
    assert found[-1].verdict == "undecided"
    assert "--probes boundary_distance" in found[-1].note


def test_input_space_holds_where_distance_follows_the_margin_and_not_where_it_runs_against_it():
    artifact = linear_model(noise=1.5)
    margin = np.abs(signed_boundary_distance(artifact.logits, artifact.labels, artifact.head_weight))
    noise = np.random.default_rng(1).uniform(0.8, 1.25, 400)
    *_, follows, nearer = verdicts(measured(artifact, 0.1 * margin * noise))
    assert follows.subject == "input space"
    assert (follows.verdict, nearer.verdict) == ("holds", "holds")
    assert "DeepFool" in follows.note
    # The steeper the logits, the nearer the boundary: the surest samples are the nearest, right and wrong alike.
    right = linear_model(noise=0.5)
    margin = signed_boundary_distance(right.logits, right.labels, right.head_weight)
    assert (margin > 0).all()
    *_, follows, nearer = verdicts(measured(right, 1 / margin))
    assert (follows.verdict, nearer.verdict) == ("does not hold", "does not hold")
    assert follows.estimate.estimate < -0.9


def test_a_correlation_carried_by_the_sign_alone_does_not_make_the_low_half_nearer():
    # Distances without any relation to confidence; the sign still orders right before wrong.
    artifact = linear_model(noise=2.5)
    distance = 1.0 + 0.1 * np.random.default_rng(1).uniform(size=400)
    *_, follows, nearer = verdicts(measured(artifact, distance))
    assert follows.verdict == "holds"
    assert nearer.verdict == "undecided"
    assert abs(nearer.estimate.estimate - 0.5) < 0.1


def test_misclassified_samples_of_low_confidence_are_the_far_ones():
    artifact = linear_model(k=3, noise=2.5, n=900)
    found = halves(artifact, "feature space").details["halves"]
    assert found["correct"].probability.low > 0.5
    assert found["misclassified"].probability.high < 0.5


def test_recorded_samples_of_a_selection_are_those_of_its_splits_and_domains():
    artifact = linear_model(
        domains=np.arange(400) % 3,
        domain_names=("a", "b", "c"),
        held_out="c",
        split=np.where(np.arange(400) % 3 == 2, 1, 0),
        split_names=("validation", "target"),
    )
    artifact = measured(artifact, np.arange(400.0) + 1)
    whole, target = (verdicts(a)[2] for a in (artifact, artifact.select("target")))
    assert whole.n == 400
    assert target.n == (artifact.domains == 2).sum()
    difference = whole.details["source_minus_target"]["signed"]
    apart = [whole.details["correlations"]["signed"][part].estimate for part in ("domain sources", "domain c")]
    assert difference.estimate == pytest.approx(apart[0] - apart[1])
    assert difference.low < difference.estimate < difference.high
    assert target.details["source_minus_target"] == {}


def test_samples_without_a_distance_are_left_out_counted_and_too_many_decide_nothing():
    artifact = linear_model()
    margin = np.abs(signed_boundary_distance(artifact.logits, artifact.labels, artifact.head_weight))
    some, many = margin.copy(), margin.copy()
    some[:10], many[:40] = np.nan, np.nan
    few_lost, many_lost = (verdicts(measured(artifact, d))[2:] for d in (some, many))
    assert few_lost[0].n == 390
    assert "10 of 400" in few_lost[0].note
    assert [v.verdict for v in few_lost] == ["holds", "holds"]
    assert [v.verdict for v in many_lost] == ["undecided", "undecided"]
    nothing = verdicts(measured(artifact, np.full(400, np.nan)))
    assert {v.verdict for v in nothing[2:]} == {"undecided"}
    json.dumps(plain(nothing), allow_nan=False)


def test_inputs_that_are_the_features_say_so():
    artifact = linear_model()
    margin = np.abs(signed_boundary_distance(artifact.logits, artifact.labels, artifact.head_weight))
    found = verdicts(measured(artifact, margin))
    assert "both spaces are one" in found[2].note
    assert found[2].estimate.estimate == pytest.approx(found[0].estimate.estimate)
    assert found[2].details["correlations"]["spaces"]["all"].estimate == pytest.approx(1.0)


def test_input_space_is_judged_without_a_linear_head():
    artifact = replace(measured(linear_model(), np.random.default_rng(0).uniform(size=400)), head_weight=None)
    found = verdicts(artifact)
    assert [v.subject for v in found] == ["feature space", "input space", "low half is nearer, input space"]
    assert found[0].verdict == "undecided"
    assert found[1].n == 400


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ({"label": np.zeros(3, int)}, "one length"),
        ({"label": np.full(400, 9)}, r"integers in 0\.\.3"),
        ({"domain": np.zeros(400)}, "integers"),
        ({"logits": np.zeros((400, 2))}, "finite logits"),
        ({"distance": -np.ones(400)}, "negative exactly where"),
    ],
)
def test_malformed_recordings_are_refused(recorded, reason):
    with pytest.raises(DataError, match=reason):
        verdicts(measured(linear_model(noise=0.1), np.ones(400), **recorded))


def test_an_incomplete_recording_names_what_is_missing():
    artifact = measured(linear_model(), np.ones(400))
    with pytest.raises(DataError, match="boundary_distance/logits"):
        verdicts(replace(artifact, probes={k: v for k, v in artifact.probes.items() if not k.endswith("logits")}))


def test_too_few_recorded_samples_are_undecided():
    artifact = linear_model()
    first = np.arange(400) < 25
    arrays = measured(artifact, np.ones(400)).probes
    found = verdicts(replace(artifact, probes={name: values[first] for name, values in arrays.items()}))
    assert [v.verdict for v in found[2:]] == ["undecided", "undecided"]
    assert "fewer than 30" in found[2].note
