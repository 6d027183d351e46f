"""A contrastive term: a loss, the space it compares in, and the negatives it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from experiments.algorithms.base import Batch
from experiments.algorithms.batch_norms import unrecorded
from experiments.algorithms.spaces import Outputs, Space
from experiments.losses.hard_negatives import Coefficient, plan_hard_negatives
from experiments.losses.pairs import AnchorReduction

Negatives = Literal["mixup", "real", "both"]


@dataclass(frozen=True)
class Contrast:
    """A contrastive loss with everything that decides its value on a batch.

    Attributes:
        loss: of vectors and labels, with ``negatives``, ``negative_labels`` and ``batch_negatives`` by name where
            there are synthetic negatives.
        space: where vectors are compared.
        negatives: NDCL's mixed samples, the batch's real samples of other classes, or both.
        rho: Beta(rho, rho) of the mixing coefficient.
        mixing: one coefficient a batch, or one a pair.
        anchor_reduction: how the loss averages its anchors.
        singles_count: whether an anchor alone in its class enters that average.
    """

    loss: Callable[..., Tensor]
    space: Space = "predictions"
    negatives: Negatives = "mixup"
    rho: float = 0.2
    mixing: Coefficient = "batch"
    anchor_reduction: AnchorReduction = "class"
    singles_count: bool = False

    @classmethod
    def of(cls, options: Any, loss: Callable[..., Tensor], *, singles_count: bool = False) -> "Contrast":
        """The contrast that an algorithm's options describe."""
        return cls(
            loss,
            space=options.contrast_space,
            negatives=options.negatives,
            rho=options.rho,
            mixing=options.mixing,
            anchor_reduction=options.anchor_reduction,
            singles_count=singles_count,
        )

    def __call__(self, batch: Batch, outputs: Outputs, rng: np.random.Generator, **given: Any) -> Tensor:
        """The loss of a batch and what else it is given; 0 where negatives are mixed and the batch holds one class."""
        anchors = outputs.vectors(self.space)
        if self.negatives == "real":
            return self.loss(anchors, batch.labels, **given)
        plan = plan_hard_negatives(
            outputs.predictions.detach().float().cpu().numpy(),
            batch.labels.cpu().numpy(),
            rho=self.rho,
            rng=rng,
            coefficient=self.mixing,
        )
        if plan is None:
            return (anchors * 0).sum()
        # Where BatchNorm trains, negatives are normalised by their own batch, as anchors are by theirs (by the running
        # statistics, 0 and 1 at the start, they would be of another scale). But the running ones are to be those of
        # samples, as those that will be classified: ours.
        with unrecorded(outputs.model, "own"):
            negatives = Outputs.of(outputs.model, plan.mix(batch.inputs)).vectors(self.space)
        return self.loss(
            anchors,
            batch.labels,
            negatives=negatives,
            negative_labels=batch.labels.new_tensor(plan.labels),
            batch_negatives=self.negatives == "both",
            **given,
        )
