"""ECL: its three terms against naive loops, the warm-up of its weights by hand, and what its parts read and reach."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.algorithms.warmed_weights import WarmedWeights
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.descent import Descent
from experiments.models import build_classifier
from experiments.probes.anchor_gradients import record_anchor_gradients
from experiments.task import open_task
from experiments.training import train
from geometry.errors import UsageError

COUNTS = np.array([[30, 12, 5, 2, 0]])
DIMENSIONS = 6
PUBLISHED = {"contrast_space": "projections"}


def built(*, steps=0, projection=DIMENSIONS, cosine=True, norm="batch", **options):
    """ECL around feature vectors, in double precision; always the same one."""
    model = build_classifier(
        "features",
        COUNTS.shape[1],
        seed=3,
        num_inputs=DIMENSIONS,
        projection=projection,
        projection_norm=norm,
        cosine=cosine,
    )
    return build_algorithm("ecl", model, TrainingSet(COUNTS, steps), options).double().train()


def batch_of(seed=0, labels=(0, 0, 0, 1, 1, 2, 3), views=2):
    """Three independent draws for three views; class 2 and 3 have one sample, class 4 none."""
    rng = np.random.default_rng(seed)
    drawn = [torch.as_tensor(rng.normal(size=(len(labels), DIMENSIONS))) for _ in range(1 + views)]
    return Batch(drawn[0], torch.tensor(labels), torch.zeros(len(labels), dtype=torch.int64), tuple(drawn[1:]))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def naive_classification(logits, labels):
    prior = COUNTS[0] / COUNTS.sum()
    losses = []
    for z, y in zip(logits, labels, strict=True):
        losses.append(-np.log(prior[y] * np.exp(z[y]) / sum(p * np.exp(v) for p, v in zip(prior, z, strict=True))))
    return np.mean(losses)


def naive_contrast(anchors, labels, prototypes, tau=0.07):
    """Equal contributions: a class is half the mean of its other samples and half its prototype."""
    losses = []
    for i, (z, y) in enumerate(zip(anchors, labels, strict=True)):
        total = 0.0
        others = {c: [q for j, q in enumerate(anchors) if j != i and labels[j] == c] for c in range(len(prototypes))}
        for c, p in enumerate(prototypes):
            total += 0.5 * np.exp(z @ p / tau)
            total += 0.5 * np.mean([np.exp(z @ q / tau) for q in others[c]]) if others[c] else 0.0
        loss = -0.5 * (z @ prototypes[y] / tau - np.log(total))
        if others[y]:
            loss -= 0.5 * np.mean([z @ q / tau - np.log(total) for q in others[y]])
        losses.append(loss)
    return np.mean(losses)


@pytest.mark.parametrize("space", ["projections", "features"])
@pytest.mark.parametrize("cosine", [True, False])
def test_the_total_is_that_of_naive_loops(cosine, space):
    algorithm, batch = built(cosine=cosine, warmup=0, contrast_space=space), batch_of()
    terms = algorithm.terms(batch, np.random.default_rng(0))
    model = algorithm.model
    with torch.no_grad():
        features = model.features(torch.cat(batch.views))
        anchors = model.project(features) if space == "projections" else features
        rows = model.class_rows.numpy()
        prototypes = unit(rows @ algorithm.prototype_map.weight.numpy().T + algorithm.prototype_map.bias.numpy())
        scaled, inputs = (30 * unit(rows), unit(batch.inputs.numpy())) if cosine else (rows, batch.inputs.numpy())
        logits = inputs @ scaled.T + model.head.bias.numpy()
    labels = batch.labels.tolist()
    expected = {
        "loss/ce": naive_classification(logits, labels),
        "loss/contrast": naive_contrast(unit(anchors.numpy()), labels * 2, prototypes),
        "loss/duality": np.linalg.norm(rows / np.linalg.norm(rows) - prototypes / np.linalg.norm(prototypes)),
    }
    expected["loss"] = 0.7 * expected["loss/ce"] + 0.3 * expected["loss/contrast"] + 0.5 * expected["loss/duality"]
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rounded", [True, False])
def test_weights_after_the_warm_up_are_those_over_its_means(rounded):
    algorithm, seen = built(steps=10, warmup=0.3, rounded=rounded, **PUBLISHED), []
    for step in range(6):
        terms = {name: value.item() for name, value in algorithm.terms(batch_of(step), None).items()}
        values = [terms[name] for name in ("loss/ce", "loss/contrast", "loss/duality")]
        if step < 3:
            assert terms["loss"] == pytest.approx(sum(values))
            seen.append(values)
            continue
        weights = np.array([0.7, 0.3, 0.5]) / np.mean(seen, axis=0)
        weights = [round(float(weight), 2) or weight for weight in weights] if rounded else weights
        assert terms["loss"] == pytest.approx(np.dot(weights, values), rel=1e-9)
    assert algorithm.weights.now.tolist() == pytest.approx(list(weights))
    assert algorithm.weights.steps.item() == 6


def test_a_weight_that_would_round_to_nothing_stays():
    algorithm = built(steps=10, warmup=0.1, beta=1e-4, **PUBLISHED)
    terms = [{name: value.item() for name, value in algorithm.terms(batch_of(step), None).items()} for step in (0, 1)]
    assert algorithm.weights.now[1].item() == pytest.approx(1e-4 / terms[0]["loss/contrast"])


@pytest.mark.parametrize("restart", [True, False])
def test_the_optimiser_starts_anew_where_the_weights_jump_and_nowhere_else(restart):
    """Adam's averages of the larger gradients of the warm-up would make its steps small for long."""
    algorithm, restarts = built(steps=10, warmup=0.3, restart=restart, **PUBLISHED), []

    class Spy(Descent):
        def restart(self):
            restarts.append(algorithm.weights.steps.item())
            super().restart()

    descent = Spy(torch.optim.Adam(algorithm.parameters(), lr=0.01), algorithm)
    for step in range(6):
        algorithm.update(batch_of(step), np.random.default_rng(0), descent)
    assert restarts == ([3] if restart else [])
    plain = built(steps=10, warmup=0, **PUBLISHED)
    assert not plain.weights.jump


