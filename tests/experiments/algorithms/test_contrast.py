"""The contrastive family and NDCL: the released form to the bit, the same negatives for all, and every option."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.algorithms.contrast import Contrast
from experiments.algorithms.spaces import Outputs
from experiments.losses.balanced_contrast import balanced_contrast
from experiments.losses.hard_negatives import plan_hard_negatives
from experiments.losses.info_nce import info_nce
from experiments.losses.ndcl import negative_dominant_contrast, prototype_alignment, reweighted_cross_entropy
from experiments.losses.prior_weights import inverse_frequency_weights, prior_weights
from experiments.losses.supcon import supcon

COUNTS = np.array([[40, 8, 2, 1], [20, 10, 5, 0]])


def mixed(algorithm, batch, *, rng=0, rho=0.2, coefficient="batch"):
    """Predictions of a batch and of its mixed negatives, with the class each was made for."""
    with torch.no_grad():
        probs = algorithm.model(batch.inputs).softmax(dim=1)
        plan = plan_hard_negatives(
            probs.numpy(), batch.labels.numpy(), rho=rho, rng=np.random.default_rng(rng), coefficient=coefficient
        )
        return probs, algorithm.model(plan.mix(batch.inputs)).softmax(dim=1), torch.as_tensor(plan.labels)


def test_released_ndcl_trains_to_the_bit_as_written_out_by_hand(problem):
    algorithm = problem.build("ndcl")
    losses = problem.train(algorithm, problem.optimizer(algorithm), range(12))

    byhand = problem.build("erm")
    optimizer, weights, expected = problem.optimizer(byhand), inverse_frequency_weights(COUNTS), []
    for step in range(12):
        batch = problem.batch(step)
        logits = byhand.model(batch.inputs)
        probs = logits.softmax(dim=1)
        ce = reweighted_cross_entropy(logits, batch.labels, batch.domains, weights)
        rng = np.random.default_rng([2, step])
        plan = plan_hard_negatives(probs.detach().numpy(), batch.labels.numpy(), rho=0.2, rng=rng)
        negative_probs = byhand.model(plan.mix(batch.inputs)).softmax(dim=1)
        contrast = negative_dominant_contrast(probs, batch.labels, negative_probs, torch.as_tensor(plan.labels))
        alignment = prototype_alignment(probs, batch.labels, batch.domains)
        loss = ce + 0.1 * contrast + 0.1 * alignment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert losses == expected
    assert torch.equal(algorithm.model.head.weight, byhand.model.head.weight)
    assert set(algorithm.state_dict()) == {"model.head.weight", "model.head.bias", "prior_weights"}


@pytest.mark.parametrize(
    "options",
    [
        {"dissimilarity": "raw"},
        {"aggregate": "mean"},
        {"tau": 0.5},
        {"anchor_reduction": "sample"},
        {"negatives": "real"},
        {"negatives": "both"},
        {"mixing": "pair"},
        {"rho": 0.3},
    ],
)
def test_every_option_of_the_contrast_reaches_it(problem, options):
    algorithm, batch = problem.build("ndcl", **options), problem.batch(0)
    found = algorithm.terms(batch, np.random.default_rng(0))["loss/contrast"].item()
    released = problem.build("ndcl").terms(batch, np.random.default_rng(0))["loss/contrast"].item()
    probs, negatives, made_for = mixed(
        algorithm, batch, rho=options.get("rho", 0.2), coefficient=options.get("mixing", "batch")
    )
    form = {key: options[key] for key in options if key in ("dissimilarity", "aggregate", "tau", "anchor_reduction")}
    if options.get("negatives") == "real":
        expected = negative_dominant_contrast(probs, batch.labels)
    else:
        both = options.get("negatives") == "both"
        expected = negative_dominant_contrast(probs, batch.labels, negatives, made_for, batch_negatives=both, **form)
    assert found == pytest.approx(expected.item(), rel=1e-5)
    assert found != pytest.approx(released, rel=1e-4)


@pytest.mark.parametrize("rule", ["none", "released", "inverse", "sqrt", "effective"])
def test_prior_weights_reach_the_classification(problem, rule):
    algorithm, batch = problem.build("ndcl", prior_weights=rule), problem.batch(0)
    found = algorithm.terms(batch, np.random.default_rng(0))["loss/ce"]
    weights = prior_weights(COUNTS, rule)
    expected = reweighted_cross_entropy(algorithm.model(batch.inputs), batch.labels, batch.domains, weights)
    assert torch.equal(found, expected)


def test_the_repaired_form_reaches_an_anchor_that_the_released_one_leaves_alone(problem, tiny_batch):
    batch = tiny_batch([0, 0, 0, 1], [0, 0, 1, 1])
    for name, options, moved in (("ndcl", {}, False), ("supcon", {"negatives": "mixup"}, False), ("bcl", {}, True)):
        algorithm = problem.build(name, **options)
        outputs = Outputs(algorithm.model, batch.inputs.clone())
        outputs.features.requires_grad_(True)
        loss = algorithm.contrast(batch, outputs, np.random.default_rng(0))
        # A class alone has no positive: only prototypes can pull it.
        assert bool(torch.autograd.grad(loss, outputs.logits)[0][3].norm() > 0) == moved


def test_moving_prototypes_follow_the_averages_of_a_loop(problem):
    options = {"prototypes": "moving", "momentum": 0.75}
    algorithm, plain = problem.build("ndcl", **options), problem.build("ndcl")
    memory = {}
    for step in range(6):
        batch = problem.batch(step)
        terms = algorithm.terms(batch, np.random.default_rng(step))
        with torch.no_grad():
            probs = algorithm.model(batch.inputs).softmax(dim=1)
        for d in range(2):
            for k in range(4):
                here = (batch.domains == d) & (batch.labels == k)
                if here.any():
                    now = probs[here].mean(dim=0)
                    memory[d, k] = 0.75 * memory[d, k] + 0.25 * now if (d, k) in memory else now
        for d in range(2):
            for k in range(4):
                if (d, k) in memory:
                    torch.testing.assert_close(algorithm.prototypes[d, k], memory[d, k])
                else:
                    assert algorithm.prototypes[d, k].isnan().all()
        once = plain.terms(batch, np.random.default_rng(step))
        assert (terms["loss/alignment"].item() == pytest.approx(once["loss/alignment"].item(), rel=1e-5)) == (step == 0)
    kept = algorithm.prototypes.clone()
    algorithm.eval()
    algorithm.terms(problem.batch(9), np.random.default_rng(0))
    assert torch.equal(algorithm.prototypes.nan_to_num(), kept.nan_to_num())


@pytest.mark.parametrize("negatives", ["real", "mixup", "both"])
@pytest.mark.parametrize(("name", "loss"), [("infonce", info_nce), ("supcon", supcon)])
def test_infonce_and_supcon_take_the_very_negatives_of_ndcl(problem, name, loss, negatives):
    algorithm, batch = problem.build(name, negatives=negatives, tau=0.5, weight=0.3), problem.batch(1)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    probs, made, made_for = mixed(algorithm, batch)
    given = {} if negatives == "real" else {"negatives": made, "negative_labels": made_for}
    if negatives == "both":
        given["batch_negatives"] = True
    expected = loss(probs, batch.labels, tau=0.5, **given)
    assert terms["loss/contrast"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert terms["loss"].item() == pytest.approx((terms["loss/ce"] + 0.3 * terms["loss/contrast"]).item())


def test_supcon_form_and_anchor_reduction_reach_the_loss(problem):
    batch = problem.batch(1)
    algorithm = problem.build("supcon", form="in", anchor_reduction="class")
    found = algorithm.terms(batch, np.random.default_rng(0))["loss/contrast"]
    probs = algorithm.model(batch.inputs).softmax(dim=1)
    assert torch.equal(found, supcon(probs, batch.labels, form="in", anchor_reduction="class"))


def test_bcl_has_prototypes_in_every_space_and_compensated_logits(problem):
    batch = problem.batch(1)
    algorithm = problem.build("bcl", contrast_space="features")
    terms = algorithm.terms(batch, np.random.default_rng(0))
    weight = algorithm.model.head.weight
    torch.testing.assert_close(terms["loss/contrast"], balanced_contrast(batch.inputs, batch.labels, weight))
    prior = torch.as_tensor(COUNTS.sum(axis=0)).log()
    torch.testing.assert_close(terms["loss/ce"], cross_entropy(algorithm.model(batch.inputs) + prior, batch.labels))
    algorithm = problem.build("bcl", prototype_share=0.5, denominator="separate", classification="cross_entropy")
    terms = algorithm.terms(batch, np.random.default_rng(0))
    logits = algorithm.model(batch.inputs)
    expected = balanced_contrast(
        logits.softmax(dim=1), batch.labels, torch.eye(4), prototype_share=0.5, denominator="separate"
    )
    torch.testing.assert_close(terms["loss/contrast"], expected)
    torch.testing.assert_close(terms["loss/ce"], cross_entropy(logits, batch.labels))


def test_a_contrast_of_features_compares_features_and_mixes_them(problem):
    algorithm, batch = problem.build("erm"), problem.batch(1)
    contrast = Contrast(supcon, space="features")
    found = contrast(batch, Outputs.of(algorithm.model, batch.inputs), np.random.default_rng(0))
    with torch.no_grad():
        probs = algorithm.model(batch.inputs).softmax(dim=1).numpy()
    plan = plan_hard_negatives(probs, batch.labels.numpy(), rho=0.2, rng=np.random.default_rng(0))
    negatives = {"negatives": plan.mix(batch.inputs), "negative_labels": torch.as_tensor(plan.labels)}
    torch.testing.assert_close(found, supcon(batch.inputs, batch.labels, **negatives))
