"""Shares of the gradient that minority anchors get, against explicit loops."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.checks.gradient_records import minority_groups
from geometry.errors import DataError
from geometry.shots import ShotThresholds
from tests.geometry.checks.planted_gradients import check, recorded


def test_holds_when_few_anchors_get_more_and_not_when_they_get_less():
    (up,) = check(recorded([1, 1, 1, 3]))
    assert up.verdict == "holds"
    assert up.estimate.estimate == pytest.approx(3.0, rel=0.1)
    (down,) = check(recorded([1, 1, 1, 0.2]))
    assert down.verdict == "does not hold"


def test_shares_equal_explicit_loops():
    artifact = recorded([1.0, 2.0, 0.5, 4.0], zero=0.4)
    (verdict,) = check(artifact)
    norm, label = (artifact.probes[f"anchor_gradient/ndcl/{name}"].astype(float) for name in ("norm", "label"))
    total = sum(norm)
    classes = verdict.details["classes"]
    for k in range(4):
        own = [v for v, y in zip(norm, label, strict=True) if y == k]
        assert classes.anchors[k] == len(own)
        assert classes.norm_share[k] == pytest.approx(sum(own) / total)
        assert classes.anchor_share[k] == pytest.approx(len(own) / len(norm))
        assert classes.zero_fraction[k] == pytest.approx(np.mean([v == 0 for v in own]))
    many = [v for v, y in zip(norm, label, strict=True) if y in (0, 1)]
    few = [v for v, y in zip(norm, label, strict=True) if y == 3]
    assert verdict.details["amplification"].estimate == pytest.approx(np.mean(few) / np.mean(many))
    batch = artifact.probes["anchor_gradient/ndcl/batch"]
    summed = {group: [] for group in ("many", "few")}
    for b in set(batch):
        for k, group in ((0, "many"), (1, "many"), (3, "few")):
            summed[group].append(sum(v for v, y, c in zip(norm, label, batch, strict=True) if (y, c) == (k, b)))
    by_class = np.mean(summed["few"]) / np.mean(summed["many"])
    assert verdict.details["amplification_class"].estimate == pytest.approx(by_class)
    groups = verdict.details["groups"]
    share = {g: groups[g].norm_share.estimate / groups[g].anchor_share for g in ("few", "many")}
    assert verdict.details["amplification"].estimate == pytest.approx(share["few"] / share["many"])
    awake = np.mean([v for v in few if v > 0]) / np.mean(many)
    assert verdict.details["amplification_nonzero"].estimate == pytest.approx(awake)
    assert groups["few"].zero_fraction.low < 0.4 < groups["few"].zero_fraction.high
    assert sum(g.norm_share.estimate for g in groups.values()) == pytest.approx(1.0)


def test_more_anchors_of_a_group_are_not_more_amplification():
    (verdict,) = check(recorded([1, 1, 1, 1], per_batch=(2, 2, 6, 30)))
    assert verdict.details["groups"]["few"].norm_share.estimate > 0.7
    assert verdict.details["amplification"].estimate == pytest.approx(1.0, abs=0.1)


def test_a_class_average_inside_the_loss_is_not_amplification():
    sizes = np.array([16, 8, 6, 2])
    artifact = recorded(1.0 / sizes, per_batch=sizes, equal=0)  # every class gets the same, shared by its anchors
    (blind,) = check(artifact)
    assert blind.details["amplification"].low > 1
    assert blind.details["amplification_class"].low < 1.0 < blind.details["amplification_class"].high
    assert "no anchor weights recorded" in blind.note
    weight = 1.0 / (4 * sizes[artifact.probes["anchor_gradient/ndcl/label"]])
    (told,) = check(replace(artifact, probes={**artifact.probes, "anchor_gradient/ndcl/weight": weight}))
    assert told.verdict == "undecided"  # no count is shared
    assert told.details["amplification"].estimate == pytest.approx(1.0, abs=0.1)
    assert told.details["amplification_raw"].estimate == pytest.approx(blind.details["amplification"].estimate)
    assert "weights" not in told.note


def test_equal_weights_change_nothing():
    artifact = recorded([1, 1, 1, 3])
    weight = np.full(artifact.probes["anchor_gradient/ndcl/norm"].shape, 0.125)
    (told,) = check(replace(artifact, probes={**artifact.probes, "anchor_gradient/ndcl/weight": weight}))
    (blind,) = check(artifact)
    assert told.details["amplification"].estimate == pytest.approx(blind.details["amplification"].estimate)
    assert told.details["groups"]["few"].norm_share == blind.details["groups"]["few"].norm_share


def test_zero_gradients_count_against_amplification():
    (verdict,) = check(recorded([1, 1, 1, 1.5], zero=0.7))
    assert verdict.verdict == "does not hold"
    assert verdict.details["amplification_nonzero"].low > 1.0
    assert "of few" in verdict.note


def test_every_recorded_loss_has_its_verdict():
    both = recorded([1, 1, 1, 3])
    both = replace(both, probes={**recorded([1, 1, 1, 0.2], loss="infonce").probes, **both.probes})
    verdicts = {v.claim.split()[0]: v.verdict for v in check(both)}
    assert verdicts == {"infonce": "does not hold", "ndcl": "holds"}
    assert check(both)[0].subject == "ndcl"


def test_too_little_is_undecided():
    (batches,) = check(recorded([1, 1, 1, 5], batches=19))
    assert batches.verdict == "undecided"
    assert "too few" in batches.note
    artifact = recorded([1, 1, 1, 5], per_batch=(16, 8, 6, 0), equal=0)
    (absent,) = check(artifact)
    assert absent.verdict == "undecided"
    assert np.isnan(absent.estimate.estimate)
    assert np.isnan(absent.details["classes"].mean_norm[3])
    assert "none recorded of few" in absent.note


def test_no_gradient_at_all_is_undecided():
    (verdict,) = check(recorded([0, 0, 0, 0]))
    assert verdict.verdict == "undecided"
    assert "no gradient" in verdict.note
    assert np.isnan(verdict.details["groups"]["few"].norm_share.estimate)


def test_nothing_recorded_is_undecided_with_the_reason():
    (verdict,) = check(replace(recorded([1, 1, 1, 1]), probes={}))
    assert verdict.verdict == "undecided"
    assert "anchor_gradient" in verdict.note


def test_without_thresholds_the_outer_thirds_by_count_are_compared():
    artifact = replace(recorded([1, 1, 1, 3]), shot_thresholds=None)
    masks, how = minority_groups(artifact)
    assert masks["few"].tolist() == [False, False, False, True]
    assert masks["many"].tolist() == [True, False, False, False]
    assert masks["medium"].tolist() == [False, True, True, False]
    assert "1 classes each" in how
    assert check(artifact)[0].verdict == "holds"


def test_balanced_counts_have_no_minority():
    artifact = replace(recorded([1, 1, 1, 3]), shot_thresholds=None, train_counts=np.full((1, 4), 20))
    assert "no minority" in check(artifact)[0].note
    # thresholds under which every class is "many" leave no few group either, so thirds are tried
    artifact = replace(recorded([1, 1, 1, 3]), shot_thresholds=ShotThresholds(many=1, few=0))
    assert check(artifact)[0].note.startswith("few and many are")


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("batch", None, "Expected a probe array"),
        ("label", np.zeros(3, int), "Expected non-empty arrays"),
        ("norm", -1.0, "zero or more"),
        ("norm", np.nan, "finite"),
        ("label", 9, "integer labels in 0..3"),
        ("weight", np.ones(3), "one finite positive weight"),
    ],
)
def test_malformed_records_are_refused(name, value, match):
    artifact = recorded([1, 1, 1, 1])
    probes, key = dict(artifact.probes), f"anchor_gradient/ndcl/{name}"
    if value is None:
        del probes[key]
    elif np.ndim(value):
        probes[key] = value
    else:
        probes[key] = np.full(probes[key].shape, value)
    with pytest.raises(DataError, match=match):
        check(replace(artifact, probes=probes))


@pytest.mark.parametrize("part", ["prediction_norm", "repulsion"])
def test_one_infinity_beside_the_norms_is_refused_and_nan_is_not(part):
    artifact = recorded([1, 1, 1, 3])
    values = np.ones(artifact.probes["anchor_gradient/ndcl/norm"].shape)

    def holding(value):
        probes = {f"anchor_gradient/ndcl/{part}": np.where(np.arange(values.size) == 5, value, values)}
        return replace(artifact, probes=artifact.probes | probes)

    assert check(holding(np.nan))[0].verdict == check(artifact)[0].verdict
    for value in (np.inf, -np.inf):
        with pytest.raises(DataError, match=f"{part}, got 1 infinite"):
            check(holding(value))


def test_other_spaces_and_parameters_are_reported_where_recorded():
    artifact = recorded([1, 1, 1, 3])
    probes = dict(artifact.probes)
    norm = probes["anchor_gradient_balanced/ndcl/norm"]
    probes["anchor_gradient_balanced/ndcl/prediction_norm"] = norm
    probes["anchor_gradient_balanced/ndcl/feature_norm"] = np.full(norm.shape, np.nan)
    along = np.tile([[3.0, 1.0, np.nan, -1.0]], (30, 1))
    probes |= {
        "parameter_gradient/ndcl/count": np.tile([[6, 3, 0, 1]], (30, 1)),
        "parameter_gradient/ndcl/head/along": along,
        "parameter_gradient/ndcl/head/norm": np.abs(along),
        "parameter_gradient/ndcl/head/total": np.full(30, 3.0),
    }
    (verdict,) = check(replace(artifact, probes=probes))
    details = verdict.details
    assert details["equal_counts_predictions"].ratio.estimate == pytest.approx(verdict.estimate.estimate)
    assert "equal_counts_features" not in details
    share = details["parameters"]["head"]
    np.testing.assert_allclose(share.along, [1, 1 / 3, 0, -1 / 3])
    np.testing.assert_allclose(share.norm, [0.6, 0.2, 0, 0.2])
    np.testing.assert_allclose(share.samples, [0.6, 0.3, 0, 0.1])
    assert share.groups_along["many"].estimate == pytest.approx(4 / 3)
    assert share.groups_samples["few"] == pytest.approx(0.1)
    del probes["parameter_gradient/ndcl/head/along"]
    with pytest.raises(DataError, match="parameter_gradient/ndcl/head/along"):
        check(replace(artifact, probes=probes))


def test_every_recorded_moment_of_training_has_its_amplification():
    artifact = recorded([1, 1, 1, 1])
    probes = dict(artifact.probes)
    parts = [recorded(means, equal=0, seed=i).probes for i, means in enumerate([[1, 1, 1, 4], [1, 1, 1, 0.25]])]
    for name in ("norm", "label", "batch"):
        probes[f"trajectory/anchor_gradient/ndcl/{name}"] = np.concatenate(
            [each[f"anchor_gradient/ndcl/{name}"] for each in parts]
        )
    size = len(parts[0]["anchor_gradient/ndcl/norm"])
    probes["trajectory/anchor_gradient/ndcl/moment"] = np.repeat([0, 2], size)
    probes["trajectory/step"] = np.array([0, 50, 300])
    (verdict,) = check(replace(artifact, probes=probes))
    training = verdict.details["training"]
    assert training.step.tolist() == [0, 300]
    assert training.amplification[0].estimate == pytest.approx(4, rel=0.15)
    assert training.amplification[1].estimate == pytest.approx(0.25, rel=0.15)
    assert np.isnan(training.at_equal_counts[0].estimate)
    assert training.few_zero.tolist() == [0, 0]
