"""FreeMatch: FixMatch with thresholds that follow the predictions, with FixCLR as an option."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from experiments.algorithms.base import TrainingSet
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.semi_supervised import SemiSupervised, SemiSupervisedOptions
from experiments.losses.adaptive_threshold import PredictionAverages
from experiments.losses.fairness import fairness_cross_entropy
from experiments.losses.pseudo_labels import PseudoLabels, pseudo_label_loss, pseudo_labels
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class FreeMatchOptions(SemiSupervisedOptions):
    """What semi-supervised algorithms share, and FreeMatch's own.

    Attributes:
        momentum: of the averages behind the thresholds; published 0.999, for a million steps.
        fairness: weight of the fairness term, 10^U(-3, -1); the release's default 0.01, in its configurations 0.001.
        fairness_sign: published (descent moves the batch's class shares away from the smoothed ones), or turned (ours:
            towards them).
    """

    momentum: float = 0.999
    fairness: float = 0.01
    fairness_sign: Literal["published", "turned"] = "published"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.momentum <= 1 and self.fairness >= 0):
            raise UsageError(f"Expected momentum in [0, 1] and fairness >= 0, got {self.momentum} and {self.fairness}.")


class FreeMatch(SemiSupervised):
    r"""FixMatch with a threshold of its own for every class, that follows the predictions (Wang et al., ICLR 2023).

    .. math:: L_u = \frac1U \sum_u 1[\max_k q_{uk} \ge \tau_t(\hat q_u)] H(\hat q_u, p_u)
        - w_f H\bigl(\mathrm{SumNorm}(p_t / h_t), \mathrm{SumNorm}(\bar p / \bar h)\bigr)

    of :mod:`experiments.losses.adaptive_threshold` and :mod:`experiments.losses.fairness`; ``lambda_u`` multiplies both
    parts (it is 1 where published), so that at 0 labelled cross-entropy is left. The averages take a batch in
    before it is judged by them, as released, and all samples that enter the unlabelled loss. They start at ``1 / K``
    and forget that in about ``1 / (1 - momentum)`` steps: in a run of some hundreds take a smaller momentum.
    """

    Options = FreeMatchOptions
    search: ClassVar[Mapping[str, Range]] = {**SemiSupervised.search, "fairness": LogUniform(1e-3, 1e-1)}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: FreeMatchOptions) -> None:
        super().__init__(model, training_set, options)
        self.averages = PredictionAverages(model.head.out_features, options.momentum)

    def pseudo_labels(self, probabilities: Tensor) -> PseudoLabels:
        """Believed from the threshold of their class on."""
        if self.training:
            self.averages.follow(probabilities)
        return pseudo_labels(probabilities, self.averages.thresholds())

    def unlabelled_loss(self, logits: Tensor, labels: PseudoLabels) -> Tensor:
        """Their cross-entropy, and fairness."""
        averages, options = self.averages, self.options
        weight = -options.fairness if options.fairness_sign == "published" else options.fairness
        fairness = fairness_cross_entropy(logits, labels.kept, averages.mean, averages.histogram)
        return pseudo_label_loss(logits, labels) + weight * fairness
