"""Further views of the samples: how many an algorithm wants, and what the model makes of them."""

import torch

from experiments.algorithms.base import Batch
from experiments.algorithms.spaces import Outputs
from experiments.models import Classifier
from geometry.errors import UsageError

CONTRAST = "contrast"  # the augmentation of views that are compared with each other


def contrast_views(number: int) -> tuple[str, ...]:
    """The augmentations of so many further views.

    >>> contrast_views(2)
    ('contrast', 'contrast')
    """
    return (CONTRAST,) * number


def check_views(views: int, most: int | None = None) -> None:
    """Refuse a number of views that is out of its range.

    Raises:
        UsageError: fewer than 0, or more than ``most``.
    """
    if views < 0 or (most is not None and views > most):
        raise UsageError(f"Expected views {'of 0 or more' if most is None else f'from 0 to {most}'}, got {views}.")


def seen_apart(model: Classifier, batch: Batch) -> tuple[Outputs, Batch, Outputs]:
    """What is classified and what is compared: the outputs of the inputs; the further views, and their outputs.

    All views of a batch pass through the backbone together, as in the releases of BCL and of ECL's predecessor, so that
    BatchNorm has the statistics of all of them. A batch without further views is compared as it is classified.
    """
    apart = batch.stacked()
    if apart is batch:
        outputs = Outputs.of(model, batch.inputs)
        return outputs, batch, outputs
    features = model.features(torch.cat([batch.inputs, apart.inputs]))
    own, others = features.tensor_split([len(batch.labels)])
    return Outputs(model, own), apart, Outputs(model, others)
