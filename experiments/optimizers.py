"""Optimisers and learning-rate schedules by name; the rate is a pure function of the step, so resuming needs none."""

import math
from collections.abc import Iterable

import torch
from torch.nn import Parameter

from experiments.config import OptimConfig


def build_optimizer(optim: OptimConfig, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
    """The configured optimiser on the parameters that are trained.

    ``adam`` adds the weight decay to the gradient (Kingma and Ba 2015, DomainBed's choice), ``adamw`` shrinks the
    weights beside it (Loshchilov and Hutter 2019), ``sgd`` has heavy-ball momentum. All run fused: one pass over the
    parameters a step.

    Args:
        optim: the configuration.
        parameters: of the algorithm; those without gradient are left out.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    rate, decay = optim.lr, optim.weight_decay
    if optim.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=rate, momentum=optim.momentum, weight_decay=decay, fused=True)
    kind = torch.optim.AdamW if optim.optimizer == "adamw" else torch.optim.Adam
    return kind(trained, lr=rate, weight_decay=decay, fused=True)


def learning_rate(optim: OptimConfig, step: int) -> float:
    """The learning rate of step ``step`` (0, 1, ...): constant, or half a cosine from ``lr`` to 0 at the last step.

    >>> learning_rate(OptimConfig(schedule="cosine", lr=0.2, steps=100), 50)
    0.1
    """
    if optim.schedule == "constant":
        return optim.lr
    return optim.lr * 0.5 * (1.0 + math.cos(math.pi * step / optim.steps))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of parameters a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
