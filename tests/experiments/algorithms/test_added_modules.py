"""What algorithms add to a model: drawn apart from it, at every seed of a run."""

import numpy as np
import pytest
import torch
from torch import nn

from experiments.algorithms import TrainingSet, build_algorithm
from experiments.algorithms.added_modules import multilayer, same_start
from experiments.algorithms.registry import ALGORITHMS
from experiments.models.classifier import Classifier
from tests.experiments.algorithms.frozen_features import NEED_FEATURES
from tests.experiments.algorithms.views import UNLABELLED

CLASSES, DIMENSIONS = 3, 4
MORE = {"bcl": {"prototypes": "mlp", "contrast_space": "features"}}
ADDING = {"bcl", "cdann", "dann", "ecl", "ginidg", "sagnet", "samaltdg", "selfreg", "tcri"}


def added(name, seed):
    """The head, drawn first as on feature vectors, and the layers that the algorithm puts beside the model's own."""
    with torch.random.fork_rng(devices=[]):
        backbone = nn.Linear(DIMENSIONS, DIMENSIONS)
        torch.default_generator.manual_seed(seed)
        model = Classifier(backbone, DIMENSIONS, CLASSES, images=False)
    own = list(model.modules())
    training_set = TrainingSet(np.full((2, CLASSES), 9), 12, unlabelled=UNLABELLED)
    algorithm = build_algorithm(name, model, training_set, MORE.get(name, {}))
    layers = [layer for layer in algorithm.modules() if isinstance(layer, nn.Linear) and layer not in own]
    return own[-1], [layer for layer in layers if any(True for _ in layer.parameters())]  # a slow copy has none


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - NEED_FEATURES))
def test_no_added_layer_has_the_random_numbers_of_the_head(name, seed):
    head, layers = added(name, seed)
    assert bool(layers) == (name in ADDING)
    for layer in layers:
        # Uniform in +-1 / sqrt(inputs), so that equal numbers are equal after this whatever the widths.
        units = [part.weight.detach().flatten() * part.in_features**0.5 for part in (head, layer)]
        shared = min(len(unit) for unit in units)
        assert not torch.isclose(units[0][:shared], units[1][:shared]).any()


def test_added_layers_are_the_same_in_every_run_and_take_no_randomness():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (multilayer(4, 2, width=3, depth=2, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first[0].weight, other[0].weight)
    with same_start():
        ours = torch.rand(4)
    for seed in range(20):
        assert not torch.equal(torch.rand(4, generator=torch.Generator().manual_seed(seed)), ours)
