"""Methods on the domains' risks and the head's gradients: limits, late penalties, restarts and states."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.algorithms import Batch
from experiments.descent import Descent
from experiments.losses.domain_risks import domain_risks
from experiments.losses.irm import irm
from tests.experiments.algorithms.rivals import Counting

LATE = ("irm", "vrex", "eqrm", "rdm", "fishr")  # those that restart the optimiser where they set in


def logits_and_losses(algorithm, batch):
    logits = algorithm.model(batch.inputs)
    return logits, cross_entropy(logits, batch.labels, reduction="none")


def repeated(batch, times):
    """The first domain's samples as those of several domains."""
    one = batch.parts()[0]
    return one, Batch(
        one.inputs.repeat(times, 1), one.labels.repeat(times), torch.arange(times).repeat_interleave(len(one.labels))
    )


@pytest.mark.parametrize("name", LATE)
def test_the_jump_restarts_the_optimiser_exactly_once_and_survives_a_resume_there(problem, name):
    whole = problem.build(name, anneal=0.25)
    rounds = Counting(problem.optimizer(whole), whole)
    for step in range(12):
        whole.update(problem.batch(step), np.random.default_rng([2, step]), rounds)
    assert rounds.restarts == [3]

    first = problem.build(name, anneal=0.25)
    optimizer = problem.optimizer(first)
    before = Counting(optimizer, first)
    for step in range(3):
        first.update(problem.batch(step), np.random.default_rng([2, step]), before)
    saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second = problem.build(name, anneal=0.25)
    second.load_state_dict(saved[0])
    optimizer = problem.optimizer(second)
    optimizer.load_state_dict(saved[1])
    after = Counting(optimizer, second)
    for step in range(3, 12):
        second.update(problem.batch(step), np.random.default_rng([2, step]), after)
    assert before.restarts == []
    assert after.restarts == [0]
    for key, expected in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[key], expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", [*LATE, "groupdro"])
def test_a_penalty_due_from_the_start_never_restarts(problem, name):
    algorithm = problem.build(name, **({"anneal": 0} if name in LATE else {}))
    rounds = Counting(problem.optimizer(algorithm), algorithm)
    values = [algorithm.update(problem.batch(s), np.random.default_rng([2, s]), rounds) for s in range(12)]
    assert rounds.restarts == []
    assert np.isfinite([value for terms in values for value in terms.values()]).all()


@pytest.mark.parametrize(
    ("name", "early", "late"), [("irm", 1.0, 100.0), ("vrex", 1.0, 10.0), ("fishr", 0.0, 1000.0), ("rdm", 0.0, None)]
)
def test_the_weight_is_the_published_one_before_and_after_the_jump(problem, name, early, late):
    algorithm = problem.build(name, anneal=0.5)
    weights = []
    for updates in (5, 6):
        algorithm.updates.fill_(updates)
        terms = algorithm.terms(problem.batch(0), np.random.default_rng(0))
        extra = (terms["loss"] - terms["loss/ce"]).item()
        if name == "rdm":
            wanted = 0 if updates == 5 else 5 * terms["loss/mmd"].item() + 0.004 * terms["loss/variance"].item()
            assert extra == pytest.approx(wanted, rel=1e-4, abs=1e-9)
        else:
            weights.append(extra / terms["loss/penalty"].item())
    if name != "rdm":
        assert weights == pytest.approx([early, late], rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("name", "late"), [("eqrm", 0.02), ("rdm", 0.3), ("vrex", 1.0)])
def test_the_learning_rate_falls_where_it_is_published_to(problem, name, late):
    algorithm = problem.build(name, anneal=0.5)
    factors = []
    for updates in (0, 5, 6, 11):
        algorithm.updates.fill_(updates)
        factors.append(algorithm.rate_factor)
    assert factors == [1.0, 1.0, late, late]


def test_equal_domains_have_no_penalty_except_irms(problem):
    one, thrice = repeated(problem.batch(0), 2)
    for name, term in (("vrex", "loss/penalty"), ("fishr", "loss/penalty"), ("rdm", "loss/mmd")):
        algorithm = problem.build(name, anneal=0)
        for _ in range(3):  # fishr's averages too
            terms = algorithm.terms(thrice, np.random.default_rng(0))
        assert terms[term].item() == pytest.approx(0, abs=1e-6)
    eqrm = problem.build("eqrm", anneal=0).terms(thrice, np.random.default_rng(0))
    assert eqrm["loss"].item() == pytest.approx(eqrm["loss/ce"].item(), rel=1e-6)
    algorithm = problem.build("irm", anneal=0)
    found = algorithm.terms(thrice, np.random.default_rng(0))["loss/penalty"].item()
    logits, _ = logits_and_losses(algorithm, one)
    assert found == pytest.approx(irm(logits, one.labels, one.domains).item(), rel=1e-5)
    assert abs(found) > 1e-3


