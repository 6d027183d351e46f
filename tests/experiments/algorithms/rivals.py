"""Backbones that train, odd batches, known randomness and watched descents, for the tests of the rivals."""

import numpy as np
import torch
from torch import nn

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.algorithms.mldg import MLDG, MldgOptions
from experiments.algorithms.sagnet import SagNet, SagNetOptions
from experiments.algorithms.samaltdg import SAMALTDG, SamaltdgOptions
from experiments.algorithms.transfer import Transfer, TransferOptions
from experiments.descent import Descent
from experiments.models.classifier import Classifier

LOGITS = {"alignment_space": "logits"}
COUNTS = np.array([[40, 8, 2, 1], [20, 10, 5, 0], [3, 3, 3, 3]])
BATCHES = [
    ([0, 1, 2, 3], [0, 0, 1, 1]),
    ([0, 0, 0, 0], [0, 0, 1, 1]),
    ([0, 0, 0, 1], [0, 0, 0, 0]),
    ([2], [1]),
    ([0, 0, 1, 1, 2], [0, 1, 0, 1, 1]),
]
TRAINED_BACKBONE = {"sagnet": (SagNet, SagNetOptions()), "transfer": (Transfer, TransferOptions(ascent_lr=0.1))}
TRAINED_BACKBONE["samaltdg"] = (SAMALTDG, SamaltdgOptions())
TRAINED_BACKBONE["mldg"] = (MLDG, MldgOptions())


def trained_backbone(name, *, steps=12, counts=COUNTS, **options):
    """An algorithm around a linear backbone that trains, in double precision."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = Classifier(nn.Linear(6, 6), 6, counts.shape[1], images=False)
    return build_algorithm(name, model, TrainingSet(counts, steps=steps), options).double()


def gradients(algorithm, loss):
    found = torch.autograd.grad(loss, list(algorithm.parameters()), allow_unused=True, retain_graph=True)
    return dict(zip((name for name, _ in algorithm.named_parameters()), found, strict=True))


class Fixed:
    """Randomness with known answers."""

    def __init__(self, *orders, shares=None):
        self.orders, self.shares = list(orders), shares

    def permutation(self, size):
        assert size == len(self.orders[0])
        return np.array(self.orders.pop(0))

    def random(self, size):
        return np.asarray(self.shares).reshape(size)


class Counting(Descent):
    """A descent that knows before which steps it was restarted."""

    def __init__(self, optimizer, module):
        super().__init__(optimizer, module)
        self.steps, self.restarts = 0, []

    def __call__(self, terms):
        self.steps += 1
        return super().__call__(terms)

    def restart(self):
        self.restarts.append(self.steps)
        super().restart()


class Watched:
    """A descent that keeps the gradients it was given, and steps nowhere."""

    def __init__(self, algorithm):
        self.algorithm, self.gradients = algorithm, []

    def __call__(self, terms):
        self.gradients.append({name: weight.grad for name, weight in self.algorithm.named_parameters()})
        self.algorithm.zero_grad(set_to_none=True)
        return {name: term.item() for name, term in terms.items()}

    def average(self):
        """One process has nothing to do."""


def small(name, counts, dimensions=6):
    """An algorithm whose backbone is a linear layer that trains."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = Classifier(nn.Linear(dimensions, 8), 8, counts.shape[1], images=False)
    kind, options = TRAINED_BACKBONE[name]
    return kind(model, TrainingSet(counts, steps=12), options)


def doubled(algorithm, batch):
    """Both in double precision."""
    return algorithm.double(), Batch(batch.inputs.double(), batch.labels, batch.domains)
