"""The prototypes that a contrastive loss compares samples with."""

import torch

from experiments.algorithms import Algorithm
from experiments.algorithms.bcl import BCL
from experiments.probes.context import Context, Recorded
from geometry.prototypes import PREFIX, SPACES


def prototypes(context: Context) -> Recorded:
    """``(K, D)`` prototypes of the trained model, in the space they live in; nothing where the loss has none."""
    return prototypes_of(context.algorithm)


@torch.inference_mode()
def prototypes_of(algorithm: Algorithm) -> Recorded:
    """The same of an algorithm in evaluation mode: BCL's and ECL's, but for the one-hot corners of prediction space."""
    if not isinstance(algorithm, BCL) or algorithm.options.contrast_space not in SPACES:
        return {}
    return {PREFIX + algorithm.options.contrast_space: algorithm.prototypes().float().cpu().numpy()}
