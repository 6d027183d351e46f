"""What stopped being finite in a training step, and the one sentence that says so."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from geometry.errors import TailgeomError

NAMED = 3  # samples of a batch that the message names; diverged.json has them all


class DivergedError(TailgeomError):
    """A loss term, a gradient or a weight stopped being finite; the last good checkpoint is kept."""

    def __init__(self, step: int, broken: Sequence[str], batch: Sequence[str]) -> None:
        super().__init__(
            f"Training diverged at step {step}: {_few(broken)} not finite on the batch {_few(batch)} (all of it in "
            "diverged.json); the last checkpoint is kept; lower --lr or change the options."
        )


def finite_values(terms: Mapping[str, Tensor], module: nn.Module) -> tuple[dict[str, float], list[str]]:
    """The loss terms as numbers, and the names of the terms or gradients that are not finite.

    Everything crosses from the device once. ``loss`` is the sum of its terms and is named only where no term is.

    Args:
        terms: scalars, after the backward pass.
        module: whose parameters have gradients.
    """
    gradients = {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}
    checked = [*terms.values()]
    if gradients:
        checked.append(torch.nn.utils.get_total_norm(gradients.values(), norm_type=math.inf))
    numbers = torch.stack([value.detach().double() for value in checked]).tolist()
    values = dict(zip(terms, numbers, strict=False))
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        return values, [name for name in broken if name != "loss"] or broken
    if math.isfinite(numbers[-1]):
        return values, []
    return values, [f"gradient of {name}" for name, found in gradients.items() if not bool(found.isfinite().all())]


def broken_weights(module: nn.Module) -> list[str]:
    """Names of the parameters that are not finite: a finite gradient can throw them out of range."""
    return [name for name, weight in module.named_parameters() if not bool(weight.isfinite().all())]


def _few(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are.

    >>> _few(["a", "b"]), _few(list("abcde"))
    ('a, b', 'a, b, c and 2 more')
    """
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
