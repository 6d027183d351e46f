"""Amplification at equal in-batch counts, and between losses of one model."""

from dataclasses import replace

import numpy as np
import pytest

from tests.geometry.checks.planted_gradients import check, recorded


def counted(pull, *, seed=0, batches=60, few=(1, 2, 3), many=(2, 3, 8), batch_noise=0.3, label_few=3, label_many=0):
    """Anchors whose norm over weight is ``pull(group, n)`` on average, n the in-batch count, drawn anew every batch."""
    rng = np.random.default_rng(seed)
    rows = []
    for b in range(batches):
        for label, group, sizes in ((label_few, "few", few), (label_many, "many", many)):
            n = int(rng.choice(sizes))
            shared = np.exp(batch_noise * rng.normal() - batch_noise**2 / 2)
            values = pull(group, n) * shared * np.exp(0.3 * rng.normal(size=n) - 0.045)
            rows += [(value / n, label, b, 1 / n) for value in values]
    norm, label, batch, weight = (np.array(column) for column in zip(*rows, strict=True))
    probes = {"norm": norm, "label": label.astype(int), "batch": batch.astype(int), "weight": weight}
    return replace(
        recorded([1, 1, 1, 1]), probes={f"anchor_gradient/ndcl/{name}": value for name, value in probes.items()}
    )


def test_what_a_model_does_to_every_loss_alike_cancels_between_losses():
    one = recorded([1, 1, 1, 3])
    probes = dict(one.probes)
    for name, value in one.probes.items():
        more = np.where(probes[name.replace("/norm", "/label")] == 3, 2.0, 1.0) if name.endswith("norm") else 1
        probes[name.replace("/ndcl/", "/infonce/")] = (value * more).astype(value.dtype)
        probes[name.replace("/ndcl/", "/supcon/")] = value
    ndcl, infonce, supcon = check(replace(one, probes=probes))
    relative = ndcl.details["relative_to"]
    assert relative["infonce"].estimate == pytest.approx(0.5, rel=1e-6)
    assert relative["infonce"].high < 0.51  # paired: the noise of a batch is in both
    assert relative["supcon"].estimate == pytest.approx(1)
    assert infonce.details["relative_to"].keys() == {"supcon"}
    assert supcon.details["relative_to"]["infonce"].estimate == pytest.approx(0.5, rel=1e-6)
    assert "times the ratio of infonce" in ndcl.note


def test_what_the_counts_do_is_taken_out():
    (verdict,) = check(counted(lambda group, n: (n - 1) / (n + 2), batches=300))
    assert verdict.details["amplification"].high < 0.8
    assert verdict.estimate.estimate == pytest.approx(1, abs=0.1)
    assert "jackknife" in verdict.estimate.method
    assert verdict.details["equal_counts"].counts == (2, 3)
    (twice,) = check(counted(lambda group, n: (n - 1) / (n + 2) * (2 if group == "few" else 1)))
    assert twice.verdict == "holds"
    assert twice.estimate.estimate == pytest.approx(2, rel=0.2)
    (half,) = check(counted(lambda group, n: (n - 1) / (n + 2) * (0.5 if group == "few" else 1)))
    assert half.verdict == "does not hold"


def test_equal_counts_are_explicit_loops():
    artifact = counted(lambda group, n: n, batches=25)
    (verdict,) = check(artifact)
    norm, label, batch, weight = (
        artifact.probes[f"anchor_gradient/ndcl/{name}"] for name in ("norm", "label", "batch", "weight")
    )
    size = [np.sum((label == y) & (batch == b)) for y, b in zip(label, batch, strict=True)]
    cells = {(y, n): [] for y in (0, 3) for n in (2, 3)}
    for g, w, y, n in zip(norm, weight, label, size, strict=True):
        if (y, n) in cells:
            cells[y, n].append(g / w)
    above = sum(len(cells[3, n]) * np.mean(cells[3, n]) for n in (2, 3))
    below = sum(len(cells[3, n]) * np.mean(cells[0, n]) for n in (2, 3))
    assert verdict.estimate.estimate == pytest.approx(above / below)
    equal = verdict.details["equal_counts"]
    assert (equal.few, equal.many) == (sum(len(cells[3, n]) for n in (2, 3)), sum(len(cells[0, n]) for n in (2, 3)))
    assert equal.shared == pytest.approx(equal.few / np.sum(label == 3))


