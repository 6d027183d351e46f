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

import torch
from torch import Tensor

from experiments.losses.cosine import cosine_matrix


def negative_dominant_contrast(
    probs: Tensor, labels: Tensor, negative_probs: Tensor, negative_labels: Tensor
) -> Tensor:
    r"""Contrast with the negatives in the numerator (the paper's Eqs. 1 and 2, released form).

    .. math:: \frac1{|K_b|} \sum_k \frac1{n_k} \sum_{i: y_i = k} \log\Bigl(1 + \frac{P_i}{N_i}\Bigr),\quad
        P_i = \sum_{p \ne i,\, y_p = k} e^{1 - s(i, p)},\quad N_i = \sum_{n: y_n = k} e^{1 - s(i, n)}

    with cosines ``s`` of predictions. ``K_b`` holds the classes of the batch that have a negative.

    Args:
        probs: ``(B, K)`` softmax predictions of the batch.
        labels: ``(B,)`` classes.
        negative_probs: ``(M, K)`` predictions of the synthetic negatives.
        negative_labels: ``(M,)`` the class each negative was made *for* (not the class it belongs to).

    Returns:
        A scalar >= 0; 0 when no class has a negative.

    >>> p = torch.eye(2).repeat_interleave(2, 0)
    >>> float(negative_dominant_contrast(p, torch.tensor([0, 0, 1, 1]), p.flip(0), torch.tensor([0, 0, 1, 1])))
    0.1688...
    """
    same = labels[:, None] == labels[None, :]
    positive = (same & ~torch.eye(len(labels), dtype=torch.bool, device=same.device)).to(probs.dtype)
    negative = labels[:, None] == negative_labels.to(labels.device)[None, :]
    has_negative = negative.any(dim=1)
    if not bool(has_negative.any()):
        return (probs * 0).sum()
    attraction = ((1 - cosine_matrix(probs, probs)).exp() * positive).sum(dim=1)
    repulsion = ((1 - cosine_matrix(probs, negative_probs)).exp() * negative.to(probs.dtype)).sum(dim=1)
    per_anchor = torch.log1p(attraction / torch.where(has_negative, repulsion, torch.ones_like(repulsion)))
    per_anchor = torch.where(has_negative, per_anchor, torch.zeros_like(per_anchor))
    return (per_anchor / same.sum(dim=1)).sum() / torch.unique(labels[has_negative]).numel()


def prototype_alignment(probs: Tensor, labels: Tensor, domains: Tensor) -> Tensor:
    r"""Pull the prediction prototypes of a class together across domains (the paper's Eq. 3, released form).

    .. math:: \frac1{|K'|} \sum_{k \in K'} \frac1{m_k} \sum_d -\log
        \frac{\sum_{d' \ne d} e^{\cos(\mu_d^k, \mu_{d'}^k)}}
             {\sum_{(d', k') \ne (d, k)} e^{\cos(\mu_d^k, \mu_{d'}^{k'})}}

    with batch means ``mu_d^k`` of the predictions of class k in domain d, ``m_k`` domains holding class k, and
    ``K'`` the classes seen in at least two domains; prototypes of other classes enter nowhere.

    Args:
        probs: ``(B, K)`` softmax predictions.
        labels: ``(B,)`` classes.
        domains: ``(B,)`` domains.

    Returns:
        A scalar >= 0; 0 when no class is seen in two domains.

    >>> p, y = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    >>> float(prototype_alignment(p, y, torch.tensor([0, 0, 1, 1])))
    0.5514...
    """
    cells, cell = torch.unique(torch.stack([labels, domains.to(labels.dtype)]), dim=1, return_inverse=True)
    in_domains = (cells[0][:, None] == cells[0][None, :]).sum(dim=1)
    shared = in_domains > 1
    if not bool(shared.any()):
        return (probs * 0).sum()
    # A common scale leaves cosines alone and keeps the mean of huge finite entries finite.
    scaled = probs / probs.detach().abs().amax().clamp_min(1.0)
    member = (torch.arange(cells.shape[1], device=cell.device)[:, None] == cell[None, :]).to(probs.dtype)
    prototypes = ((member / member.sum(dim=1, keepdim=True)) @ scaled)[shared]
    classes, m = cells[0][shared], in_domains[shared]
    itself = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    similarity = cosine_matrix(prototypes, prototypes).masked_fill(itself, -torch.inf)
    other_class = classes[:, None] != classes[None, :]
    agreement = torch.logsumexp(similarity.masked_fill(other_class, -torch.inf), dim=1)
    per_cell = torch.logsumexp(similarity, dim=1) - agreement
    return (per_cell / m).sum() / torch.unique(classes).numel()


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
    largest = torch.finfo(logits.dtype).max
    shifted = (logits - logits.detach().amax(dim=1, keepdim=True)).clamp_min(-largest)
    losses = torch.logsumexp(shifted, dim=1) - shifted.gather(1, labels[:, None]).squeeze(1)
    same = labels[:, None] == labels[None, :]
    hardness = torch.softmax(losses.detach()[None, :].masked_fill(~same, -torch.inf), dim=1).diagonal()
    weight = weights.to(logits)[domains, labels]
    return (weight * hardness * losses).sum().div(torch.unique(labels).numel()).clamp_max(largest)
