"""What algorithms want on frozen features, read from their own refusals, so that the advice is tested too."""

import re
from functools import cache

import numpy as np

from experiments.algorithms import TrainingSet, build_algorithm
from experiments.algorithms.registry import ALGORITHMS
from experiments.models import build_classifier
from geometry.errors import UsageError
from tests.experiments.algorithms.views import UNLABELLED

NEED_A_BACKBONE = {"sagnet", "trm"}  # refused on frozen features, whatever the options
NEED_FEATURES = {"logistic"}  # refused on images
ON_FEATURES = sorted(set(ALGORITHMS) - NEED_A_BACKBONE)


@cache
def wanted_options(name: str) -> dict[str, str]:
    """The options that an algorithm asks for (``take alignment_space=logits``) until it takes frozen features."""
    training_set = TrainingSet(np.full((2, 3), 9), 12, unlabelled=UNLABELLED)
    options: dict[str, str] = {}
    while True:
        try:
            build_algorithm(name, build_classifier("features", 3, seed=0, num_inputs=4), training_set, options)
        except UsageError as refusal:
            advice = re.search(r"take (\w+)=(\w+)", str(refusal))
            if advice is None or advice[1] in options:
                raise
            options[advice[1]] = advice[2]
        else:
            return options
