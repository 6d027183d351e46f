"""Generative inference network for imbalanced domain generalization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from experiments.algorithms.added_modules import multilayer, same_start
from experiments.algorithms.adversary import reversal_ramp
from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.spaces import frozen
from experiments.losses.class_partners import align_classes
from experiments.losses.gradient_reversal import reverse_gradient
from experiments.models import Classifier
from geometry.errors import UsageError

LARGEST_LOG_VARIANCE = 40.0  # ours: the exponential of large features is infinite in float32


@dataclass(frozen=True)
class GinidgOptions:
    """The release's defaults; search range, ours, in brackets.

    Attributes:
        weight: of the classification of generated features, 10^U(-1, 1).
        adversary: what the ramp of the reversed gradients ends at.
        reconstruction: share of the training in which the generator only reconstructs (NDCL's 1,000 steps of 5,001).
        samples: generated features for each aligned one.
        latent: dimensions of the generator's code.
    """

    weight: float = 1.0
    adversary: float = 1.0
    reconstruction: float = 0.2
    samples: int = 6
    latent: int = 64

    def __post_init__(self) -> None:
        if not (self.weight >= 0 and self.adversary >= 0 and 0 <= self.reconstruction <= 1):
            raise UsageError(f"Expected weight and adversary >= 0 and reconstruction in [0, 1], got {self}.")
        if not (self.samples >= 1 and self.latent >= 1):
            raise UsageError(f"Expected samples and latent of 1 or more, got {self.samples} and {self.latent}.")


class GINIDG(Algorithm):
    """Features of one class, averaged over domains, give more features of it (Xia, Jing and Ding; read off releases).

    First ``L = L_ce + L_domain + |G - a| + weight * L_ce(G)``, the last two for the generator alone; then
    ``L = L_ce + L_domain + L_fake + weight * L_ce(G)``, where ``L_ce(G)`` trains generator, head and backbone.
    ``L_domain`` reaches the backbone and ``L_fake`` (real or generated) the generator with reversed gradients.
    Ours: samples are aligned at random within a class over the domains that hold it (the NDCL port averages without
    regard to class, always divides by 3, and compares with features the generator did not read), discriminators have no
    dropout, and with a cosine classifier aligned and generated features have length one, as features have. On a frozen
    backbone, generated features train the head and there is no domain discriminator.
    """

    Options = GinidgOptions
    search: ClassVar[Mapping[str, Range]] = {"weight": LogUniform(0.1, 10.0)}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: GinidgOptions) -> None:
        super().__init__(model, training_set, options)
        self.steps = training_set.steps
        size, sources = model.head.in_features, len(training_set.counts)
        with same_start():
            self.encoder = nn.Linear(size, 2 * options.latent)
            self.decoder = nn.Linear(options.latent, size)
        self.domain = None if frozen(model) else multilayer(size, sources, width=1024, depth=3, seed=1)
        self.fake = multilayer(size, 2, width=256, depth=2, seed=2)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def generate(self, aligned: Tensor, noise: Tensor) -> Tensor:
        """``(S, G, D)`` features from ``(G, D)`` aligned ones and ``(S, G, latent)`` standard normal noise."""
        mean, log_variance = self.encoder(aligned).chunk(2, dim=1)
        variance = log_variance.clamp_max(LARGEST_LOG_VARIANCE).exp()
        return self.as_features(self.decoder((mean + noise * (1e-8 + variance).sqrt()).relu()))

    def as_features(self, vectors: Tensor) -> Tensor:
        """``(..., D)`` vectors as features are: of length one where the classifier is a cosine classifier."""
        return normalize(vectors, dim=-1) if self.model.cosine else vectors

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """All losses and their sum."""
        head, features = self.model.head, self.model.features(batch.inputs)
        done, samples = int(self.updates), self.options.samples
        early = done < round(self.options.reconstruction * self.steps)
        strength = self.options.adversary * reversal_ramp(done / max(self.steps, 1))
        self.updates += self.training
        shares, classes = align_classes(batch.labels.cpu().numpy(), batch.domains.cpu().numpy(), rng)
        aligned = self.as_features(torch.as_tensor(shares).to(features) @ features)
        noise = torch.as_tensor(rng.standard_normal((samples, len(shares), self.options.latent))).to(features)
        labels = torch.as_tensor(classes, device=batch.labels.device).repeat(samples)

        made = self.generate(aligned.detach(), noise)
        if early:
            scores = linear(made, head.weight.detach(), head.bias.detach())
        else:
            scores = head(self.generate(aligned, noise) if aligned.requires_grad else made)
        told = reverse_gradient(torch.cat([features.detach(), made.flatten(0, 1)]), strength)
        generated = torch.arange(len(told), device=told.device) >= len(features)
        terms = {
            "loss/ce": cross_entropy(head(features), batch.labels),
            "loss/generated": cross_entropy(scores.flatten(0, 1), labels),
            "loss/reconstruction": (made - aligned.detach()).norm(dim=2).mean(),
            "loss/fake": cross_entropy(self.fake(told), generated.long()),
        }
        total = terms["loss/ce"] + self.options.weight * terms["loss/generated"]
        total = total + float(early) * terms["loss/reconstruction"] + float(not early) * terms["loss/fake"]
        if self.domain is not None:
            terms["loss/domain"] = cross_entropy(self.domain(reverse_gradient(features, strength)), batch.domains)
            total = total + terms["loss/domain"]
        return {"loss": total, **terms}
