"""Contrast in which every class weighs alike in the denominator: BCL, and ECL's equal contributions."""

from typing import Literal, get_args

import torch
from torch import Tensor

from experiments.losses.cosine import unit_vectors
from experiments.losses.pairs import (
    AnchorReduction,
    check_option,
    check_temperature,
    masked_logsumexp,
    reduce_anchors,
)
from geometry.errors import UsageError

Denominator = Literal["joint", "separate"]


def balanced_contrast(
    vectors: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    *,
    tau: float = 0.07,
    prototype_share: float | str = "bcl",
    denominator: Denominator = "joint",
    anchor_reduction: AnchorReduction = "sample",
) -> Tensor:
    r"""Each class enters as a mean over its samples and its prototype.

    With ``B_c^i`` the batch's samples of class c but i, ``a_c = [B_c^i not empty]``, and prototype shares ``w_c``,

    .. math:: D_i = \sum_c \Bigl[ \frac{(1 - w_c)\, a_c}{|B_c^i|} \sum_{q \in B_c^i} e^{s_{iq}/\tau}
        + w_c\, e^{s(i, p_c)/\tau} \Bigr]

        \ell_i = -\frac{(1 - w_y)\, a_y}{|B_y^i|} \sum_{q \in B_y^i} \Bigl[\frac{s_{iq}}\tau - \log D_i\Bigr]
        - w_y \Bigl[\frac{s(i, p_y)}\tau - \log D_i\Bigr]

    ``prototype_share="bcl"``: the prototype counts as one more sample, ``w_c = 1 / (|B_c^i| + 1)``. This is
    balanced contrastive learning as its authors' code has it (Zhu et al., CVPR 2022; equal to ours in value).
    ``"equal"``: ``w_c = 1/2`` for any batch, the equal contributions that ECL (Roh et al. 2026, arXiv 2602.09506)
    asks for; reconstructed, ours: its equations were not at hand, and its constant log 2 is left off. A
    number in (0, 1] is a share of one's own.

    ``denominator="separate"`` contrasts samples with samples and prototypes with prototypes (ours):
    ``log D_i`` becomes ``log sum_c a_c mean_{B_c^i} e^{s/tau}`` in the first bracket and
    ``log sum_c e^{s(i, p_c)/tau}`` in the second.

    Args:
        vectors: ``(B, D)`` features or predictions, normalised here.
        labels: ``(B,)`` classes 0..K-1.
        prototypes: ``(K, D)``, normalised here; classes absent from the batch enter through them.
        tau: temperature > 0; BCL's is 0.07.
        prototype_share: ``"bcl"``, ``"equal"`` or a number.
        denominator: ``joint`` or ``separate``.
        anchor_reduction: mean over ``sample`` (released) or ``class`` (which keeps the simplex optimal; ours).

    Returns:
        A scalar over all anchors.

    Raises:
        UsageError: an unknown option, a share outside (0, 1], or a temperature that is not positive.

    >>> x, y = torch.eye(2).repeat_interleave(2, 0), torch.tensor([0, 0, 1, 1])
    >>> float(balanced_contrast(x, y, torch.eye(2), tau=1.0))  # log(1 + 1 / e)
    0.3132...
    """
    check_temperature(tau)
    check_option("denominator", denominator, get_args(Denominator))
    units, centres = unit_vectors(vectors), unit_vectors(prototypes)
    scores, centre_scores = units @ units.T / tau, units @ centres.T / tau
    own_class = labels[:, None] == torch.arange(len(prototypes), device=labels.device)[None, :]
    others = own_class.sum(dim=0)[None, :] - own_class.long()  # |B_c^i|
    share = _prototype_share(prototype_share, others.to(scores))
    rivals = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    each = others.clamp_min(1).to(scores)

    own_rivals = rivals & (labels[:, None] == labels[None, :])
    own_others = each.gather(1, labels[:, None]).squeeze(1)
    prototype_part = share.gather(1, labels[:, None]).squeeze(1)
    sample_part = (1 - prototype_part) * own_rivals.any(dim=1)
    sample_score = scores.masked_fill(~own_rivals, 0.0).sum(dim=1) / own_others
    prototype_score = centre_scores.gather(1, labels[:, None]).squeeze(1)
    if denominator == "joint":
        weights = torch.cat([((1 - share) / each)[:, labels], share], dim=1)
        entering = torch.cat([rivals, torch.ones_like(own_class)], dim=1)
        total = masked_logsumexp(torch.cat([scores, centre_scores], dim=1) + weights.log(), entering)
        losses = sample_part * (total - sample_score) + prototype_part * (total - prototype_score)
    else:
        among_samples = masked_logsumexp(scores - each[:, labels].log(), rivals)
        among_samples = torch.where(own_rivals.any(dim=1), among_samples, sample_score)
        among_prototypes = torch.logsumexp(centre_scores, dim=1)
        losses = sample_part * (among_samples - sample_score) + prototype_part * (among_prototypes - prototype_score)
    return reduce_anchors(losses, labels, torch.ones_like(labels, dtype=torch.bool), anchor_reduction)


def check_prototype_share(share: float | str) -> None:
    """Refuse what is no share of a class's contribution.

    Raises:
        UsageError: it is neither ``"bcl"`` nor ``"equal"`` nor a number in (0, 1].
    """
    if share not in ("bcl", "equal") and (isinstance(share, str) or not 0 < share <= 1):
        raise UsageError(f"Expected prototype_share to be 'bcl', 'equal' or a number in (0, 1], got {share!r}.")


def _prototype_share(share: float | str, others: Tensor) -> Tensor:
    """``w_c`` of every anchor and class ``(B, K)`` from the number of other samples of the class."""
    check_prototype_share(share)
    if share == "bcl":
        return 1 / (others + 1)
    return torch.full_like(others, 0.5 if share == "equal" else float(share))
