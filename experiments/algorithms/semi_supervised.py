"""What algorithms of labelled and unlabelled samples share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.annealed import Annealed, check_annealed
from experiments.algorithms.base import Batch, TrainingSet
from experiments.algorithms.fixclr import FixclrOptions
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.spaces import Outputs, require_space
from experiments.losses.pseudo_labels import PseudoLabels
from experiments.models import Classifier
from geometry.errors import UsageError

VIEWS = ("weak", "strong")


@dataclass(frozen=True)
class SemiSupervisedOptions(FixclrOptions):
    """What they share, FixCLR's options among it; search ranges, ours, in brackets.

    Attributes:
        lambda_u: weight of the unlabelled loss, 10^U(-0.5, 0.5); published 1.
        labelled_too: labelled samples enter the unlabelled loss as well, as in the protocol of semi-supervised domain
            generalization (Zhou, Loy and Liu 2023).
        anneal: share of the training before the unlabelled loss and FixCLR set in; published 0, for long runs.
    """

    lambda_u: float = 1.0
    labelled_too: bool = True
    anneal: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_annealed(self.lambda_u, self.anneal, "lambda_u")


class SemiSupervised(Annealed):
    """``L = L_ce + lambda_u L_u + fixclr L_fixclr``; subclasses say which pseudo-labels are believed, and what L_u is.

    FixCLR (Son, Rezaei and Liu 2025, arXiv 2506.20841) is :func:`experiments.losses.fixclr.repel_only` over the
    believed samples of all source domains under their pseudo-labels; labelled samples enter it with their true classes
    (ours). With ``lambda_u=0`` it stands on cross-entropy of the labelled samples alone, and nothing but its mask is
    the base's; without FixCLR too that is ERM. The labelled loss is that of the batch's inputs, weak views where
    ``--augment weak`` makes them so. All views pass through the model together; none does before ``anneal`` is over.
    """

    Options = SemiSupervisedOptions
    restarts: ClassVar[bool] = False
    search: ClassVar[Mapping[str, Range]] = {"lambda_u": LogUniform(10**-0.5, 10**0.5)}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: SemiSupervisedOptions) -> None:
        super().__init__(model, training_set, options)
        if options.fixclr:
            require_space(model, options.fixclr_space, "fixclr_space")
        if self.unlabelled_views and not training_set.unlabelled:
            raise UsageError(
                "Expected unlabelled training samples; add --labels 10 to keep 10 labels a class, or fewer where no "
                "class of a source domain has more."
            )

    @property
    def views(self) -> tuple[str, ...]:
        """A weak and a strong one, where labelled samples enter the unlabelled loss."""
        return self.unlabelled_views if self.options.labelled_too else ()

    @property
    def unlabelled_views(self) -> tuple[str, ...]:
        """A weak and a strong one, where any term is there to use them."""
        return VIEWS if self.options.lambda_u or self.options.fixclr else ()

    def pseudo_labels(self, probabilities: Tensor) -> PseudoLabels:
        """Of ``(U, K)`` predictions on weak views; what is remembered of them changes here, in training mode alone."""
        raise NotImplementedError

    def unlabelled_loss(self, logits: Tensor, labels: PseudoLabels) -> Tensor:
        """Of ``(U, K)`` logits of strong views."""
        raise NotImplementedError

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Every term, their weighted sum, and ``kept``, the share of unlabelled samples (if any) that is believed."""
        options, count = self.options, len(batch.labels)
        others = batch.unlabelled if self.unlabelled_views else None
        pairs = [pair for pair in (batch.views if self.views else (), others.views if others else ()) if pair]
        if not (pairs and self.due):
            loss = cross_entropy(self.model(batch.inputs), batch.labels)
            return {"loss": loss, "loss/ce": loss}
        weak, strong = (torch.cat(views) for views in zip(*pairs, strict=True))
        outputs = Outputs.of(self.model, torch.cat([batch.inputs, weak, strong]))
        weak_logits, strong_logits = outputs.logits[count:].chunk(2)
        found = self.pseudo_labels(weak_logits.detach().softmax(dim=1))
        classification = cross_entropy(outputs.logits[:count], batch.labels)
        unlabelled = self.unlabelled_loss(strong_logits, found)
        total = classification + options.lambda_u * unlabelled
        terms = {"loss": total, "loss/ce": classification, "loss/unlabelled": unlabelled}
        if options.fixclr:
            terms["loss/fixclr"] = self.repelled(batch, outputs, found)
            terms["loss"] = total + options.fixclr * terms["loss/fixclr"]
        if others and len(others.domains):
            terms["kept"] = found.kept[-len(others.domains) :].float().mean()
        return terms

    def repelled(self, batch: Batch, outputs: Outputs, found: PseudoLabels) -> Tensor:
        """FixCLR's term; labelled samples that have no weak and strong view enter as they are."""
        options, count, others = self.options, len(batch.labels), batch.unlabelled
        vectors = outputs.vectors(options.fixclr_space)
        seen = vectors[count:].chunk(2)[VIEWS.index(options.fixclr_view)]
        among = count if self.views and batch.views else 0  # how many of the pseudo-labels belong to labelled samples
        return options.repelled(
            seen if among else torch.cat([vectors[:count], seen]),
            torch.cat([batch.labels, found.classes[among:]]),
            torch.cat([batch.domains, others.domains]) if others else batch.domains,
            torch.cat([torch.ones_like(batch.labels, dtype=torch.bool), found.kept[among:]]),
        )
