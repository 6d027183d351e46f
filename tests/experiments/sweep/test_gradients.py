"""Gradient shares of a run against derivatives written out by hand."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.probes.context import Context
from experiments.runs import RunDirectory
from experiments.sweep.gradients import gradient_shares, record_loss_gradients
from experiments.sweep.job import run_job
from experiments.sweep.plan import plan
from experiments.sweep.results import COLUMNS, GRADIENTS, columns, result_rows, write_results
from experiments.sweep.spec import parse_spec
from experiments.sweep.status import DONE, MISSING, outcome, outcomes
from experiments.task import open_task
from experiments.training import build
from geometry.atomic import plain

SHARES = ("few_share", "medium_share", "many_share")


@pytest.fixture
def context(given, tmp_path):
    """``context(algorithm, **options)``: an untrained run of eight samples a domain and batch."""

    def make(algorithm, **options):
        variant = {"algorithm": algorithm, "options": options}
        changed = {"algorithms": [variant], "train": given["train"] | {"batch_size": 8}}
        changed["datasets"] = [given["datasets"][0] | {"shots": [15.0, 6.0]}]
        config = plan(parse_spec(given | changed))[0].config
        task, device = open_task(config), torch.device("cpu")
        return Context(config, task, build(config, task, device).eval(), device, RunDirectory(tmp_path))

    return make


def softmax_errors(context, batch):
    """``p - onehot(y)`` of a batch, by numpy."""
    head = context.algorithm.model.head
    logits = batch.inputs.double().numpy() @ head.weight.detach().double().numpy().T + head.bias.detach().numpy()
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p - np.eye(p.shape[1])[batch.labels.numpy()]


def test_the_gradient_of_cross_entropy_is_its_closed_form(context):
    here = context("erm")
    found = record_loss_gradients(here.algorithm, here.batches(5), here.rngs(5))
    expected = [np.linalg.norm(softmax_errors(here, b) / len(b.labels), axis=1) for b in here.batches(5)]
    np.testing.assert_allclose(found["anchor_gradient/loss/norm"], np.concatenate(expected), rtol=1e-5)
    np.testing.assert_array_equal(found["anchor_gradient/loss/batch"], np.repeat(np.arange(5), 16))
    np.testing.assert_array_equal(
        found["anchor_gradient/loss/label"], np.concatenate([b.labels.numpy() for b in here.batches(5)])
    )
    assert all(parameter.requires_grad for parameter in here.algorithm.model.head.parameters())


def test_shares_are_sums_over_shot_groups(context):
    here = context("erm")
    found = gradient_shares(here, most=6)
    norms, labels = [], []
    for batch in here.batches(6):
        norms.append(np.linalg.norm(softmax_errors(here, batch), axis=1))
        labels.append(batch.labels.numpy())
    norms, labels = np.concatenate(norms), np.concatenate(labels)
    mean_counts = here.task.source_counts.mean(axis=0)
    few, many = (np.isin(labels, np.flatnonzero(mask)) for mask in (mean_counts <= 6, mean_counts >= 15))
    assert few.any()
    assert many.any()
    loss = found["loss"]
    assert found["batches"] == 6
    assert loss["few_count"] == few.sum()
    assert loss["few_anchors"] == pytest.approx(few.mean())
    assert loss["few_share"] == pytest.approx(norms[few].sum() / norms.sum(), rel=1e-5)
    assert loss["many_share"] == pytest.approx(norms[many].sum() / norms.sum(), rel=1e-5)
    assert sum(loss[name] for name in SHARES) == pytest.approx(1)
    assert loss["amplification"] == pytest.approx(norms[few].mean() / norms[many].mean(), rel=1e-5)
    assert "own" not in found


def test_a_contrast_of_weight_zero_has_a_share_but_no_part_in_the_loss(context):
    alone, beside = context("ndcl", alpha=0.0, beta=0.0), context("ndcl", alpha=1.0, beta=0.0)
    first, second = (plain(gradient_shares(each, most=4)) for each in (alone, beside))
    assert first["own"] == second["own"] == first["ndcl"]
    assert first["loss"] != second["loss"]
    assert 0 < first["own"]["few_share"] < 1


def test_the_gradient_goes_through_all_terms_of_the_loss(context):
    """d loss = d ce + alpha d contrast: the difference of two losses is the contrast's own part."""
    here = context("ndcl", alpha=0.5, beta=0.0, negatives="real")
    batch, rng = next(here.batches(1)), np.random.default_rng(0)
    logits = here.algorithm.model(batch.inputs).detach().requires_grad_(True)
    from experiments.losses.ndcl import negative_dominant_contrast, reweighted_cross_entropy

    weights = here.algorithm.prior_weights
    loss = reweighted_cross_entropy(logits, batch.labels, batch.domains, weights)
    loss = loss + 0.5 * negative_dominant_contrast(logits.softmax(dim=1), batch.labels)
    (expected,) = torch.autograd.grad(loss, logits)
    found = record_loss_gradients(here.algorithm, iter([batch]), iter([rng]))
    np.testing.assert_allclose(found["anchor_gradient/loss/norm"], expected.norm(dim=1).numpy(), rtol=1e-4)