def test_groups_that_never_stand_in_equal_company_are_undecided():
    (verdict,) = check(counted(lambda group, n: 1.0, few=(1, 2), many=(8, 9)))
    assert verdict.verdict == "undecided"
    assert np.isnan(verdict.estimate.estimate)
    assert "never stand" in verdict.estimate.method
    assert verdict.details["amplification"].estimate == pytest.approx(1, abs=0.3)


def test_a_minority_without_any_gradient_is_not_amplified():
    (verdict,) = check(recorded([1, 1, 1, 0]))
    assert verdict.verdict == "does not hold"
    assert (verdict.estimate.estimate, verdict.estimate.high) == (0, 0)


def test_zero_gradients_have_their_reason():
    artifact = counted(lambda group, n: n - 1)
    (verdict,) = check(artifact)
    few, many = verdict.details["groups"]["few"], verdict.details["groups"]["many"]
    assert few.zero_alone == 1
    assert few.zero_fraction.estimate == pytest.approx(few.alone)
    assert np.isnan(many.zero_alone)
    assert "because alone in their class" in verdict.note
    (saturated,) = check(recorded([1, 1, 1, 1], zero=0.5))
    assert saturated.details["groups"]["few"].zero_alone == 0


def test_the_closed_form_is_set_beside_what_was_measured():
    artifact = counted(lambda group, n: n - 1, batches=30)
    probes, prefix = dict(artifact.probes), "anchor_gradient/ndcl"
    size = probes[f"{prefix}/weight"] ** -1
    probes |= {
        f"{prefix}/repulsion": probes[f"{prefix}/norm"] ** 2 * size**2,
        f"{prefix}/positives": 2 * (size - 1),
        f"{prefix}/negatives": np.full(size.shape, 4.0),
        f"{prefix}/positive_count": size - 1,
        f"{prefix}/negative_count": np.full(size.shape, 8.0),
    }
    (verdict,) = check(replace(artifact, probes=probes))
    assert verdict.details["closed_form"].estimate == pytest.approx(1)
    few = verdict.details["groups"]["few"]
    label = probes[f"{prefix}/label"]
    assert few.factor == pytest.approx(np.mean((size[label == 3] - 1) / 2))
    assert few.count_ratio == pytest.approx(np.mean((size[label == 3] - 1) / 8))
    (without,) = check(artifact)
    assert np.isnan(without.details["closed_form"].estimate)
    assert np.isnan(without.details["groups"]["few"].repulsion)


def nulls(seed):
    """No amplification at equal counts, batches of unequal gradients, and counts that differ between the groups."""
    return counted(lambda group, n: (n - 1) / (n + 2), seed=seed, few=(1, 2, 3, 4), many=(2, 3, 4, 6, 9), batches=40)


def test_false_verdicts_stay_near_the_stated_level_without_amplification():
    outcomes = [check(nulls(seed), seed=seed, resamples=20)[0].verdict for seed in range(200)]
    # nominal 5% in total; central 99.9% of binomial(200, 0.05) ends at 21
    assert 1 <= 200 - outcomes.count("undecided") <= 21


def test_batches_not_anchors_are_the_unit_of_the_interval():
    # With strong noise shared by a batch, redrawing anchors would give an interval far too short.
    wide = check(recorded([1, 1, 1, 1], batch_noise=0.8))[0].estimate
    narrow = check(recorded([1, 1, 1, 1], batch_noise=0.0))[0].estimate
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