def test_a_warm_up_is_never_shorter_than_a_step_and_none_where_steps_are_not_known():
    assert built(steps=30, **PUBLISHED).weights.warmup == 1
    assert built(steps=16_950, **PUBLISHED).weights.warmup == 85  # an epoch of 200, of CIFAR-100-LT in batches of 128
    for algorithm in (built(steps=0, **PUBLISHED), built(steps=30, warmup=0, **PUBLISHED)):
        assert algorithm.weights.warmup == 0
        assert algorithm.weights.now.tolist() == [0.7, 0.3, 0.5]


def test_looking_is_not_training():
    algorithm = built(steps=10, warmup=0.5, **PUBLISHED).eval()
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    algorithm.terms(batch_of(), np.random.default_rng(0))
    assert all(torch.equal(value, before[name]) for name, value in algorithm.state_dict().items())


def test_a_term_that_is_nothing_keeps_its_weight():
    weights = WarmedWeights([0.7, 0.3], 1, rounded=True).train()
    weights({"some": torch.tensor(2.0), "none": torch.tensor(0.0)})
    assert weights.now.tolist() == [0.35, 0.3]


def test_state_in_the_middle_of_the_warm_up_goes_on_to_the_bit():
    def course(algorithm, steps):
        descent = Descent(torch.optim.SGD(algorithm.parameters(), lr=0.1), algorithm)
        return [algorithm.update(batch_of(step), np.random.default_rng(0), descent) for step in steps]

    options = {"steps": 8, "warmup": 0.5, "prototypes": "mlp", **PUBLISHED}
    whole, first, second = (built(**options) for _ in range(3))
    expected = course(whole, range(7))
    assert course(first, range(2)) == expected[:2]
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    assert course(second, range(2, 7)) == expected[2:]
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in second.state_dict().items())


@pytest.mark.slow
def test_a_run_that_is_stopped_in_the_warm_up_ends_with_the_same_bytes(tmp_path):
    config = RunConfig(
        DataConfig(dataset="digits-LT", image_size=8),
        ModelConfig(projection=128, projection_norm="batch", classifier="cosine"),
        OptimConfig(
            algorithm="ecl",
            options={**PUBLISHED, "warmup": 0.5},
            augment="crop",
            steps=4,
            batch_size=8,
            checkpoint_every=1,
            device="cpu",
        ),
    )

    def stop(step, _):
        if step == 1:
            raise KeyboardInterrupt

    task = open_task(config)
    train(config, tmp_path / "whole", task=task)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "broken", task=task, report=stop)
    train(config, tmp_path / "broken", task=task)
    whole, broken = ((tmp_path / name / "checkpoint" / "model.safetensors") for name in ("whole", "broken"))
    assert whole.read_bytes() == broken.read_bytes()