def test_vrex_is_the_variance_of_the_risks(problem):
    algorithm = problem.build("vrex", anneal=0)
    batch = problem.batch(0)
    risks = [part.mean().item() for part in logits_and_losses(algorithm, batch)[1].split(12)]
    found = algorithm.terms(batch, np.random.default_rng(0))["loss/penalty"].item()
    assert found == pytest.approx(np.var(risks), rel=1e-3)  # single precision


def test_groupdro_weights_are_the_exponential_of_all_past_losses(problem):
    algorithm = problem.build("groupdro", eta=0.5)
    descent = Descent(problem.optimizer(algorithm), algorithm)
    logs = np.zeros(2)
    for step in range(6):
        batch = problem.batch(step)
        with torch.no_grad():
            risks = domain_risks(logits_and_losses(algorithm, batch)[1], batch.domains).risks.numpy()
        logs += 0.5 * risks
        weights = np.exp(logs) / np.exp(logs).sum()
        values = algorithm.update(batch, np.random.default_rng(step), descent)
        np.testing.assert_allclose(algorithm.log_weights.exp(), weights, rtol=1e-4)
        assert values["loss"] == pytest.approx(float(weights @ risks), rel=1e-5)
        assert values["loss/worst"] == pytest.approx(risks.max(), rel=1e-6)


def test_groupdro_leaves_a_domain_that_is_absent_to_the_common_factor(problem):
    algorithm = problem.build("groupdro", eta=1.0)
    batch = problem.batch(0).parts()[0]
    risk = logits_and_losses(algorithm, batch)[1].mean().item()
    algorithm.terms(batch, np.random.default_rng(0))
    first, second = algorithm.log_weights.exp().tolist()
    assert first / second == pytest.approx(np.exp(risk), rel=1e-5)
    assert first + second == pytest.approx(1)


def test_fishr_averages_are_the_corrected_ones(problem):
    """Fishr's averages start at nothing and are divided by one less their momentum."""
    algorithm = problem.build("fishr", anneal=0, ema=0.8)
    memory = torch.zeros(2, 4, 7)
    for step in range(4):
        batch = problem.batch(step)
        logits, _ = logits_and_losses(algorithm, batch)
        errors = logits.softmax(1) - nn.functional.one_hot(batch.labels, 4)
        each = errors[:, :, None] * torch.cat([batch.inputs, torch.ones(24, 1)], dim=1)[:, None, :]
        variances = torch.stack([part.var(dim=0, correction=0) for part in each.split(12)])
        memory = (0.8 * memory + 0.2 * variances).detach()
        corrected = memory / 0.2
        expected = (corrected - corrected.mean(dim=0)).square().mean().item()
        found = algorithm.terms(batch, np.random.default_rng(step))["loss/penalty"].item()
        assert found == pytest.approx(expected, rel=1e-4)
        torch.testing.assert_close(algorithm.averages, memory, rtol=1e-4, atol=1e-6)


def test_groupdro_weights_come_back_from_almost_nothing(problem):
    algorithm = problem.build("groupdro", eta=300.0)
    parts = problem.batch(0).parts()
    for part in (parts[0], parts[1], parts[1]):
        algorithm.terms(part, np.random.default_rng(0))
        torch.testing.assert_close(algorithm.log_weights.exp().sum().item(), 1.0)
    assert algorithm.log_weights.exp()[1] > 0.99


@pytest.mark.parametrize("name", ["irm", "vrex", "groupdro", "eqrm", "rdm", "fishr"])
def test_learns_with_its_penalty_due_from_the_start(problem, name):
    options = {"anneal": 0} if name != "groupdro" else {"eta": 0.5}
    algorithm = problem.build(name, **options)
    problem.train(algorithm, torch.optim.Adam(algorithm.parameters(), lr=0.02), range(100))
    with torch.no_grad():
        right = (algorithm.model(problem.features).argmax(dim=1) == problem.labels).float()
    assert np.mean([right[problem.labels == k].mean() for k in range(4)]) > 0.5  # chance is a quarter
