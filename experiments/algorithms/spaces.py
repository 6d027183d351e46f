"""The spaces a term can live in: features, projections of them, logits, and softmax predictions."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from experiments.models import Classifier
from geometry.errors import UsageError

Space = Literal["predictions", "features", "projections"]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model makes of B inputs, each computed when first asked for.

    Attributes:
        model: the model.
        features: ``(B, D)``.
    """

    model: Classifier
    features: Tensor

    @classmethod
    def of(cls, model: Classifier, inputs: Tensor) -> "Outputs":
        """The outputs of ``(B, ...)`` inputs."""
        return cls(model, model.features(inputs))

    @cached_property
    def logits(self) -> Tensor:
        """``(B, K)``."""
        return self.model.head(self.features)

    @cached_property
    def predictions(self) -> Tensor:
        """``(B, K)`` softmax."""
        return self.logits.softmax(dim=1)

    @cached_property
    def projections(self) -> Tensor:
        """``(B, P)`` of the projection head."""
        return self.model.project(self.features)

    def vectors(self, space: str) -> Tensor:
        """The outputs in a space by name."""
        return {
            "features": lambda: self.features,
            "projections": lambda: self.projections,
            "logits": lambda: self.logits,
            "predictions": lambda: self.predictions,
        }[space]()


def frozen(model: Classifier) -> bool:
    """Whether no parameter of the backbone is trained, so that only what stands on its features learns."""
    return not any(parameter.requires_grad for parameter in model.backbone.parameters())


def dimension(model: Classifier, space: str) -> int:
    """How long the vectors of a space are."""
    if space in ("predictions", "logits"):
        return model.head.out_features
    return model.head.in_features if space == "features" else model.projection[-1].out_features


def require_projection(model: Classifier, space: str, option: str) -> None:
    """Refuse projections by a model that has no projection head.

    Raises:
        UsageError: there is none, and the space wants one.
    """
    if space == "projections" and model.projection is None:
        raise UsageError(f"Expected a projection head for {option}=projections; add --projection 128.")


def require_space(model: Classifier, space: str, option: str, instead: str = "predictions") -> None:
    """Refuse a space in which a term would train nothing that classifies.

    Args:
        model: the model.
        space: asked for.
        option: its name, for the message.
        instead: a space that always works, for the message.

    Raises:
        UsageError: no projection head, or the backbone is frozen and the space does not depend on the classifier.
    """
    require_projection(model, space, option)
    if space in ("features", "projections") and frozen(model):
        raise UsageError(
            f"On a frozen backbone {option}={space} never reaches the classifier; take {option}={instead}."
        )
