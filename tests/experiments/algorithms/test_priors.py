"""The prior of the classification beside a contrast: of each domain, or pooled as published."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.algorithms.registry import recorded_options, resolve_options
from geometry.errors import UsageError

COUNTS = torch.tensor([[40.0, 8, 2, 1], [20, 10, 5, 0]])
CHOSEN = {name: {"classification": "balanced_softmax"} for name in ("infonce", "supcon", "bcl", "proco")} | {"ecl": {}}


@pytest.mark.parametrize("prior", ["domain", "pooled"])
@pytest.mark.parametrize("name", sorted(CHOSEN))
def test_the_log_counts_are_those_of_the_prior(problem, name, prior):
    algorithm, batch = problem.build(name, **CHOSEN[name], prior=prior), problem.batch(0)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    expected = []
    with torch.no_grad():
        for z, y, d in zip(algorithm.model(batch.inputs), batch.labels, batch.domains, strict=True):
            counts = COUNTS[d] if prior == "domain" else COUNTS.sum(dim=0)
            expected.append(cross_entropy(z + counts.log(), y).item())
    assert terms["loss/ce"].item() == pytest.approx(np.mean(expected), rel=1e-5)
    usual = problem.build(name, **CHOSEN[name]).terms(batch, np.random.default_rng(0))
    assert (terms["loss/ce"].item() == usual["loss/ce"].item()) == (prior == "pooled")
    assert terms["loss/contrast"].item() == usual["loss/contrast"].item()


@pytest.mark.parametrize("name", sorted(CHOSEN))
def test_a_run_is_known_by_its_prior_only_where_it_is_not_the_published_one(name):
    assert "prior" not in recorded_options(name, CHOSEN[name])
    assert recorded_options(name, {**CHOSEN[name], "prior": "domain"})["prior"] == "domain"


@pytest.mark.parametrize("name", sorted(set(CHOSEN) - {"ecl"}))
def test_a_prior_that_nothing_reads_is_refused(name):
    plain = {"classification": "cross_entropy"}
    with pytest.raises(UsageError, match=r"Expected no prior beside classification=cross_entropy, .* got 'domain'"):
        resolve_options(name, {**plain, "prior": "domain"})
    assert resolve_options(name, {**plain, "prior": "pooled"})["prior"] == "pooled"
