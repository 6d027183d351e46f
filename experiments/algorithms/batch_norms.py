"""Passes through BatchNorm that leave its running statistics to the samples."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def unrecorded(module: nn.Module, normalised_by: Literal["running", "own"]) -> Iterator[None]:
    """What passes through the module inside enters no running statistics (ours).

    Layers in evaluation mode are as they are. Those that train normalise by the ``running`` statistics that the samples
    have made, or by the ``own`` ones of what passes.
    """
    switch = {"running": "training", "own": "track_running_stats"}[normalised_by]
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    recording = [layer for layer in layers if layer.training and layer.track_running_stats]
    for layer in recording:
        setattr(layer, switch, False)
    try:
        yield
    finally:
        for layer in recording:
            setattr(layer, switch, True)
