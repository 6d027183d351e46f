"""Training samples with and without a known class: which of them were trained on, which were counted by a loss."""

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact, of_training
from geometry.errors import DataError

TRAIN, UNLABELLED = "train", "unlabelled"
UNLABELLED_COUNTED = "training counts are of samples with and without a label"


def has_unlabelled(artifact: Artifact) -> bool:
    """Whether some training samples were given to training without their class (``train --labels N``)."""
    return UNLABELLED in artifact.split_names


def trained_on(artifact: Artifact) -> NDArray[np.bool_]:
    """``(N,)`` which samples were trained on, with their class or without it; a split ``Train`` or ``train_2`` was."""
    codes = [code for code, name in enumerate(artifact.split_names) if of_training(name) or name == UNLABELLED]
    return np.isin(artifact.split, codes)


def labelled_counts(artifact: Artifact) -> NDArray[np.int64]:
    """``(M, K)`` training samples whose class was known: those of the split ``train`` where some were unlabelled.

    They are what a loss over labels has seen. How rare a class is, its shot group and the prior of the training
    images count every training sample: ``artifact.training_counts``, which this is where all have their label.

    Args:
        artifact: a whole one, not a selection of its samples.

    Raises:
        DataError: some training samples were unlabelled, and there is no part of those that were not.
    """
    if not has_unlabelled(artifact):
        return artifact.training_counts
    if TRAIN not in artifact.split_names:
        raise DataError(f"Expected the split {TRAIN} beside {UNLABELLED}, found {', '.join(artifact.split_names)}.")
    known = artifact.split == artifact.split_names.index(TRAIN)
    counts = np.zeros((artifact.num_domains, artifact.num_classes), dtype=np.int64)
    np.add.at(counts, (artifact.domains[known], artifact.labels[known]), 1)
    return counts
