"""What every contrastive loss shares: who is a positive and a negative of whom, sums over them, means over anchors."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import softplus as torch_softplus

from experiments.losses.cosine import cosine_matrix
from geometry.errors import UsageError

AnchorReduction = Literal["sample", "class"]


@dataclass(frozen=True)
class Pairs:
    """Cosines of B anchors with their possible positives and negatives, and which of these count.

    Attributes:
        positive_cosine: ``(B, B)``.
        positive: ``(B, B)`` bool.
        negative_cosine: ``(B, N)``.
        negative: ``(B, N)`` bool.
    """

    positive_cosine: Tensor
    positive: Tensor
    negative_cosine: Tensor
    negative: Tensor


def contrast_pairs(
    vectors: Tensor,
    labels: Tensor,
    *,
    negatives: Tensor | None = None,
    negative_labels: Tensor | None = None,
    batch_negatives: bool = False,
    include_anchor: bool = False,
) -> Pairs:
    """The pairs of a batch: positives share the anchor's class, negatives do not or were made for it.

    Args:
        vectors: ``(B, D)`` features or predictions; every one is an anchor.
        labels: ``(B,)`` classes.
        negatives: ``(M, D)`` synthetic negatives; without them the samples of other classes are the negatives.
        negative_labels: ``(M,)`` the class each was made *for* (not the class it belongs to).
        batch_negatives: take the samples of other classes beside the synthetic negatives.
        include_anchor: an anchor is a positive of itself, as when its positive is drawn independently of it.

    Raises:
        UsageError: synthetic negatives without the classes they were made for.
    """
    if negatives is not None and negative_labels is None:
        raise UsageError("Expected the class each negative was made for; give negative_labels beside negatives.")
    cosine = cosine_matrix(vectors, vectors)
    same = labels[:, None] == labels[None, :]
    positive = same if include_anchor else same.clone().fill_diagonal_(False)
    if negatives is None:
        return Pairs(cosine, positive, cosine, ~same)
    made_cosine = cosine_matrix(vectors, negatives)
    made_for = labels[:, None] == negative_labels.to(labels.device)[None, :]
    if batch_negatives:
        made_cosine, made_for = torch.cat([cosine, made_cosine], dim=1), torch.cat([~same, made_for], dim=1)
    return Pairs(cosine, positive, made_cosine, made_for)


def masked_logsumexp(values: Tensor, mask: Tensor) -> Tensor:
    """``log sum_j e^{v_ij}`` over the True of each row; -inf, with no gradient, where a row has none.

    Args:
        values: ``(A, B)``.
        mask: ``(A, B)`` bool.

    Returns:
        ``(A,)``.

    >>> values = torch.zeros(2, 3, requires_grad=True)
    >>> masked_logsumexp(values, torch.tensor([[True, True, False], [False, False, False]])).tolist()
    [0.6931..., -inf]
    """
    empty = ~mask.any(dim=1)
    # An empty row keeps its values: with all of them -inf its gradient would be NaN.
    kept = values.masked_fill(~(mask | empty[:, None]), -torch.inf)
    return torch.logsumexp(kept, dim=1).masked_fill(empty, -torch.inf)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the True of each row ``(A,)``; 0, with no gradient, where a row has none."""
    return values.masked_fill(~mask, 0.0).sum(dim=1) / mask.sum(dim=1).clamp_min(1)


def softplus(x: Tensor) -> Tensor:
    """``log(1 + e^x)``, exact in float64 (torch's own default leaves off 2e-9 above x = 20)."""
    return torch_softplus(x, threshold=40.0)


def reduce_anchors(per_anchor: Tensor, labels: Tensor, counted: Tensor, reduction: AnchorReduction) -> Tensor:
    """Mean over anchors, or mean over classes of the mean over a class's anchors.

    The first lets frequent classes weigh by their frequency; the second weighs every class of the batch alike.

    Args:
        per_anchor: ``(B,)`` losses.
        labels: ``(B,)`` classes.
        counted: ``(B,)`` bool: anchors that have a loss at all; the others may hold anything.
        reduction: ``sample`` or ``class``.

    Returns:
        A scalar; 0, with a graph, when no anchor counts.

    Raises:
        UsageError: an unknown reduction.

    >>> losses, y, every = torch.tensor([3.0, 3.0, 0.0]), torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool)
    >>> [float(reduce_anchors(losses, y, every, how)) for how in ("sample", "class")]
    [2.0, 1.5]
    """
    check_option("anchor_reduction", reduction, get_args(AnchorReduction))
    losses = torch.where(counted, per_anchor, 0.0)
    if reduction == "sample":
        return losses.sum() / counted.sum().clamp_min(1)
    sizes = ((labels[:, None] == labels[None, :]) & counted[None, :]).sum(dim=1).clamp_min(1)
    return (losses / sizes).sum() / number_of_classes(labels[counted]).clamp_min(1)


def number_of_classes(labels: Tensor) -> Tensor:
    """How many different classes there are among whole numbers from 0; a scalar on their device.

    >>> int(number_of_classes(torch.tensor([3, 0, 3])))
    2
    """
    return torch.bincount(labels).count_nonzero()


def check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse an unknown name of an option.

    Raises:
        UsageError: it is not known.
    """
    if value not in known:
        raise UsageError(f"Expected {name} to be one of {', '.join(known)}, got {value!r}.")


def check_temperature(tau: float) -> None:
    """Refuse a temperature that is not positive.

    Raises:
        UsageError: tau is not positive.
    """
    if not tau > 0:
        raise UsageError(f"Expected a positive temperature tau, got {tau}.")
