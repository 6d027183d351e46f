"""Controls that every check must pass: planted truths, missing parts, degenerate data."""

import json
from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.checks import CHECKS
from tests.geometry.checks.planted import NULLS, PLANTED, random_artifact


def judge(name, artifact, seed=0, resamples=40):
    return CHECKS[name](artifact, rng=np.random.default_rng(seed), resamples=resamples)


def sound(verdicts):
    """Every number is finite or says why not, every indecision has a reason, and all of it is JSON."""
    assert verdicts
    for verdict in verdicts:
        assert verdict.verdict in ("holds", "does not hold", "undecided")
        assert verdict.claim
        assert verdict.rule
        assert verdict.source
        estimate = verdict.estimate
        if verdict.verdict == "undecided":
            assert verdict.note
        else:
            assert np.isfinite([estimate.estimate, estimate.low, estimate.high]).all()
        if not np.isfinite(estimate.estimate):
            assert estimate.method.startswith("undefined") or verdict.note
        else:
            assert np.isnan(estimate.low) or estimate.low <= estimate.high
    json.dumps(plain(verdicts), allow_nan=False)


def one_class(artifact: Artifact) -> Artifact:
    kept = artifact.take(np.flatnonzero(artifact.labels == artifact.labels[0]))
    own = [int(artifact.labels[0])]
    return replace(
        kept,
        labels=np.zeros_like(kept.labels),
        class_names=(artifact.class_names[own[0]],),
        logits=None if kept.logits is None else kept.logits[:, own],
        head_weight=None if kept.head_weight is None else kept.head_weight[own],
        head_bias=None if kept.head_bias is None else kept.head_bias[own],
        train_counts=kept.training_counts[:, own],
        probes={},
    )


def one_domain(artifact: Artifact) -> Artifact:
    return replace(
        artifact,
        domains=np.zeros_like(artifact.labels),
        domain_names=("all",),
        held_out=None,
        train_counts=artifact.training_counts.sum(axis=0, keepdims=True),
    )


def absent_classes(artifact: Artifact) -> Artifact:
    kept = np.flatnonzero(~np.isin(artifact.labels, (1, artifact.num_classes - 1)))
    return artifact.take(kept)


def only_one_class_present(artifact: Artifact) -> Artifact:
    return artifact.take(np.flatnonzero(artifact.labels == artifact.labels[0]))


def singleton_cells(artifact: Artifact) -> Artifact:
    cells = artifact.domains * artifact.num_classes + artifact.labels
    return artifact.take(np.unique(cells, return_index=True)[1])


def untrained_classes(artifact: Artifact) -> Artifact:
    counts = artifact.training_counts.copy()
    counts[:, -1] = 0
    return replace(artifact, train_counts=counts)


def never_trained(artifact: Artifact) -> Artifact:
    return replace(artifact, train_counts=np.zeros_like(artifact.training_counts))


def one_dimension(artifact: Artifact) -> Artifact:
    head = None if artifact.head_weight is None else artifact.head_weight[:, :1]
    return replace(artifact, features=artifact.features[:, :1], head_weight=head)


def constant(artifact: Artifact) -> Artifact:
    return replace(
        artifact,
        features=np.full_like(artifact.features, 0.3),
        logits=None if artifact.logits is None else np.full_like(artifact.logits, 0.1),
    )


def dead_head(artifact: Artifact) -> Artifact:
    return replace(artifact, head_weight=None if artifact.head_weight is None else np.zeros_like(artifact.head_weight))


def single_precision(artifact: Artifact) -> Artifact:
    parts = ("features", "logits", "head_weight")
    return replace(
        artifact,
        **{p: None if getattr(artifact, p) is None else getattr(artifact, p).astype(np.float32) for p in parts},
    )


DAMAGE = {
    "nothing": lambda a: a,
    "one class": one_class,
    "only one class present": only_one_class_present,
    "one domain": one_domain,
    "absent classes": absent_classes,
    "singleton cells": singleton_cells,
    "one sample": lambda a: a.take(np.arange(1)),
    "a class never trained": untrained_classes,
    "nothing trained": never_trained,
    "no logits": lambda a: replace(a, logits=None),
    "no head": lambda a: replace(a, head_weight=None, head_bias=None),
    "neither logits nor head": lambda a: replace(a, logits=None, head_weight=None, head_bias=None),
    "no domains": lambda a: replace(one_domain(a), train_counts=None),
    "no shots": lambda a: replace(a, shot_thresholds=None),
    "no probes": lambda a: replace(a, probes={}),
    "one dimension": one_dimension,
    "constant features": constant,
    "constant, singletons": lambda a: singleton_cells(constant(a)),
    "a head of zeros": dead_head,
    "single precision": single_precision,
}


def test_every_check_has_planted_artifacts_and_nulls():
    missing = {
        name: [k for k, known in (("PLANTED", PLANTED), ("NULLS", NULLS)) if name not in known] for name in CHECKS
    }
    assert not {name: where for name, where in missing.items() if where}, "register them in planted.py"


@pytest.mark.parametrize("name", sorted(PLANTED))
@pytest.mark.parametrize(
    ("kind", "outcome"), [("holds", "holds"), ("breaks", "does not hold"), ("little", "undecided")]
)
def test_planted_truth_is_found(name, kind, outcome):
    planted = PLANTED[name]
    verdicts = judge(name, getattr(planted, kind)(np.random.default_rng(3)))
    sound(verdicts)
    assert {v.verdict for v in verdicts if v.subject == planted.subject} == {outcome}


@pytest.mark.parametrize("damage", sorted(DAMAGE))
@pytest.mark.parametrize("name", sorted(CHECKS))
def test_no_check_falls_over_damaged_data(name, damage):
    bases = [random_artifact(np.random.default_rng(1))]
    if name in PLANTED:
        bases.append(PLANTED[name].holds(np.random.default_rng(2)))
    for artifact in bases:
        sound(judge(name, DAMAGE[damage](artifact), resamples=20))


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_same_seed_gives_the_same_numbers(name):
    artifact = random_artifact(np.random.default_rng(1))
    first, second = (json.dumps(plain(judge(name, artifact, seed=5, resamples=20))) for _ in range(2))
    assert first == second
