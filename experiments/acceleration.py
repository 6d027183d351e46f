"""Faster training passes of a backbone: bfloat16 autocast, compilation, and the memory layout convolutions like."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def accelerate(backbone: nn.Module, *, precision: str, compiled: bool, device: torch.device) -> None:
    """Change how a backbone computes while it is in training mode, for good; its parameters stay as they are.

    What it returns is float32 again, so the head and the losses are computed as ever (cosines and logarithms
    of softmax predictions have no digits to spare), and in evaluation mode it computes as if nothing had been
    changed: the accuracies of a run are those that its extracted features have.

    Args:
        backbone: inputs to features; one without parameters is left alone.
        precision: ``fp32`` or ``bf16`` (autocast: bfloat16 products, float32 parameters and gradients).
        compiled: run the passes through ``torch.compile``.
        device: where it lives; on a GPU images go through it in channels-last order.
    """
    if next(backbone.parameters(), None) is None:
        return
    if device.type == "cuda":
        backbone.to(memory_format=torch.channels_last)
    plain = backbone.forward
    if precision == "fp32" and not compiled and device.type != "cuda":
        return
    training: Callable[[Tensor], Tensor] = torch.compile(plain) if compiled else plain

    def forward(inputs: Tensor) -> Tensor:
        if inputs.ndim == 4 and device.type == "cuda":
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        if not backbone.training:
            return plain(inputs)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            features = training(inputs)
        return features.float()

    backbone.forward = forward  # the instance's own: hooks and the names of its parameters stay
