import json

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.checks import CHECKS, run_checks
from geometry.errors import UsageError


@pytest.fixture
def artifact():
    rng = np.random.default_rng(0)
    weight, labels = np.eye(3, 5) * 3, rng.integers(0, 3, 120)
    features = weight[labels] + rng.normal(size=(120, 5))
    return Artifact(
        features=features,
        labels=labels,
        class_names=("a", "b", "c"),
        logits=features @ weight.T,
        head_weight=weight,
    )


def test_what_cannot_run_is_undecided_with_a_reason(artifact):
    found = {verdict.check: verdict for verdict in reversed(run_checks(artifact))}  # the first of each check
    assert found["confidence_boundary"].verdict == "holds"
    assert found["gradient_share"].verdict == "undecided"
    assert found["gradient_share"].note
    bare = Artifact(features=artifact.features, labels=artifact.labels, class_names=artifact.class_names)
    assert {v.verdict for v in run_checks(bare)} == {"undecided"}
    assert all(v.note and v.rule and v.source and v.claim for v in run_checks(bare))


def test_checks_are_reproducible_and_independent_of_each_other(artifact):
    alone = run_checks(artifact, names=("confidence_boundary",), seed=3)
    together = run_checks(artifact, seed=3)
    assert [v.estimate for v in alone[:2]] == [v.estimate for v in together[:2]]
    assert alone[1].estimate != run_checks(artifact, seed=4)[1].estimate  # of the first verdict nothing is redrawn
    assert {v.check for v in together} == set(CHECKS)


def test_verdicts_become_json(artifact):
    json.dumps(plain(run_checks(artifact, resamples=20)), allow_nan=False)


def test_bad_requests(artifact):
    with pytest.raises(UsageError, match="Unknown check 'gravity'; known are confidence_boundary"):
        run_checks(artifact, names=("gravity",))
    with pytest.raises(UsageError, match="at least 20"):
        run_checks(artifact, resamples=3)
