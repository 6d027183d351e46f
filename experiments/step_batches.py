"""What step t of a run trains on: samples, views and randomness as pure functions of configuration and step."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.algorithms.base import Batch, Unlabelled
from experiments.config import RunConfig
from experiments.data.batches import BatchSampler, ClassAwareSampler, Sampler
from experiments.data.splits import UNLABELLED
from experiments.inputs import Progress
from experiments.task import Task

PURPOSES = ("terms", "augment", "probe", "views", "unlabelled")  # append only: the position is the stream


def step_rng(seed: int, step: int, purpose: str) -> np.random.Generator:
    """The randomness of one purpose at one training step: no history, so resuming needs none."""
    return np.random.default_rng(np.random.SeedSequence([seed, PURPOSES.index(purpose), step]))


@dataclass(frozen=True)
class StepBatches:
    """The batches of a run, each augmented.

    Attributes:
        config: the run.
        task: the data.
        device: where batches go.
        views: augmentations that make further views of every labelled sample.
        unlabelled_views: augmentations that make the views of unlabelled samples; none where no algorithm asks for any.
    """

    config: RunConfig
    task: Task
    device: torch.device
    views: tuple[str, ...] = ()
    unlabelled_views: tuple[str, ...] = ()

    @cached_property
    def sampler(self) -> Sampler:
        """The order of the labelled samples, a pool a source domain."""
        optim = self.config.optim
        pools = [self.task.indices("train", domain) for domain in self.task.sources]
        if optim.sampling == "class-aware":
            return ClassAwareSampler(pools, self.task.labels, optim.batch_size, self.config.data.seed)
        return BatchSampler(pools, optim.batch_size, self.config.data.seed)

    @cached_property
    def unlabelled_sampler(self) -> Sampler | None:
        """The order of the unlabelled samples of every source domain that has some; None where none are wanted."""
        pools = [self.task.indices(UNLABELLED, domain) for domain in self.task.sources]
        present = [pool for pool in pools if len(pool)]
        if not (present and self.unlabelled_views):
            return None
        size = self.config.optim.unlabelled_batch_size or self.config.optim.batch_size
        return BatchSampler(present, size, self.config.data.seed)

    def prepare(self, progress: Progress | None = None) -> None:
        """Compute what views need and can be kept, where that takes long."""
        self.task.inputs.prepare_views(self.task.indices("train"), self.views, progress)
        self.task.inputs.prepare_views(self.task.indices(UNLABELLED), self.unlabelled_views, progress)

    def at(self, step: int) -> Batch:
        """The batch of step ``step`` (0, 1, ...)."""
        per_domain = self.sampler.indices(step)
        index = np.concatenate(per_domain)
        positions = np.repeat(np.arange(len(per_domain)), [len(part) for part in per_domain])
        name = self.config.optim.augment if self.task.inputs.images else "none"
        return Batch(
            self.task.inputs.augmented(index, name, self._rng(step, "augment"), self.device),
            torch.as_tensor(self.task.labels[index]).to(self.device),
            torch.as_tensor(positions).to(self.device),
            self._views(index, self.views, self._rng(step, "views")),
            self._unlabelled(step),
        )

    def sample_ids(self, step: int) -> list[str]:
        """Names of the samples of a step, the labelled ones first."""
        samplers = (self.sampler, self.unlabelled_sampler)
        return [
            self.task.sample_ids[i]
            for sampler in samplers
            if sampler is not None
            for i in np.concatenate(sampler.indices(step))
        ]

    def _unlabelled(self, step: int) -> Unlabelled | None:
        if self.unlabelled_sampler is None:
            return None
        index = np.concatenate(self.unlabelled_sampler.indices(step))
        domains = np.searchsorted(self.task.sources, self.task.domain[index])
        views = self._views(index, self.unlabelled_views, self._rng(step, "unlabelled"))
        return Unlabelled(views, torch.as_tensor(domains).to(self.device))

    def _views(self, index: NDArray[np.intp], names: tuple[str, ...], rng: np.random.Generator) -> tuple[Tensor, ...]:
        return tuple(self.task.inputs.augmented(index, name, rng, self.device) for name in names)

    def _rng(self, step: int, purpose: str) -> np.random.Generator:
        return step_rng(self.config.data.seed, step, purpose)
