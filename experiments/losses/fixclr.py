"""The repelling term of FixCLR."""

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
from experiments.losses.prototypes import cell_means
from geometry.errors import UsageError

Level = Literal["sample", "class", "domain-class"]
Aggregate = Literal["sum", "mean"]


def repel_only(
    vectors: Tensor,
    labels: Tensor,
    *,
    tau: float = 0.1,
    domains: Tensor | None = None,
    kept: Tensor | None = None,
    level: Level = "sample",
    aggregate: Aggregate = "sum",
    other_domains_only: bool = False,
    anchor_reduction: AnchorReduction = "sample",
) -> Tensor:
    r"""Push samples of different (pseudo-)classes apart, across all domains, and attract nothing.

    .. math:: \ell_i = \log \sum_{j \in N(i)} e^{s_{ij}/\tau},\quad N(i) = \{j : y_j \ne y_i\}

    Reconstructed, ours, from the abstract of FixCLR (Son, Rezaei and Liu 2025, arXiv 2506.20841), whose
    equation and temperature were not at hand: it keeps only the repelling term and takes classes from
    pseudo-labels. ``aggregate="mean"`` divides the sum by ``|N(i)|``, so that the batch size does not matter; its
    value at a collapsed simplex is ``-1 / ((C - 1) tau)``. Nothing is attracted; between samples a class
    collapses all the same at the optimum (Jensen, ours), between class means nothing holds its samples together.

    Args:
        vectors: ``(B, D)`` embeddings, normalised here.
        labels: ``(B,)`` classes or pseudo-classes.
        tau: temperature > 0.
        domains: ``(B,)``, wanted by ``domain-class`` and by ``other_domains_only``.
        kept: ``(B,)`` bool, the samples whose pseudo-label is trusted; all without it.
        level: repel samples, class means, or means of a class in a domain (of normalised vectors).
        aggregate: log of the sum, or of the mean.
        other_domains_only: only negatives of other domains count.
        anchor_reduction: mean over ``sample`` (or mean vector) or ``class``.

    Returns:
        A scalar over the anchors with a negative; 0 when there are none.

    Raises:
        UsageError: an unknown option, no domains where they are wanted, or a temperature that is not positive.

    >>> round(float(repel_only(torch.eye(2), torch.tensor([0, 1]), tau=1.0)), 6)
    0.0
    """
    check_temperature(tau)
    check_option("level", level, get_args(Level))
    check_option("aggregate", aggregate, get_args(Aggregate))
    if domains is None and (level == "domain-class" or other_domains_only):
        raise UsageError("Expected the samples' domains; give domains, or take neither domain-class nor other domains.")
    if level == "class" and other_domains_only:
        raise UsageError("Class means have no domain; take level 'domain-class' to repel across domains only.")
    places = torch.zeros_like(labels) if domains is None or level == "class" else domains
    units = unit_vectors(vectors)
    if kept is not None:
        units, labels, places = units[kept], labels[kept], places[kept]
    if level != "sample" and len(labels):
        means, labels, places = cell_means(units, labels, places)
        units = unit_vectors(means)
    rivals = labels[:, None] != labels[None, :]
    if other_domains_only:
        rivals &= places[:, None] != places[None, :]
    losses = masked_logsumexp(units @ units.T / tau, rivals)
    if aggregate == "mean":
        losses = losses - rivals.sum(dim=1).clamp_min(1).to(losses).log()
    return reduce_anchors(losses, labels, rivals.any(dim=1), anchor_reduction)
