"""What an algorithm is: named options, a model, and the loss terms of one batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.algorithms.search import Range
from experiments.models import Classifier

if TYPE_CHECKING:
    from experiments.algorithms.contrast import Contrast

Prior = Literal["domain", "pooled"]


@dataclass(frozen=True)
class Unlabelled:
    """One step's samples without labels.

    Attributes:
        views: ``(U, ...)`` each, one for every name in :attr:`Algorithm.unlabelled_views`.
        domains: ``(U,)`` positions among the source domains.
    """

    views: tuple[Tensor, ...]
    domains: Tensor


@dataclass(frozen=True)
class Batch:
    """One step's samples of all source domains together.

    Attributes:
        inputs: ``(B, ...)`` images in [0, 1] or feature vectors.
        labels: ``(B,)`` classes.
        domains: ``(B,)`` positions among the source domains.
        views: the same samples augmented otherwise, ``(B, ...)`` for every name in :attr:`Algorithm.views`.
        unlabelled: samples of no known class, for algorithms that want some.
    """

    inputs: Tensor
    labels: Tensor
    domains: Tensor
    views: tuple[Tensor, ...] = ()
    unlabelled: Unlabelled | None = None

    def parts(self) -> list["Batch"]:
        """The batch of each domain that it holds, in the domains' order."""
        present = torch.unique(self.domains).tolist()
        return [self.at(torch.nonzero(self.domains == domain).squeeze(1)) for domain in present]

    def at(self, positions: Tensor) -> "Batch":
        """The labelled samples at these positions, in their order."""
        views = tuple(view[positions] for view in self.views)
        return Batch(self.inputs[positions], self.labels[positions], self.domains[positions], views)

    def stacked(self) -> "Batch":
        """The views one after the other, each sample as often as there are views; the batch itself without any."""
        if not self.views:
            return self
        times = len(self.views)
        return Batch(torch.cat(self.views), self.labels.repeat(times), self.domains.repeat(times))


@dataclass(frozen=True)
class TrainingSet:
    """What an algorithm may know of its training before it starts.

    Attributes:
        counts: ``(M, K)`` labelled training samples per source domain and class.
        steps: how many steps will be taken; 0 where that is not known.
        features: the feature vectors ``(n, D)`` and classes ``(n,)`` of the part ``train`` or ``validation``; None
            where the inputs are images.
        unlabelled: training samples beside them whose class is not to be known.
    """

    counts: NDArray[np.int64]
    steps: int = 0
    features: Callable[[str], tuple[Tensor, Tensor]] | None = None
    unlabelled: int = 0

    def prior(self, prior: Prior) -> NDArray[np.int64]:
        """``(M, K)`` counts: those of each ``domain``, or in every row those of all domains ``pooled``."""
        pooled = np.broadcast_to(self.counts.sum(axis=0), self.counts.shape)
        return self.counts if prior == "domain" else pooled.copy()


class Descend(Protocol):
    """The run's optimiser, as an algorithm sees it."""

    def __call__(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """One step along the gradients that lie in the parameters, which it clears; the loss terms as numbers."""

    def average(self) -> None:
        """Where several processes share a batch, make the gradients that lie in the parameters those of all of it."""

    def restart(self) -> None:
        """Forget the averages of past gradients, before a jump in their size."""


class Algorithm(nn.Module):
    """A model and a rule that turns a batch into loss terms.

    Subclasses set ``Options`` (a frozen dataclass of hyper-parameters with published defaults) and ``search`` (the
    ranges that a search draws them from) and implement :meth:`terms`; those that do more with a batch than one step
    down the gradient of ``loss`` also implement :meth:`update`. Whatever they register as a buffer or parameter is
    saved and resumed with the model; it changes in training mode alone. A contrastive algorithm keeps its term in
    ``contrast``, for the probes; an algorithm that is done after a known number of steps says so in ``steps_needed``,
    one whose gradient several processes cannot share in ``one_process``. One that wants more views of a sample than its
    one augmented input, or samples without labels, says so in ``views`` and ``unlabelled_views``.
    """

    Options: ClassVar[type[Any]]
    search: ClassVar[Mapping[str, Range]] = {}
    steps_needed: ClassVar[int | None] = None
    one_process: ClassVar[bool] = False
    contrast: "Contrast | None" = None

    def __init__(self, model: Classifier, training_set: TrainingSet, options: Any) -> None:
        super().__init__()
        self.model = model
        self.options = options

    @property
    def views(self) -> tuple[str, ...]:
        """Names of augmentations, one for every further view of a labelled sample."""
        return ()

    @property
    def unlabelled_views(self) -> tuple[str, ...]:
        """The same for every view of an unlabelled sample; none where labelled samples are all that it trains on."""
        return ()

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch; ``loss`` is the one that is minimised."""
        raise NotImplementedError

    def update(self, batch: Batch, rng: np.random.Generator, descend: Descend) -> dict[str, float]:
        """Train on one batch: one step down the gradient of the loss, unless an algorithm has a rule of its own.

        Returns:
            The loss terms as numbers.
        """
        terms = self.terms(batch, rng)
        terms["loss"].backward()
        return descend(terms)

    @property
    def rate_factor(self) -> float:
        """What the configured learning rate is multiplied by at this step."""
        return 1.0
