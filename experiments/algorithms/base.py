"""What an algorithm is: named options, a model, and the loss terms of one batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.algorithms.search import Range
from experiments.models import Classifier

if TYPE_CHECKING:
    from experiments.algorithms.contrast import Contrast

Prior = Literal["domain", "pooled"]


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
    """What an algorithm may know of its training before it starts.

    Attributes:
        counts: ``(M, K)`` training samples per source domain and class.
        steps: how many steps will be taken; 0 where that is not known.
        features: the feature vectors ``(n, D)`` and classes ``(n,)`` of the part ``train`` or ``validation``; None
            where the inputs are images.
    """

    counts: NDArray[np.int64]
    steps: int = 0
    features: Callable[[str], tuple[Tensor, Tensor]] | None = None

    def prior(self, prior: Prior) -> NDArray[np.int64]:
        """``(M, K)`` counts: those of each ``domain``, or in every row those of all domains ``pooled``."""
        pooled = np.broadcast_to(self.counts.sum(axis=0), self.counts.shape)
        return self.counts if prior == "domain" else pooled.copy()


class Algorithm(nn.Module):
    """A model and a rule that turns a batch into loss terms.

    Subclasses set ``Options`` (a frozen dataclass of hyper-parameters with published defaults) and ``search`` (the
    ranges that a search draws them from) and implement :meth:`terms`; whatever they register as a buffer or parameter
    is saved and resumed with the model. A contrastive algorithm keeps its term in ``contrast``, for the probes; an
    algorithm that is done after a known number of steps says so in ``steps_needed``.
    """

    Options: ClassVar[type[Any]]
    search: ClassVar[Mapping[str, Range]] = {}
    steps_needed: ClassVar[int | None] = None
    contrast: "Contrast | None" = None

    def __init__(self, model: Classifier, training_set: TrainingSet, options: Any) -> None:
        super().__init__()
        self.model = model
        self.options = options

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch; ``loss`` is the one that is minimised."""
        raise NotImplementedError
