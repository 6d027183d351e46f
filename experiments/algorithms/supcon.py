"""Supervised contrastive learning beside cross-entropy."""

from dataclasses import dataclass

from torch import Tensor

from experiments.algorithms.contrastive import Contrastive, ContrastiveOptions
from experiments.losses.supcon import Form, supcon


@dataclass(frozen=True)
class SupConOptions(ContrastiveOptions):
    """What contrastive algorithms share, and the form of the loss.

    Attributes:
        form: mean over the positives outside (published choice) or inside the logarithm.
    """

    form: Form = "out"


class SupCon(Contrastive):
    """``L = L_ce + weight * SupCon`` (Khosla et al. 2020, Eqs. 2 and 3), in one stage instead of their two.

    With ``negatives=mixup`` it is given the very negatives of NDCL.
    """

    Options = SupConOptions

    def contrast_loss(self, vectors: Tensor, labels: Tensor, **negatives: Tensor | bool) -> Tensor:
        """:func:`experiments.losses.supcon.supcon`."""
        options = self.options
        return supcon(
            vectors,
            labels,
            tau=options.tau,
            form=options.form,
            anchor_reduction=options.anchor_reduction,
            **negatives,
        )
