"""FixMatch: strong views under the confident pseudo-labels of weak ones, with FixCLR as an option."""

from dataclasses import dataclass

from torch import Tensor

from experiments.algorithms.semi_supervised import SemiSupervised, SemiSupervisedOptions
from experiments.losses.pseudo_labels import PseudoLabels, pseudo_label_loss, pseudo_labels
from geometry.errors import UsageError


@dataclass(frozen=True)
class FixMatchOptions(SemiSupervisedOptions):
    """What semi-supervised algorithms share, and the threshold.

    Attributes:
        threshold: a pseudo-label at least this probable is believed; published 0.95.
    """

    threshold: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"Expected a threshold in [0, 1], got {self.threshold}.")


class FixMatch(SemiSupervised):
    """Strong views are to be predicted as what their weak views are, where these are confident (Sohn et al. 2020).

    ``L = L_ce + lambda_u L_u``, with ``L_u`` of :func:`experiments.losses.pseudo_labels.pseudo_label_loss`. With
    ``fixclr`` above 0 and ``lambda_u=0`` it is FixCLR upon labelled cross-entropy, with FixMatch's mask alone.
    """

    Options = FixMatchOptions

    def pseudo_labels(self, probabilities: Tensor) -> PseudoLabels:
        """Believed from the threshold on."""
        return pseudo_labels(probabilities, self.options.threshold)

    def unlabelled_loss(self, logits: Tensor, labels: PseudoLabels) -> Tensor:
        """Their cross-entropy."""
        return pseudo_label_loss(logits, labels)
