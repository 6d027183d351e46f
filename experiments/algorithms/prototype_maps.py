"""From the classifier's rows to the prototypes of a contrast."""

from typing import Literal

from torch import nn

from experiments.algorithms.added_modules import same_start

PrototypeMap = Literal["linear", "mlp"]


def prototype_map(name: PrototypeMap, num_inputs: int, num_outputs: int) -> nn.Module:
    """A trained map of ``(K, D)`` rows to ``(K, P)`` prototypes, which are not normalised yet.

    Args:
        name: ``linear``, one layer with bias, as the release of ECL's predecessor has it; or ``mlp``, two layers with
            BatchNorm and ReLU between them, as BCL's has it (Zhu et al. 2022).
        num_inputs: D.
        num_outputs: P.
    """
    with same_start():
        if name == "linear":
            return nn.Linear(num_inputs, num_outputs)
        hidden = [nn.Linear(num_inputs, num_inputs), nn.BatchNorm1d(num_inputs), nn.ReLU(inplace=True)]
        return nn.Sequential(*hidden, nn.Linear(num_inputs, num_outputs))
