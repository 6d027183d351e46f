"""InfoNCE beside cross-entropy."""

from torch import Tensor

from experiments.algorithms.contrastive import Contrastive
from experiments.losses.info_nce import info_nce


class InfoNCE(Contrastive):
    """``L = L_ce + weight * InfoNCE`` over pairs of one class (van den Oord, Li and Vinyals 2018, Eq. 4).

    With ``negatives=mixup`` it is given the very negatives of NDCL, so that the two differ in the place of the
    negatives alone (and in tau and anchor_reduction, where these are left at their own defaults: NDCL has tau=1
    and anchor_reduction=class).
    """

    def contrast_loss(self, vectors: Tensor, labels: Tensor, **negatives: Tensor | bool) -> Tensor:
        """:func:`experiments.losses.info_nce.info_nce`."""
        options = self.options
        return info_nce(vectors, labels, tau=options.tau, anchor_reduction=options.anchor_reduction, **negatives)