@pytest.mark.parametrize("algorithm", ["mixup", "logistic"])
def test_a_loss_without_the_samples_themselves_has_no_share(context, algorithm):
    here = context(algorithm)
    assert record_loss_gradients(here.algorithm, here.batches(3), here.rngs(3)) == {}
    assert set(gradient_shares(here, most=3)) == {"batches", "ndcl"}


def test_groups_that_do_not_occur_are_undefined(context):
    here = context("erm")
    task = replace(here.task, counts=np.where(here.task.counts > 0, 9, 0))  # as many of every class
    found = gradient_shares(replace(here, task=task), most=3)["loss"]
    assert np.isnan(found["few_share"])
    assert np.isnan(found["amplification"])
    assert found["few_count"] == 0


def test_a_job_keeps_them_where_asked_and_a_finished_one_only_adds_them(given, tmp_path):
    plainly = plan(parse_spec(given))
    job = next(job for job in plainly if job.variant == "ndcl")
    assert run_job(job, tmp_path) is None
    before = outcome(job, tmp_path).numbers
    assert "gradients" not in before

    asked = plan(parse_spec(given | {"keep": ["checkpoint", "gradients"]}))
    again = next(each for each in asked if each.digest == job.digest)
    assert outcome(again, tmp_path).state == MISSING
    assert run_job(again, tmp_path) is None
    found = outcome(again, tmp_path)
    assert found.state == DONE
    after = dict(found.numbers)
    gradients = after.pop("gradients")
    assert after == before  # what the training cost included
    assert set(gradients) == {"batches", "own", "ndcl", "loss"}
    assert json.loads((tmp_path / again.name / "evaluation.json").read_text())["gradients"] == gradients

    assert columns(plainly) == COLUMNS
    assert columns(asked) == (*COLUMNS, *GRADIENTS)
    row = dict(zip(columns(asked), result_rows([again], outcomes([again], tmp_path))[0], strict=True))
    assert row["gradient_few_share"] == gradients["own"]["few_share"]
    assert row["loss_gradient_many_anchors"] == gradients["loss"]["many_anchors"]


def test_rows_without_a_contrast_leave_its_columns_empty(given, tmp_path):
    spec = parse_spec(given | {"keep": ["gradients"], "algorithms": ["erm"], "seeds": 1})
    jobs = plan(spec)
    assert run_job(jobs[0], tmp_path / "runs") is None
    write_results(tmp_path, spec, jobs, outcomes(jobs, tmp_path / "runs"), {})
    with (tmp_path / "results.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["gradient_few_share"] == ""
    assert float(row["loss_gradient_many_share"]) > 0
