"""Every algorithm learns the embedded digits from pixels in a few steps, and images through a small network."""

import numpy as np
import pytest
import torch

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.config import RunConfig
from experiments.data.batches import BatchSampler
from experiments.data_config import DataConfig
from experiments.descent import Descent
from experiments.models import build_classifier
from experiments.task import open_task
from tests.experiments.algorithms.frozen_features import ON_FEATURES, wanted_options
from tests.experiments.algorithms.views import UNLABELLED, with_views

CHANCE = 0.1
# Penalties that a few steps can bear.
GENTLE = {
    "transfer": {"weight": 0.1},
    "irm": {"weight": 1.0},
    "rdm": {"weight": 1.0},
    "vrex": {"weight": 1.0},
    "fishr": {"weight": 10.0},
    "logistic": {"strength": 0.01},
}


@pytest.fixture(scope="module")
def digits():
    """Task and pixels, averaged over squares of two."""
    task = open_task(RunConfig(data=DataConfig(setting="balanced", test_domain="textured")))
    index = np.concatenate([task.indices("train"), task.indices("validation")])
    images = torch.zeros(len(task.labels), 3, 28, 28)
    images[index] = task.inputs.batch(index, torch.device("cpu"))
    return task, images


@pytest.mark.parametrize("name", ON_FEATURES)
def test_digits_are_learnt_from_pixels_above_chance(digits, name):
    task, images = digits
    pixels = torch.nn.functional.avg_pool2d(images, 2).flatten(1) - 0.5

    def part(which):
        return pixels[task.indices(which)], torch.as_tensor(task.labels[task.indices(which)])

    model = build_classifier("features", len(task.classes), seed=0, num_inputs=pixels.shape[1])
    steps = 60 if name != "logistic" else 1
    options = wanted_options(name) | GENTLE.get(name, {})
    algorithm = build_algorithm(name, model, TrainingSet(task.source_counts, steps, part, UNLABELLED), options)
    descent = Descent(torch.optim.Adam(algorithm.parameters(), lr=3e-3), algorithm)
    sampler = BatchSampler([task.indices("train", domain) for domain in task.sources], 16, seed=0)
    for step in range(steps):
        per_domain = sampler.indices(step)
        index = np.concatenate(per_domain)
        domains = torch.repeat_interleave(torch.arange(len(per_domain)), 16)
        batch = Batch(pixels[index], torch.as_tensor(task.labels[index]), domains)
        batch = with_views(algorithm, batch, np.random.default_rng([1, step]))
        algorithm.update(batch, np.random.default_rng(step), descent)
    features, labels = part("validation")
    with torch.no_grad():
        right = model(features).argmax(dim=1) == labels
    assert np.mean([right[labels == k].float().mean() for k in range(10)]) > 2 * CHANCE


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("coral", {}),
        ("supcon", {"contrast_space": "features", "negatives": "both"}),
        ("infonce", {"contrast_space": "projections", "negatives": "mixup"}),
        ("bcl", {"contrast_space": "projections"}),
        ("bcl", {"contrast_space": "features"}),
        ("ndcl", {"contrast_space": "projections", "alignment_space": "features", "prototypes": "moving"}),
        ("mixup", {}),
        ("mmd", {}),
        ("mmd", {"alignment_space": "logits"}),
        ("dann", {"alignment_space": "projections"}),
        ("irm", {}),
        ("fishr", {"anneal": 0.0}),
        ("transfer", {}),
        ("fish", {}),
        ("mldg", {}),
        ("rsc", {}),
        ("paco", {"contrast_space": "features"}),
        ("proco", {"contrast_space": "projections"}),
        ("fixmatch", {"threshold": 0.0, "fixclr": 1, "fixclr_space": "projections"}),
        ("fixmatch", {"threshold": 0.0, "fixclr": 1, "fixclr_view": "strong", "fixclr_level": "domain-class"}),
        ("freematch", {"momentum": 0.0, "fixclr": 1, "fixclr_space": "predictions", "fixclr_other_domains": True}),
    ],
)
def test_every_space_reaches_the_backbone_on_images(digits, name, options):
    task, images = digits
    model = build_classifier("small_cnn", len(task.classes), seed=0, projection=8)
    algorithm = build_algorithm(name, model, TrainingSet(task.source_counts, 5, unlabelled=UNLABELLED), options)
    index = np.concatenate(
        [np.random.default_rng(0).choice(task.indices("train", domain), 16) for domain in task.sources]
    )
    domains = torch.repeat_interleave(torch.arange(len(task.sources)), 16)
    batch = Batch(images[index], torch.as_tensor(task.labels[index]), domains)
    terms = algorithm.terms(with_views(algorithm, batch, np.random.default_rng(1)), np.random.default_rng(0))
    own = [term for key, term in terms.items() if key not in ("loss", "loss/ce", "kept")] or [terms["loss"]]
    for term in own:
        algorithm.zero_grad()
        term.backward(retain_graph=True)
        assert any(
            parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.backbone.parameters()
        )
