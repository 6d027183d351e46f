"""What an algorithm is: named options, a model, and the loss terms of one batch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.models import Classifier


@dataclass(frozen=True)
class Batch:
    """One step's samples of all source domains together.

    Attributes:
        inputs: ``(B, ...)`` images in [0, 1] or feature vectors.
        labels: ``(B,)`` classes.
        domains: ``(B,)`` positions among the source domains.
    """

    inputs: Tensor
    labels: Tensor
    domains: Tensor


@dataclass(frozen=True)
class TrainingSet:
    """What an algorithm may know of its training data before it starts.

    Attributes:
        counts: ``(M, K)`` training samples per source domain and class.
    """

    counts: NDArray[np.int64]


class Algorithm(nn.Module):
    """A model and a rule that turns a batch into loss terms.

    Subclasses set ``Options`` (a frozen dataclass of hyper-parameters with published defaults) and implement
    :meth:`terms`; whatever they register as a buffer or parameter is saved and resumed with the model.
    """

    Options: ClassVar[type[Any]]

    def __init__(self, model: Classifier, training_set: TrainingSet, options: Any) -> None:
        super().__init__()
        self.model = model
        self.options = options

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch; ``loss`` is the one that is minimised."""
        raise NotImplementedError
