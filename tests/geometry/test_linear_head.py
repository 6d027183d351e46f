"""Logits against the scores of the head: the share against a naive loop, and what is and is not told."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.errors import DataError
from geometry.linear_head import MOST_SAMPLES, TOLERANCE, follows_head, head_disagreement, head_note, head_scores


def planted(n=60, k=4, d=7, seed=0):
    """An artifact whose logits are the head's scores, with a constant of its own in every sample."""
    rng = np.random.default_rng(seed)
    features, weight, bias = rng.normal(size=(n, d)), rng.normal(size=(k, d)), rng.normal(size=k)
    return Artifact(
        features=features,
        labels=np.arange(n) % k,
        class_names=tuple("abcdefgh"[:k]),
        logits=features @ weight.T + bias + rng.normal(size=(n, 1)),
        head_weight=weight,
        head_bias=bias,
    )


def naive(artifact):
    """The best constant of a sample found on a grid between its least and its largest difference."""
    largest, centred = 0.0, []
    for f, logit in zip(artifact.features, artifact.logits, strict=True):
        scores = [sum(w * x for w, x in zip(row, f, strict=True)) for row in artifact.head_weight]
        gap = np.array(scores) + artifact.head_bias - logit
        grid = np.linspace(gap.min(), gap.max(), 2001)
        largest = max(largest, min(np.abs(gap - c).max() for c in grid))
        centred.extend(logit - np.mean(logit))
    return largest / np.std(centred)


def test_the_scores_are_those_of_a_naive_loop():
    artifact = planted()
    for changed in (artifact, replace(artifact, head_bias=None), replace(artifact, logits=None)):
        found = head_scores(changed)
        for i, f in enumerate(changed.features):
            for c, row in enumerate(changed.head_weight):
                bias = 0.0 if changed.head_bias is None else changed.head_bias[c]
                assert found[i, c] == pytest.approx(sum(w * x for w, x in zip(row, f, strict=True)) + bias)
    with pytest.raises(DataError, match="head_weight"):
        head_scores(replace(artifact, head_weight=None, head_bias=None))


def test_the_share_is_that_of_a_naive_loop():
    artifact = planted()
    assert head_disagreement(artifact) == pytest.approx(0, abs=1e-12)
    for changed in (
        replace(artifact, head_bias=np.zeros(4)),
        replace(artifact, logits=artifact.logits[:, [1, 0, 2, 3]]),
        replace(artifact, logits=artifact.logits + 0.02 * np.random.default_rng(1).normal(size=(60, 4))),
    ):
        assert head_disagreement(changed) == pytest.approx(naive(changed), rel=1e-3)


def test_swapped_columns_and_a_missing_bias_are_told_and_a_constant_is_not():
    artifact = planted()
    assert head_note(artifact) == ""
    assert "differ from features @ head_weight.T" in head_note(replace(artifact, logits=artifact.logits[:, ::-1]))
    assert head_note(replace(artifact, head_bias=None))
    assert head_note(replace(artifact, logits=2 * artifact.logits))
    assert follows_head(artifact)
    assert not follows_head(replace(artifact, logits=artifact.logits[:, ::-1]))
    assert follows_head(replace(artifact, logits=None))
    assert head_note(replace(artifact, logits=None)) == ""
    assert head_note(replace(artifact, head_weight=None, head_bias=None)) == ""


def test_rounding_is_not_told():
    """Half precision, and a cosine head of scale 30 on features of length one."""
    artifact = planted(n=400)
    assert head_note(replace(artifact, logits=artifact.logits.astype(np.float16))) == ""
    coarse = artifact.logits.astype(np.float32).view(np.uint32)
    coarse = ((coarse + 0x8000) & 0xFFFF0000).view(np.float32)  # bfloat16, rounded to nearest
    assert 1e-4 < head_disagreement(replace(artifact, logits=coarse)) < TOLERANCE
    features, weight = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (artifact.features, artifact.head_weight))
    logits = (features.astype(np.float32) @ (30 * weight).astype(np.float32).T).astype(np.float32)
    cosine = replace(
        artifact, features=features, head_weight=(30 * weight).astype(np.float32), head_bias=None, logits=logits
    )
    assert head_disagreement(cosine) < 1e-5


def test_constant_logits_and_many_samples():
    artifact = planted()
    flat = replace(artifact, logits=np.ones((60, 4)))
    assert head_disagreement(flat) == np.inf
    assert "inf" in head_note(flat)
    assert head_disagreement(replace(flat, head_weight=np.zeros((4, 7)), head_bias=None)) == 0.0
    many = planted(n=2 * MOST_SAMPLES + 1, d=2)
    assert head_note(many) == ""
    assert head_note(replace(many, logits=many.logits[:, [1, 0, 2, 3]]))
