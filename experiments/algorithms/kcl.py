"""K-positive contrastive learning beside cross-entropy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.algorithms.memory import Queue, SlowCopy, check_memory
from experiments.algorithms.option_types import later
from experiments.algorithms.search import Choice, LogUniform, Range
from experiments.algorithms.spaces import Outputs, Space, dimension, require_space
from experiments.algorithms.views import check_views, contrast_views
from experiments.losses.k_positive import Unused, draw_positives, k_positive_contrast
from experiments.losses.pairs import check_temperature
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class KclOptions:
    """Published defaults where nothing else is said; search ranges, ours, in brackets.

    Attributes:
        weight: of the contrast beside the classification, 10^U(-3, 0); ours, as the published method has two stages.
        tau: temperature, 10^U(-1.5, 0).
        positives: keys of the anchor's class that it is drawn to beside its own, at most; {3, 6, 12}.
        queue: number of keys; published 65,536, which is more than these data sets hold (1,024: ours).
        momentum: of the key encoder.
        contrast_space: predictions, features, or projections (published; wants --projection).
        unused: what the other keys of the class are: negative (published) or neutral (an option of the release).
        views: 1 for keys of a view of their own (published), 0 for keys of what is classified.
    """

    weight: float = 0.1
    tau: float = 0.07
    positives: float = 6.0
    queue: float = 1024.0
    momentum: float = 0.999
    contrast_space: Space = "predictions"
    unused: Unused = "negative"
    views: int = later(0)

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        check_views(self.views, 1)
        check_memory(self.queue, self.momentum)
        if not self.weight >= 0:
            raise UsageError(f"Expected weight >= 0, got {self.weight}.")
        if not (self.positives >= 0 and float(self.positives).is_integer()):
            raise UsageError(f"Expected positives to be a whole number >= 0, got {self.positives}.")


class KCL(Algorithm):
    r"""``L = L_ce + weight * KCL`` (Kang et al., ICLR 2021), in one stage instead of their two.

    .. math:: \mathrm{KCL}_i = \frac{-1}{1 + |P_i|} \sum_{p \in \{k_i\} \cup P_i}
        \log \frac{e^{s_{ip}/\tau}}{\sum_{j \in \{k_i\} \cup Q} e^{s_{ij}/\tau}}

    Keys come from a copy of the model that follows it slowly, ``k_i`` from the anchor's own sample and the queue Q from
    earlier batches; ``P_i`` are at most ``positives`` keys of the anchor's class in Q, drawn at random (the release
    takes those that a sort of ties puts first).
    """

    Options = KclOptions
    search: ClassVar[Mapping[str, Range]] = {
        "weight": LogUniform(1e-3, 1.0),
        "tau": LogUniform(10**-1.5, 1.0),
        "positives": Choice((3.0, 6.0, 12.0)),
    }

    def __init__(self, model: Classifier, training_set: TrainingSet, options: KclOptions) -> None:
        super().__init__(model, training_set, options)
        require_space(model, options.contrast_space, "contrast_space")
        self.slow = SlowCopy(model, options.momentum)
        self.queue = Queue(int(options.queue), dimension(model, options.contrast_space))

    @property
    def views(self) -> tuple[str, ...]:
        """The view that keys are of, where it is one of their own."""
        return contrast_views(self.options.views)

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Cross-entropy, contrast and their weighted sum."""
        options, labels = self.options, batch.labels
        if self.training:
            self.slow.follow(self.model)
        outputs = Outputs.of(self.model, batch.inputs)
        classification = cross_entropy(outputs.logits, labels)
        own_keys = self.slow.second_view(batch, outputs).vectors(options.contrast_space)
        keys, key_labels = self.queue.contents()
        positives = draw_positives(labels, key_labels, int(options.positives), rng)
        vectors = outputs.vectors(options.contrast_space)
        contrast = k_positive_contrast(
            vectors, labels, own_keys, keys, key_labels, positives, tau=options.tau, unused=options.unused
        )
        if self.training:
            self.queue.put(own_keys, labels)
        total = classification + options.weight * contrast
        return {"loss": total, "loss/ce": classification, "loss/contrast": contrast}
