"""Probabilistic contrastive learning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch, Prior, TrainingSet
from experiments.algorithms.classification import Classification, check_prior, classify
from experiments.algorithms.option_types import later
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.spaces import Space, dimension, require_space
from experiments.algorithms.views import check_views, contrast_views, seen_apart
from experiments.losses.balanced_softmax import balanced_softmax
from experiments.losses.pairs import check_temperature
from experiments.losses.von_mises_fisher import (
    Concentration,
    RunningMeans,
    concentration,
    expected_contrast,
    updated_means,
)
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class ProcoOptions:
    """Published defaults where nothing else is said; search ranges, ours, in brackets.

    Attributes:
        weight: of the contrast beside the classification, 10^U(-2, 0.5).
        tau: temperature, 10^U(-1.5, 0); published 0.1 on CIFAR, 0.07 on larger data.
        contrast_space: predictions, features, or projections (published; wants --projection).
        classification: balanced_softmax (published, as logit adjustment) or cross_entropy.
        epochs: passes over a class's samples that its running mean remembers; ours, see below.
        concentration: of a class from its mean, as released or as banerjee estimate it.
        views: of a sample in the contrast, beside the one that is classified (published 2); 0 takes that one.
        prior: of balanced_softmax: counts of each domain, or of all domains pooled (published).
    """

    weight: float = 1.0
    tau: float = 0.1
    contrast_space: Space = "predictions"
    classification: Classification = "balanced_softmax"
    epochs: float = 1.0
    concentration: Concentration = "released"
    views: int = later(0)
    prior: Prior = later("pooled")

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        check_views(self.views)
        check_prior(self.prior, self.classification)
        if not (self.weight >= 0 and self.epochs > 0):
            raise UsageError(f"Expected weight >= 0 and epochs > 0, got {self.weight} and {self.epochs}.")


class ProCo(Algorithm):
    r"""Contrast with infinitely many samples of a von Mises-Fisher distribution per class (Du et al., TPAMI 2024).

    .. math:: L = L_{LA}(z) + w\, L_{LA}(\ell),\quad L_{LA}(z) = \frac{-1}B \sum_i
        \log \frac{\pi_{y_i} e^{z_{iy_i}}}{\sum_c \pi_c e^{z_{ic}}}

    ``ell`` is :func:`experiments.losses.von_mises_fisher.expected_contrast`; its prior is that of all domains pooled,
    as its means are. Theirs start anew with every epoch and so remember one to two; there are no epochs here, and
    beyond ``epochs`` passes a mean forgets steadily. A class not yet seen is uniform on the sphere (theirs: a random
    direction). Of several views all move the means before the loss of any. Predicts with the classifier's logits
    alone, as their validation does.
    """

    Options = ProcoOptions
    search: ClassVar[Mapping[str, Range]] = {"weight": LogUniform(0.01, 10**0.5), "tau": LogUniform(10**-1.5, 1.0)}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: ProcoOptions) -> None:
        super().__init__(model, training_set, options)
        require_space(model, options.contrast_space, "contrast_space")
        counts = torch.as_tensor(training_set.counts.sum(axis=0))
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("class_counts", torch.as_tensor(training_set.prior(options.prior)), persistent=False)
        remembered = options.epochs * max(options.views, 1)
        self.register_buffer("horizon", remembered * counts.clamp_min(1).float(), persistent=False)
        self.register_buffer("means", torch.zeros(len(counts), dimension(model, options.contrast_space)))
        self.register_buffer("seen", torch.zeros(len(counts)))

    @property
    def views(self) -> tuple[str, ...]:
        """The option's number of views of the contrast."""
        return contrast_views(self.options.views)

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Classification, contrast and their weighted sum."""
        options = self.options
        outputs, apart, others = seen_apart(self.model, batch)
        classification = classify(options.classification, outputs.logits, batch, self.class_counts)
        vectors, labels = others.vectors(options.contrast_space), apart.labels
        means, seen = updated_means(RunningMeans(self.means, self.seen), vectors, labels, self.horizon)
        scores = expected_contrast(vectors, means, concentration(means, options.concentration), tau=options.tau)
        contrast = balanced_softmax(scores, labels, self.counts)
        if self.training:
            self.means, self.seen = means, seen
        total = classification + options.weight * contrast
        return {"loss": total, "loss/ce": classification, "loss/contrast": contrast}
