"""The further views of ECL's rivals: what reads which view, and that without them nothing is other than it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.algorithms.option_types import LATER
from experiments.algorithms.registry import ALGORITHMS, recorded_options, resolve_options
from experiments.config import OptimConfig, RunConfig
from experiments.losses.balanced_contrast import balanced_contrast
from experiments.losses.balanced_softmax import balanced_softmax
from experiments.losses.info_nce import info_nce
from experiments.losses.k_positive import draw_positives, k_positive_contrast
from experiments.losses.parametric_contrast import parametric_contrast
from experiments.losses.supcon import supcon
from experiments.models import build_classifier
from experiments.origin import config_digest, resolved
from geometry.errors import UsageError

COUNTS = torch.tensor([[40, 8, 2, 1], [20, 10, 5, 0]])
POOLED = COUNTS.sum(dim=0)
VIEWS = {"supcon": 2, "infonce": 2, "bcl": 2, "proco": 2, "kcl": 1, "paco": 1}  # as published
# Digests of default runs on the embedded digits, by a version that knew no views.
EARLIER = {
    "supcon": "1cda04ece46089fd",
    "infonce": "f9e1256003fb45b3",
    "bcl": "72395bd8f749af64",
    "kcl": "6e58ff7c392ca0c5",
    "paco": "ba4a4363e4212212",
    "proco": "d9359e5525644049",
    "erm": "6b471f70c19ae56b",
}


def seen(problem, number, step=0):
    """A batch with so many further views, each its own noise away from the inputs."""
    batch, rng = problem.batch(step), np.random.default_rng([7, step])
    noise = [torch.as_tensor(rng.normal(size=batch.inputs.shape), dtype=torch.float32) for _ in range(number)]
    return replace(batch, views=tuple(batch.inputs + each for each in noise))


def predictions(algorithm, inputs):
    return algorithm.model(inputs).softmax(dim=1)


@pytest.mark.parametrize("name", sorted(EARLIER))
def test_a_run_without_views_is_the_run_of_earlier_versions(name):
    config = RunConfig(optim=OptimConfig(algorithm=name))
    assert config_digest(config)[:16] == EARLIER[name]
    assert "views" not in resolved(config)["optim"]["options"]
    if name in VIEWS:
        spelt = replace(config, optim=replace(config.optim, options={"views": 0}))
        assert config_digest(spelt) == config_digest(config)
        more = replace(config, optim=replace(config.optim, options={"views": VIEWS[name]}))
        assert config_digest(more) != config_digest(config)
        assert resolved(more)["optim"]["options"]["views"] == VIEWS[name]


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_what_a_run_records_resolves_to_all_its_options(name):
    recorded = recorded_options(name, {})
    assert resolve_options(name, recorded) == resolve_options(name, {})
    later = {key for key, field in ALGORITHMS[name].Options.__dataclass_fields__.items() if LATER in field.metadata}
    assert set(resolve_options(name, {})) - set(recorded) == later


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_without_the_option_views_are_neither_asked_for_nor_missed(problem, name):
    assert problem.build(name).views == ()
    assert problem.build(name, views=VIEWS[name]).views == ("contrast",) * VIEWS[name]
    for refused in (-1, *((2,) if VIEWS[name] == 1 else ())):
        with pytest.raises(UsageError, match="Expected views"):
            problem.build(name, views=refused)
    # Probes give batches without views: these are then compared as they are classified.
    batch, rng = problem.batch(0), np.random.default_rng
    plain, wanting = (problem.build(name, **options) for options in ({}, {"views": VIEWS[name]}))
    found = [{k: v.item() for k, v in each.terms(batch, rng(0)).items()} for each in (plain, wanting)]
    assert found[0] == found[1]


@pytest.mark.parametrize(("name", "loss", "tau"), [("supcon", supcon, 0.1), ("infonce", info_nce, 0.1)])
def test_the_first_view_is_classified_and_the_others_are_compared(problem, name, loss, tau):
    algorithm, batch = problem.build(name, views=2), seen(problem, 2)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    torch.testing.assert_close(terms["loss/ce"], cross_entropy(algorithm.model(batch.inputs), batch.labels))
    expected = loss(predictions(algorithm, torch.cat(batch.views)), batch.labels.repeat(2), tau=tau)
    torch.testing.assert_close(terms["loss/contrast"], expected)
    assert len(batch.stacked().labels) == 2 * len(batch.labels)


def test_negatives_are_mixed_of_the_views_that_are_compared(problem):
    algorithm, batch = problem.build("supcon", views=2, negatives="mixup"), seen(problem, 2)
    found = algorithm.terms(batch, np.random.default_rng(0))["loss/contrast"]
    plain = problem.build("supcon", negatives="mixup")
    torch.testing.assert_close(plain.terms(batch.stacked(), np.random.default_rng(0))["loss/contrast"], found)


def test_bcl_as_published_has_views_and_a_map_of_its_own(problem):
    algorithm = problem.build("bcl", views=2, prototypes="mlp", contrast_space="features")
    batch = seen(problem, 2)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    torch.testing.assert_close(terms["loss/ce"], balanced_softmax(algorithm.model(batch.inputs), batch.labels, POOLED))
    prototypes = algorithm.prototype_map(algorithm.model.head.weight)
    expected = balanced_contrast(torch.cat(batch.views), batch.labels.repeat(2), prototypes)
    torch.testing.assert_close(terms["loss/contrast"], expected)
    assert [type(part).__name__ for part in algorithm.prototype_map] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    terms["loss/contrast"].backward()
    assert (algorithm.model.head.weight.grad.norm(dim=1) > 0).all()
    assert problem.build("bcl").prototype_map is None
    with pytest.raises(UsageError, match="beside prototypes=mlp; predictions are compared with the one-hot corners"):
        problem.build("bcl", prototypes="mlp")


@pytest.mark.parametrize("prototypes", ["shared", "mlp"])
@pytest.mark.parametrize("space", ["features", "projections"])
def test_bcls_prototypes_train_the_classifier_of_frozen_features(problem, space, prototypes):
    """So no space is refused there; but projections want a head that makes them."""
    projection = 3 * (space == "projections")
    algorithm = problem.build("bcl", projection=projection, contrast_space=space, prototypes=prototypes)
    algorithm.terms(problem.batch(0), np.random.default_rng(0))["loss/contrast"].backward()
    assert (algorithm.model.head.weight.grad.norm(dim=1) > 1e-6).all()
    with pytest.raises(UsageError, match="Expected a projection head for contrast_space=projections"):
        problem.build("bcl", contrast_space="projections", prototypes=prototypes)


def test_keys_of_kcl_are_of_the_second_view(problem):
    algorithm, batches = problem.build("kcl", views=1, momentum=0.5), [seen(problem, 1, step) for step in range(2)]
    algorithm.terms(batches[0], np.random.default_rng(0))
    with torch.no_grad():
        algorithm.model.head.weight.mul_(2)
    keys, key_labels = algorithm.queue.contents()
    batch, rng = batches[1], np.random.default_rng(1)
    terms = algorithm.terms(batch, rng)
    slow = algorithm.slow.model
    positives = draw_positives(batch.labels, key_labels, 6, np.random.default_rng(1))
    own = slow(batch.views[0]).softmax(dim=1)
    expected = k_positive_contrast(
        predictions(algorithm, batch.inputs), batch.labels, own, keys, key_labels, positives, tau=0.07
    )
    torch.testing.assert_close(terms["loss/contrast"], expected)
    torch.testing.assert_close(terms["loss/ce"], cross_entropy(algorithm.model(batch.inputs), batch.labels))
    torch.testing.assert_close(algorithm.queue.contents()[0][len(keys) :], own)


@pytest.mark.parametrize("encoder", ["momentum", "same"])
def test_keys_of_paco_are_of_the_second_view_which_holds_anchors_too_without_a_momentum_encoder(problem, encoder):
    algorithm, batch = problem.build("paco", views=1, encoder=encoder), seen(problem, 1)
    loss = algorithm.terms(batch, np.random.default_rng(0))["loss"]
    first, second = (algorithm.model(inputs) for inputs in (batch.inputs, batch.views[0]))
    prior = (POOLED / POOLED.sum()).log()
    if encoder == "momentum":
        keys, anchors, labels = algorithm.slow.model(batch.views[0]).softmax(dim=1), first, batch.labels
        expected = parametric_contrast(anchors + prior, anchors.softmax(dim=1), labels, keys, labels)
    else:
        keys, anchors, labels = second.softmax(dim=1), torch.cat([first, second]), batch.labels.repeat(2)
        expected = parametric_contrast(anchors + prior, anchors.softmax(dim=1), labels, keys[:0], labels[:0])
    torch.testing.assert_close(loss, expected)
    held, held_labels = algorithm.queue.contents()
    torch.testing.assert_close(held, keys)
    assert torch.equal(held_labels, batch.labels)


def test_both_views_go_through_proco_and_move_its_means(problem):
    algorithm, batch = problem.build("proco", views=2), seen(problem, 2)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    torch.testing.assert_close(terms["loss/ce"], balanced_softmax(algorithm.model(batch.inputs), batch.labels, POOLED))
    plain = problem.build("proco", epochs=2)  # a pass shows every sample twice
    assert torch.equal(plain.horizon, algorithm.horizon)
    expected = plain.terms(batch.stacked(), np.random.default_rng(0))["loss/contrast"]
    torch.testing.assert_close(terms["loss/contrast"], expected)
    torch.testing.assert_close(algorithm.means, plain.means)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_a_frozen_backbone_is_shown_the_views_as_they_are(name):
    """Whose features a momentum copy shares: they must be those of the view, not of the inputs."""
    model = build_classifier("small_cnn", 4, seed=0, finetune="head")
    algorithm = build_algorithm(name, model, TrainingSet(COUNTS.numpy(), 12), {"views": VIEWS[name]})
    labels = torch.tensor([0, 1, 2, 0, 1, 0])
    images = torch.as_tensor(np.random.default_rng(0).random((3, 6, 3, 8, 8)), dtype=torch.float32)

    batch = Batch(images[0], labels, torch.zeros_like(labels), tuple(images[1 : 1 + VIEWS[name]]))
    algorithm.terms(batch, np.random.default_rng(0))["loss"].backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert model.head.weight.grad.abs().max() > 0
    if name in ("kcl", "paco"):
        held, _ = algorithm.queue.contents()
        torch.testing.assert_close(held, algorithm.slow.model.head(model.features(images[1])).softmax(dim=1))


@pytest.mark.parametrize("name", ["kcl", "paco"])
def test_a_momentum_copy_of_a_cosine_classifier_follows(name):
    model = build_classifier("features", 4, seed=0, num_inputs=6, cosine=True)
    options = {"momentum": 0.5, "views": 1}
    algorithm = build_algorithm(name, model, TrainingSet(COUNTS.numpy(), 12), options)
    before = model.class_rows.detach().clone()
    with torch.no_grad():
        model.class_rows.mul_(3)
    algorithm.slow.follow(model)
    torch.testing.assert_close(algorithm.slow.model.class_rows, 2 * before)
    assert list(algorithm.slow.parameters()) == []
    torch.testing.assert_close(algorithm.slow.model.head.weight.norm(dim=1), torch.full((4,), 30.0))
