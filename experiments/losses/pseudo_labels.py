"""Pseudo-labels: the classes that a model itself gives to weak views, and a loss that holds strong views to them."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """What a model says of samples whose class it is not told.

    Attributes:
        classes: ``(U,)`` the most probable one of each sample.
        kept: ``(U,)`` bool, whether it is probable enough to be believed.
    """

    classes: Tensor
    kept: Tensor


def pseudo_labels(probabilities: Tensor, threshold: float | Tensor) -> PseudoLabels:
    r"""The most probable class of each sample, believed where ``max_k p_k >= threshold``.

    Args:
        probabilities: ``(U, K)`` rows that sum to one, of weak views.
        threshold: in [0, 1]; or ``(K,)``, one for each class that may be predicted.

    >>> import torch
    >>> found = pseudo_labels(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), torch.tensor([0.95, 0.5]))
    >>> found.classes.tolist(), found.kept.tolist()
    ([0, 1], [False, True])
    """
    confidence, classes = probabilities.detach().max(dim=1)
    return PseudoLabels(classes, confidence >= (threshold[classes] if isinstance(threshold, Tensor) else threshold))


def pseudo_label_loss(logits: Tensor, labels: PseudoLabels) -> Tensor:
    r"""Cross-entropy of strong views against the pseudo-labels of weak ones (Sohn et al. 2020, Eq. 4).

    .. math:: L_u = \frac1U \sum_u 1[\max_k q_{uk} \ge \tau] \, H(\hat q_u, p_u),\quad \hat q_u = \arg\max_k q_{uk}

    with q of the weak view, through which no gradient flows, and p of the strong one. The mean is over all U samples,
    so that few believed ones weigh little.

    Args:
        logits: ``(U, K)`` of the strong views.
        labels: of the weak views of the same samples.

    Returns:
        A scalar >= 0; 0, with a graph, where none is believed or there is none.

    >>> import torch
    >>> labels = PseudoLabels(torch.tensor([0, 1]), torch.tensor([True, False]))
    >>> float(pseudo_label_loss(torch.zeros(2, 2), labels))  # log(2) / 2
    0.3465...
    """
    losses = cross_entropy(logits, labels.classes, reduction="none")
    return (losses * labels.kept).sum() / max(len(logits), 1)
