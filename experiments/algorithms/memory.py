"""What remembers earlier batches: a queue of labelled vectors, and a copy of the model that follows it slowly."""

import copy
from typing import Self

import torch
from torch import Tensor, nn

from experiments.algorithms.base import Batch
from experiments.algorithms.spaces import Outputs
from experiments.models import Classifier
from geometry.errors import UsageError


def check_memory(queue: float, momentum: float) -> None:
    """Refuse options that are out of their range.

    Raises:
        UsageError: a queue that is not a whole number of vectors >= 1, or a momentum outside [0, 1].
    """
    if not (queue >= 1 and float(queue).is_integer()):
        raise UsageError(f"Expected queue to be a whole number >= 1, got {queue}.")
    if not 0 <= momentum <= 1:
        raise UsageError(f"Expected momentum in [0, 1], got {momentum}.")


class Queue(nn.Module):
    """The last ``size`` vectors that were put in, with their labels; it starts empty.

    Public releases start from random vectors, PaCo's even with random labels; here a place that was never
    filled is not there. Batches of any size fit, also where they do not divide the queue.

    Args:
        size: how many vectors.
        dimension: of each.
    """

    def __init__(self, size: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(size, dimension))
        self.register_buffer("labels", torch.full((size,), -1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def contents(self) -> tuple[Tensor, Tensor]:
        """``(Q, D)`` vectors and ``(Q,)`` labels, copies that a later :meth:`put` leaves alone; Q may be 0."""
        held = self.labels >= 0
        return self.vectors[held], self.labels[held]

    @torch.no_grad()
    def put(self, vectors: Tensor, labels: Tensor) -> None:
        """Take ``(B, D)`` vectors and ``(B,)`` labels in, in the place of the oldest."""
        size = len(self.labels)
        vectors, labels = vectors[-size:], labels[-size:]
        places = (self.position + torch.arange(len(labels), device=labels.device)) % size
        self.vectors[places] = vectors.detach().to(self.vectors)
        self.labels[places] = labels
        self.position += len(labels)


class SlowCopy(nn.Module):
    """A copy of a model whose parameters follow it, ``slow <- m slow + (1 - m) fast`` (He et al. 2020, Eq. 2).

    They are buffers: saved and resumed, and out of the optimiser's sight. The copy stays in evaluation mode; where
    BatchNorm trains, it uses the running statistics of the model (ours). Of a model whose backbone is not trained the
    heads alone are copied, and stand on the features that the model has.

    Args:
        model: is copied as it is now.
        momentum: m.
    """

    def __init__(self, model: Classifier, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        shared = {} if model.train_backbone else {id(model.backbone): nn.Identity()}
        self.model: Classifier = copy.deepcopy(model, shared)
        self.names = [name for name, _ in self.model.named_parameters()]
        for part in self.model.modules():
            for name, parameter in list(part.named_parameters(recurse=False)):
                delattr(part, name)
                part.register_buffer(name, parameter.detach())
        self.eval()

    @torch.no_grad()
    def follow(self, model: Classifier) -> None:
        """One step towards the model's parameters."""
        fast, slow = dict(model.named_parameters()), dict(self.model.named_buffers())
        for name in self.names:
            slow[name].lerp_(fast[name].detach(), 1 - self.momentum)
        for name, statistic in model.named_buffers():
            if name in slow:
                slow[name].copy_(statistic)

    def outputs(self, inputs: Tensor, outputs: Outputs) -> Outputs:
        """What the copy makes of the inputs that the model made ``outputs`` of; no gradient flows through it."""
        features = self.model.features(inputs.detach()) if self.model.train_backbone else outputs.features.detach()
        return Outputs(self.model, features)

    def second_view(self, batch: Batch, outputs: Outputs) -> Outputs:
        """What the copy makes of the batch's further view; without any, of the inputs that ``outputs`` are of."""
        if not batch.views:
            return self.outputs(batch.inputs, outputs)
        (view,) = batch.views
        return self.outputs(view, outputs if self.model.train_backbone else Outputs.of(outputs.model, view))

    def train(self, mode: bool = True) -> Self:
        """Evaluation mode, whatever is asked for."""
        return super().train(False)