@pytest.mark.parametrize("prototypes", ["linear", "mlp", "rows"])
@pytest.mark.parametrize("space", ["projections", "features"])
def test_the_contrast_alone_reaches_the_classifiers_rows(space, prototypes):
    """Through the prototypes; so it trains the classifier of a frozen backbone too, which is not refused."""
    algorithm = built(alpha=0, gamma=0, warmup=0, contrast_space=space, prototypes=prototypes)
    assert not list(algorithm.model.backbone.parameters())
    algorithm.terms(batch_of(), np.random.default_rng(0))["loss"].backward()
    gradient = algorithm.model.class_rows.grad
    assert (gradient.norm(dim=1) > 1e-6).all()  # class 4 too, of which the batch has no sample


def test_self_duality_reaches_rows_and_map():
    algorithm = built(alpha=0, beta=0, warmup=0, **PUBLISHED)
    algorithm.terms(batch_of(), np.random.default_rng(0))["loss"].backward()
    reached = {name for name, p in algorithm.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert reached == {
        "model.head.parametrizations.weight.original",
        "prototype_map.weight",
        "prototype_map.bias",
    }


@pytest.mark.parametrize("views", [0, 2, 3])
def test_anchors_are_the_further_views_and_the_first_is_classified(views):
    algorithm, batch, seen = built(views=views), batch_of(views=views), []
    assert algorithm.views == ("contrast",) * views
    loss = algorithm.contrast.loss

    def spy(vectors, labels, **given):
        seen.append((vectors, labels))
        return loss(vectors, labels, **given)

    algorithm.contrast = replace(algorithm.contrast, loss=spy)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    ((vectors, labels),) = seen
    expected = torch.cat(batch.views) if views else batch.inputs
    assert torch.equal(vectors, algorithm.model.features(expected))
    assert torch.equal(labels, batch.labels.repeat(max(views, 1)))
    alone = algorithm.terms(replace(batch, views=()), np.random.default_rng(0))
    assert terms["loss/ce"].item() == pytest.approx(alone["loss/ce"].item(), rel=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"prototype_share": "bcl"},
        {"prototype_share": 0.9},
        {"denominator": "separate"},
        {"anchor_reduction": "class"},
        {"prototypes": "rows"},
        {"tau": 0.5},
    ],
)
def test_every_option_of_the_contrast_reaches_it(options):
    found, usual = (built(**given).terms(batch_of(), None)["loss/contrast"].item() for given in (options, {}))
    assert found != pytest.approx(usual, rel=1e-6)


def test_the_gradient_probe_works_on_its_contrast():
    algorithm = built(**PUBLISHED).float()
    plain = replace(batch_of(views=0), inputs=batch_of(views=0).inputs.float())
    rngs = [np.random.default_rng(0)]
    found = record_anchor_gradients(algorithm.model, [plain], rngs, rho=0.2, own=algorithm.contrast)
    assert (found["anchor_gradient/own/norm"] > 0).all()
    assert np.allclose(found["anchor_gradient/own/weight"], 1 / len(plain.labels))


@pytest.mark.parametrize(("projection", "given"), [(0, "0"), (4, "4")])
def test_projections_of_another_dimension_are_refused_in_a_sentence(projection, given):
    with pytest.raises(UsageError, match=rf"Expected --projection {DIMENSIONS} for .*, got {given}\.$"):
        built(projection=projection, **PUBLISHED)
    built(projection=projection)  # features need none


@pytest.mark.parametrize(
    "options", [{"alpha": -1}, {"warmup": 1}, {"tau": 0}, {"views": -1}, {"prototype_share": 2.0}, {"rounded": "maybe"}]
)
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(UsageError, match="Expected"):
        built(**options)


def test_rounding_may_be_switched_off_in_words():
    assert built(rounded="false").options.rounded is False
    assert built(rounded=True).options.rounded is True
