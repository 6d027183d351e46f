"""The focal loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch
from experiments.algorithms.search import LogUniform, Range
from experiments.losses.focal import focal
from geometry.errors import UsageError


@dataclass(frozen=True)
class FocalOptions:
    """Published default; MDLT's search range in brackets.

    Attributes:
        gamma: focusing parameter, 0.5 * 10^U(0, 1); 2 as published (MDLT takes 1).
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise UsageError(f"Expected gamma >= 0, got {self.gamma}.")


class Focal(Algorithm):
    """Cross-entropy turned down on what is already right (Lin et al. 2017); gamma = 0 is ERM."""

    Options = FocalOptions
    search: ClassVar[Mapping[str, Range]] = {"gamma": LogUniform(0.5, 5.0)}

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The focal loss."""
        return {"loss": focal(self.model(batch.inputs), batch.labels, gamma=self.options.gamma)}
