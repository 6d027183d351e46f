"""The three terms of negatives-dominant contrastive learning (NDCL), in their released form.

Source: Cao, Liu and Chen, "Negatives-Dominant Contrastive Learning for Generalization in Imbalanced
Domains" (arXiv 2601.21999); the formulas are those of the released code, since the paper's own typography
was not at hand. The total is ``L_ce + alpha * L_con + beta * L_const`` with alpha = beta = 0.1.

Each function equals the released formula on every batch where that is finite. Defects mended here (the mend
is ours):

* A class without negatives made the released contrast infinite or NaN: such a class is left out of the sum
  and of the number of classes that the sum is divided by.
* A class with one sample has an empty sum of positives: its term is exactly 0 and has exactly zero gradient,
  as released; it still counts in the mean.
* A batch of one class, or whose classes each live in one domain, gives 0 with a graph instead of a constant.
* The weights per (domain, class), never set in the release (its first step fails on them), are an argument:
  a table ``(domains, classes)`` that follows the logits' device.
* Labels of synthetic negatives may be floats or integers; devices follow the inputs, never a string.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from experiments.losses.cosine import cosine_matrix
from experiments.losses.cross_entropy import cross_entropies
from experiments.losses.pairs import (
    AnchorReduction,
    Pairs,
    check_option,
    check_temperature,
    contrast_pairs,
    masked_logsumexp,
    number_of_classes,
    reduce_anchors,
    softplus,
)
from experiments.losses.prototypes import cell_means, moving_prototypes

Dissimilarity = Literal["exp", "raw"]
Aggregate = Literal["sum", "mean"]

SAFE_EXPONENT = 40.0  # sums of e^40 are far from overflow, also in float32


def negative_dominant_contrast(
    vectors: Tensor,
    labels: Tensor,
    negatives: Tensor | None = None,
    negative_labels: Tensor | None = None,
    *,
    batch_negatives: bool = False,
    dissimilarity: Dissimilarity = "exp",
    aggregate: Aggregate = "sum",
    tau: float = 1.0,
    anchor_reduction: AnchorReduction = "class",
) -> Tensor:
    r"""Contrast with the negatives in the numerator (the paper's Eqs. 1 and 2, released form by default).

    .. math:: \frac1{|K_b|} \sum_k \frac1{n_k} \sum_{i: y_i = k} \log\Bigl(1 + \frac{P_i}{N_i}\Bigr),\quad
        P_i = \sum_{p \ne i,\, y_p = k} e^{(1 - s(i, p))/\tau},\quad N_i = \sum_{n: y_n = k} e^{(1 - s(i, n))/\tau}

    with cosines ``s`` of predictions. ``K_b`` holds the classes of the batch that have a negative. The released
    form has tau = 1, synthetic negatives alone, exponentials, sums and class means; every other choice is a
    variant of ours.

    Args:
        vectors: ``(B, D)`` softmax predictions of the batch (released), or features.
        labels: ``(B,)`` classes.
        negatives: ``(M, D)`` the same of the synthetic negatives; without them, the samples of other classes.
        negative_labels: ``(M,)`` the class each negative was made *for* (not the class it belongs to).
        batch_negatives: take the samples of other classes beside the synthetic ones.
        dissimilarity: ``exp``, or ``raw``: ``1 - s`` in place of its exponential (tau then cancels), as the
            paper's amplification factor is written. Its N can vanish: below the rounding of a cosine
            it counts as that rounding.
        aggregate: ``sum``, or ``mean``: P and N are divided by their numbers of terms.
        tau: temperature > 0.
        anchor_reduction: mean over ``class`` or ``sample``.

    Returns:
        A scalar >= 0; 0 when no class has a negative.

    Raises:
        UsageError: an unknown option, a temperature that is not positive, or negatives without their classes.

    >>> p = torch.eye(2).repeat_interleave(2, 0)
    >>> float(negative_dominant_contrast(p, torch.tensor([0, 0, 1, 1]), p.flip(0), torch.tensor([0, 0, 1, 1])))
    0.1688...
    """
    check_temperature(tau)
    check_option("dissimilarity", dissimilarity, get_args(Dissimilarity))
    check_option("aggregate", aggregate, get_args(Aggregate))
    pairs = contrast_pairs(
        vectors, labels, negatives=negatives, negative_labels=negative_labels, batch_negatives=batch_negatives
    )
    if dissimilarity == "exp" and 2.0 / tau > SAFE_EXPONENT:
        per_anchor = softplus(_log_ratio(pairs, tau, aggregate))
    else:
        per_anchor = torch.log1p(_ratio(pairs, tau, dissimilarity, aggregate))
    return reduce_anchors(per_anchor, labels, pairs.negative.any(dim=1), anchor_reduction)


def _ratio(pairs: Pairs, tau: float, dissimilarity: Dissimilarity, aggregate: Aggregate) -> Tensor:
    """``P_i / N_i`` in the released order of operations; P_i where there is no negative."""

    def total(cosine: Tensor, mask: Tensor) -> Tensor:
        far = (
            ((1 - cosine) / tau if tau != 1 else 1 - cosine).exp()
            if dissimilarity == "exp"
            else (1 - cosine).clamp_min(0.0)
        )
        summed = (far * mask.to(far.dtype)).sum(dim=1)
        return summed if aggregate == "sum" else summed / mask.sum(dim=1).clamp_min(1)

    repulsion = total(pairs.negative_cosine, pairs.negative)
    if dissimilarity == "raw":
        repulsion = repulsion.clamp_min(torch.finfo(repulsion.dtype).eps)
    return total(pairs.positive_cosine, pairs.positive) / torch.where(pairs.negative.any(dim=1), repulsion, 1.0)


def _log_ratio(pairs: Pairs, tau: float, aggregate: Aggregate) -> Tensor:
    """``log(P_i / N_i)`` of exponentials that would overflow; ``log P_i`` where there is no negative."""

    def log_total(cosine: Tensor, mask: Tensor) -> Tensor:
        summed = masked_logsumexp((1 - cosine) / tau, mask)
        return summed if aggregate == "sum" else summed - mask.sum(dim=1).clamp_min(1).to(summed).log()

    repulsion = log_total(pairs.negative_cosine, pairs.negative)
    return log_total(pairs.positive_cosine, pairs.positive) - torch.where(pairs.negative.any(dim=1), repulsion, 0.0)


def prototype_alignment(
    vectors: Tensor,
    labels: Tensor,
    domains: Tensor,
    *,
    tau: float = 1.0,
    memory: Tensor | None = None,
    momentum: float = 0.9,
) -> Tensor:
    """:func:`align_prototypes` of a batch's (class, domain) means (the paper's Eq. 3, released form by default).

    Args:
        vectors: ``(B, D)`` softmax predictions (released), or features.
        labels: ``(B,)`` classes.
        domains: ``(B,)`` domains.
        tau: temperature > 0, released 1.
        memory: ``(M, K, D)`` moving averages per domain and class, NaN where nothing was seen. With it, every
            cell of :func:`experiments.losses.prototypes.moving_prototypes` takes part, those absent from the
            batch as constants (ours: the release keeps no memory).
        momentum: share of the memory in a cell that the batch holds.

    Returns:
        A scalar >= 0; 0 when no class is seen in two domains.

    Raises:
        UsageError: the temperature is not positive.

    >>> p, y = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    >>> float(prototype_alignment(p, y, torch.tensor([0, 0, 1, 1])))
    0.5514...
    """
    batch = cell_means(vectors, labels, domains)
    if memory is None:
        return align_prototypes(batch.means, batch.classes, tau=tau)
    moved = moving_prototypes(memory, batch, momentum=momentum)
    places, classes = torch.nonzero(~moved.isnan().any(dim=-1), as_tuple=True)
    return align_prototypes(moved[places, classes], classes, tau=tau)


def align_prototypes(prototypes: Tensor, classes: Tensor, *, tau: float = 1.0) -> Tensor:
    r"""Pull the prototypes of a class together across domains.

    .. math:: \frac1{|K'|} \sum_{k \in K'} \frac1{m_k} \sum_d -\log
        \frac{\sum_{d' \ne d} e^{\cos(\mu_d^k, \mu_{d'}^k)/\tau}}
             {\sum_{(d', k') \ne (d, k)} e^{\cos(\mu_d^k, \mu_{d'}^{k'})/\tau}}

    with prototypes ``mu_d^k`` of class k in domain d, ``m_k`` domains holding class k, and ``K'`` the classes
    seen in at least two domains; prototypes of other classes enter nowhere.

    Args:
        prototypes: ``(P, D)``, one for each class and domain.
        classes: ``(P,)``.
        tau: temperature > 0.

    Returns:
        A scalar >= 0; 0 when no class has two prototypes.

    Raises:
        UsageError: the temperature is not positive.

    >>> float(align_prototypes(torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])))
    0.5514...
    """
    check_temperature(tau)
    domains_of_class = (classes[:, None] == classes[None, :]).sum(dim=1)
    shared = torch.nonzero(domains_of_class > 1).squeeze(1)
    if len(shared) == 0:
        return (prototypes * 0).sum()
    if len(shared) < len(classes):
        prototypes, classes, domains_of_class = (
            values.index_select(0, shared) for values in (prototypes, classes, domains_of_class)
        )
    itself = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    similarity = (cosine_matrix(prototypes, prototypes) / tau).masked_fill(itself, -torch.inf)
    other_class = classes[:, None] != classes[None, :]
    agreement = torch.logsumexp(similarity.masked_fill(other_class, -torch.inf), dim=1)
    per_cell = torch.logsumexp(similarity, dim=1) - agreement
    return (per_cell / domains_of_class).sum() / number_of_classes(classes)


def reweighted_cross_entropy(logits: Tensor, labels: Tensor, domains: Tensor, weights: Tensor) -> Tensor:
    r"""Cross-entropy that leans on the hard samples of each class (the paper's Eq. 4, released form).

    .. math:: \frac1{|K_b|} \sum_k \sum_{i: y_i = k} w_{d_i k}\, \sigma_k(\bar\ell)_i\, \ell_i

    with cross-entropies ``l_i`` and their softmax over the class's samples of all domains, taken as a constant.

    Args:
        logits: ``(B, K)``.
        labels: ``(B,)`` classes.
        domains: ``(B,)`` rows of ``weights``.
        weights: ``(domains, classes)`` non-negative.

    Returns:
        A scalar >= 0; a value beyond the dtype's range is given as its largest finite number.

    >>> z, y, d = torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([0, 0])
    >>> float(reweighted_cross_entropy(z, y, d, torch.ones(1, 2)))
    0.6931...
    """
    if len(labels) == 0:
        return (logits * 0).sum()
    losses = cross_entropies(logits, labels)
    same = labels[:, None] == labels[None, :]
    hardness = torch.softmax(losses.detach()[None, :].masked_fill(~same, -torch.inf), dim=1).diagonal()
    weight = weights.to(logits)[domains, labels]
    return (weight * hardness * losses).sum().div(number_of_classes(labels)).clamp_max(torch.finfo(logits.dtype).max)
