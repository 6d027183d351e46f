"""What a probe may look at: one checkpoint of a run, its data, and the batches it was trained on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.algorithms import Algorithm, Batch
from experiments.algorithms.registry import resolve_options
from experiments.config import RunConfig
from experiments.runs import RunDirectory
from experiments.step_batches import StepBatches, step_rng
from experiments.task import Task

PROBE_BATCHES = 64

Recorded = dict[str, NDArray[np.generic]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Context:
    """A run at one checkpoint.

    Attributes:
        config: of the run.
        task: its data and their split.
        algorithm: its model and losses, in evaluation mode; a probe leaves them as found.
        device: where they are.
        run: its directory.
        progress: called with what is done and in all, by probes that take long.
        most_samples: how many samples a probe of single samples measures at most; None for its own number.
    """

    config: RunConfig
    task: Task
    algorithm: Algorithm
    device: torch.device
    run: RunDirectory
    progress: Progress | None = None
    most_samples: int | None = None

    @cached_property
    def steps(self) -> int:
        """How many batches :meth:`batches` gives at most."""
        return min(PROBE_BATCHES, self.config.optim.steps)

    @property
    def rho(self) -> float:
        """Beta(rho, rho) of the mixing coefficient: the run's own, or the released one where it has none."""
        return float(self.config.optim.options.get("rho", resolve_options("ndcl", {})["rho"]))

    def batches(self, most: int = PROBE_BATCHES) -> Iterator[Batch]:
        """The run's own first training batches, without augmentation."""
        plain = replace(self.config, optim=replace(self.config.optim, augment="none"))
        batches = StepBatches(plain, self.task, self.device)
        return islice(map(batches.at, range(self.steps)), most)

    def rngs(self, most: int = PROBE_BATCHES) -> Iterator[np.random.Generator]:
        """One source of randomness for each of :meth:`batches`."""
        steps = range(self.steps)
        return islice((step_rng(self.config.data.seed, step, "probe") for step in steps), most)
