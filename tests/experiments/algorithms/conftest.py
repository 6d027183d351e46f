"""A dozen training steps of any algorithm on a small imbalanced problem, without run directories."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from experiments.algorithms import Algorithm, Batch, TrainingSet, build_algorithm
from experiments.descent import Descent
from experiments.models import build_classifier
from tests.experiments.algorithms.views import UNLABELLED, with_views

COUNTS = np.array([[40, 8, 2, 1], [20, 10, 5, 0]])
DIMENSIONS = 6


@dataclass
class Problem:
    """Gaussian features of four classes in two domains, imbalanced as COUNTS has it."""

    counts: np.ndarray = field(default_factory=lambda: COUNTS)
    per_domain: int = 12

    def __post_init__(self):
        rng = np.random.default_rng(0)
        centres = 2 * rng.normal(size=(self.counts.shape[1], DIMENSIONS))
        labels = [np.repeat(np.arange(self.counts.shape[1]), row) for row in self.counts]
        self.domains = torch.as_tensor(np.repeat(np.arange(len(labels)), [len(part) for part in labels]))
        self.labels = torch.as_tensor(np.concatenate(labels))
        noise = rng.normal(size=(len(self.labels), DIMENSIONS))
        self.features = torch.as_tensor(centres[self.labels] + noise, dtype=torch.float32)

    def part(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The same samples serve as training and as validation."""
        return self.features, self.labels

    def build(self, name: str, *, projection: int = 0, steps: int = 12, **options) -> Algorithm:
        """An algorithm around a linear head, always the same one at the start."""
        model = build_classifier("features", self.counts.shape[1], seed=3, num_inputs=DIMENSIONS, projection=projection)
        training_set = TrainingSet(self.counts, steps=steps, features=self.part, unlabelled=UNLABELLED)
        return build_algorithm(name, model, training_set, options)

    def batch(self, step: int) -> Batch:
        """As many samples of each domain, with replacement."""
        rng = np.random.default_rng([1, step] if step >= 0 else [4, -step])
        pools = [np.flatnonzero(self.domains == d) for d in range(len(self.counts))]
        index = torch.as_tensor(np.concatenate([rng.choice(pool, self.per_domain) for pool in pools]))
        return Batch(self.features[index], self.labels[index], self.domains[index])

    def optimizer(self, algorithm: Algorithm) -> torch.optim.Optimizer:
        """Adam, fast enough to move in a dozen steps."""
        return torch.optim.Adam(algorithm.parameters(), lr=0.05)

    def train(self, algorithm: Algorithm, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
        """Take the steps; the losses."""
        descent = Descent(optimizer, algorithm)
        losses = []
        for step in steps:
            batch = with_views(algorithm, self.batch(step), np.random.default_rng([3, step]), self.batch(-1 - step))
            losses.append(algorithm.update(batch, np.random.default_rng([2, step]), descent)["loss"])
        return losses

    def trained(self, name: str, **options) -> tuple[list[float], torch.Tensor]:
        """Losses of a dozen steps and the head they end with."""
        algorithm = self.build(name, **options)
        losses = self.train(algorithm, self.optimizer(algorithm), range(12))
        return losses, algorithm.model.head.weight.detach()


@pytest.fixture(scope="session")
def problem() -> Problem:
    return Problem()


@pytest.fixture(scope="session")
def one_domain() -> Problem:
    """One source; its last class has no sample at all."""
    return Problem(counts=np.array([[30, 6, 1, 0]]))


@pytest.fixture
def batch() -> Batch:
    """20 samples of three domains; the second has no sample of the last class."""
    rng = np.random.default_rng(8)
    domains = np.repeat([0, 1, 2], [9, 6, 5])
    labels = np.concatenate([[0, 0, 0, 0, 1, 1, 2, 3, 0], [0, 0, 1, 1, 2, 0], [0, 1, 2, 3, 3]])
    inputs = rng.normal(size=(20, 6)) + 0.4 * domains[:, None] + labels[:, None]
    return Batch(torch.tensor(inputs), torch.tensor(labels), torch.tensor(domains))


@pytest.fixture
def tiny_batch():
    """Batches by labels and domains, of random features."""

    def make(labels, domains):
        x = torch.as_tensor(np.random.default_rng(5).normal(size=(len(labels), DIMENSIONS)), dtype=torch.float32)
        return Batch(x, torch.tensor(labels), torch.tensor(domains))

    return make
