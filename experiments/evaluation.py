"""Predictions of a model on chosen samples, and the accuracies reported while training."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.models import Classifier
from experiments.task import Task
from geometry.defined import mean_defined, ratio


@torch.no_grad()
def predict(
    model: Classifier, task: Task, index: NDArray[np.intp], device: torch.device, *, chunk: int = 256
) -> tuple[Tensor, Tensor]:
    """Features ``(n, D)`` and logits ``(n, K)`` on the CPU, in evaluation mode, without augmentation.

    Images go through the model ``chunk`` at a time, feature vectors all at once.
    """
    was_training = model.training
    model.eval()
    features, logits = [], []
    chunk = chunk if task.inputs.images else max(1, len(index))
    for start in range(0, len(index), chunk):
        found = model.features(task.inputs.batch(index[start : start + chunk], device))
        features.append(found.cpu())
        logits.append(model.head(found).cpu())
    model.train(was_training)
    if len(features) == 1:
        return features[0], logits[0]
    return torch.cat(features), torch.cat(logits)


def accuracies(
    predicted: NDArray[np.integer],
    labels: NDArray[np.integer],
    num_classes: int,
    groups: Mapping[str, NDArray[np.bool_]],
) -> dict[str, float]:
    """Plain accuracy, mean class accuracy, and the mean class accuracy of each shot group, in [0, 1].

    Classes without a sample are left out; a group without any is NaN.

    >>> accuracies(np.array([0, 0, 1]), np.array([0, 0, 0]), 2, {})
    {'accuracy': 0.6666666666666666, 'balanced_accuracy': 0.6666666666666666}
    """
    total = np.bincount(labels, minlength=num_classes).astype(np.float64)
    right = np.bincount(labels[predicted == labels], minlength=num_classes)
    per_class = np.asarray(ratio(right, total))

    result = {"accuracy": float((predicted == labels).mean()), "balanced_accuracy": float(mean_defined(per_class))}
    return result | {name: float(mean_defined(per_class[mask])) for name, mask in groups.items()}
