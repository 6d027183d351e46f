"""Parametric contrastive learning."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.algorithms.memory import Queue, SlowCopy, check_memory
from experiments.algorithms.option_types import later
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.spaces import Outputs, Space, dimension, require_projection
from experiments.algorithms.views import check_views, contrast_views
from experiments.losses.pairs import check_temperature
from experiments.losses.parametric_contrast import parametric_contrast
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class PacoOptions:
    """Published defaults where nothing else is said; search ranges, ours, in brackets.

    Attributes:
        alpha: weight of each key of the anchor's class, 10^U(-2.5, -0.5); published 0.05, on CIFAR 0.01.
        beta: weight of the anchor's own class centre.
        gamma: of the keys in the denominator.
        supt: temperature of the classifier's logits.
        tau: temperature of the keys, 10^U(-1.5, 0); published 0.2, on CIFAR 0.05.
        queue: number of keys; published 8,192, on CIFAR 1,024.
        encoder: of the keys: momentum (PaCo) or same (the model itself: GPaCo, Cui et al. 2023).
        momentum: of that encoder.
        contrast_space: predictions, features, or projections (published; wants --projection).
        prior: that is added to the logits: pooled (published), domain or none.
        views: 1 for keys of a view of their own (published), 0 for keys of what is classified.
    """

    alpha: float = 0.05
    beta: float = 1.0
    gamma: float = 1.0
    supt: float = 1.0
    tau: float = 0.2
    queue: float = 1024.0
    encoder: Literal["momentum", "same"] = "momentum"
    momentum: float = 0.999
    contrast_space: Space = "predictions"
    prior: Literal["pooled", "domain", "none"] = "pooled"
    views: int = later(0)

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        check_views(self.views, 1)
        check_memory(self.queue, self.momentum)
        if not (self.alpha >= 0 and self.beta > 0 and self.gamma >= 0 and self.supt > 0):
            given = f"{self.alpha}, {self.beta}, {self.gamma} and {self.supt}"
            raise UsageError(f"Expected alpha >= 0, beta > 0, gamma >= 0 and supt > 0, got {given}.")


class PaCo(Algorithm):
    r"""Class centres and samples in one softmax (Cui et al., ICCV 2021).

    .. math:: L_i = \frac{-1}{\beta + \alpha |P_i|} \Bigl[\beta \log \frac{e^{(z_{iy} + \log \pi_y)/t}}{D_i}
        + \alpha \sum_{j \in P_i} \log \frac{e^{s_{ij}/\tau}}{D_i}\Bigr]

    ``D_i`` sums over classes and, times gamma, over keys: the batch's other samples, the slow copy's outputs on the
    batch or on its second view, whose samples are anchors too with ``encoder=same`` (as GPaCo's release has it), and
    the queue. Keys share the denominator with the logits, so every space reaches the classifier, also on a frozen
    backbone. The release's queue starts with random vectors under random labels; this one starts empty.
    """

    Options = PacoOptions
    search: ClassVar[Mapping[str, Range]] = {
        "alpha": LogUniform(10**-2.5, 10**-0.5),
        "tau": LogUniform(10**-1.5, 1.0),
    }

    def __init__(self, model: Classifier, training_set: TrainingSet, options: PacoOptions) -> None:
        super().__init__(model, training_set, options)
        require_projection(model, options.contrast_space, "contrast_space")
        counts = torch.as_tensor(training_set.prior("domain" if options.prior == "domain" else "pooled")).float()
        log_prior = (counts / counts.sum(dim=1, keepdim=True)).log()
        self.register_buffer("log_prior", log_prior if options.prior != "none" else 0 * counts, persistent=False)
        self.slow = SlowCopy(model, options.momentum) if options.encoder == "momentum" else None
        self.queue = Queue(int(options.queue), dimension(model, options.contrast_space))

    @property
    def views(self) -> tuple[str, ...]:
        """The view that keys are of, where it is one of their own."""
        return contrast_views(self.options.views)

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The one loss."""
        options = self.options
        if self.training and self.slow is not None:
            self.slow.follow(self.model)
        anchors = batch
        if self.slow is None and batch.views:
            anchors = replace(batch, views=(batch.inputs, *batch.views)).stacked()
        outputs, labels = Outputs.of(self.model, anchors.inputs), anchors.labels
        vectors = outputs.vectors(options.contrast_space)
        keys, key_labels = self.queue.contents()
        newest = vectors[-len(batch.labels) :]
        if self.slow is not None:
            newest = self.slow.second_view(batch, outputs).vectors(options.contrast_space)
            keys, key_labels = torch.cat([newest, keys]), torch.cat([labels, key_labels])
        weights = {name: getattr(options, name) for name in ("alpha", "beta", "gamma", "supt", "tau")}
        logits = outputs.logits + self.log_prior[anchors.domains]
        loss = parametric_contrast(logits, vectors, labels, keys, key_labels, **weights)
        if self.training:
            self.queue.put(newest, batch.labels)
        return {"loss": loss}
