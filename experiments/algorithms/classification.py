"""The classification term beside a contrast."""

from typing import Literal

from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.base import Batch, Prior
from experiments.losses.balanced_softmax import balanced_softmax
from geometry.errors import UsageError

Classification = Literal["cross_entropy", "balanced_softmax"]


def check_prior(prior: Prior, classification: Classification) -> None:
    """Refuse a prior that no term reads.

    Raises:
        UsageError: it is not the default, and the classification is no balanced softmax.
    """
    if prior != "pooled" and classification != "balanced_softmax":
        raise UsageError(f"Expected no prior beside classification={classification}, which reads none; got {prior!r}.")


def classify(classification: Classification, logits: Tensor, batch: Batch, counts: Tensor) -> Tensor:
    """Cross-entropy of a batch's ``(B, K)`` logits, or balanced softmax with the ``(M, K)`` counts of its domains."""
    if classification == "balanced_softmax":
        return balanced_softmax(logits, batch.labels, counts[batch.domains])
    return cross_entropy(logits, batch.labels)
