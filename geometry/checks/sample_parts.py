"""Which samples of an artifact a check measures apart: unseen ones, by source and target, and trained ones."""

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.labelled import trained_on

UNSEEN, SOURCES, TARGET, TRAIN = "unseen", "unseen sources", "unseen target", "train"


def sample_parts(artifact: Artifact) -> dict[str, NDArray[np.intp]]:
    """Positions of the samples of each part that exists, the part that decides first.

    ``unseen`` are all samples outside the splits ``train`` and ``unlabelled`` (all samples where there is no such
    split); where several domains are known and one is held out, ``unseen sources`` and ``unseen target`` are its two
    sides. ``train`` comes last, and decides only where nothing else is given.

    >>> artifact = Artifact(features=np.zeros((3, 1)), labels=np.arange(3), class_names=("a", "b", "c"))
    >>> {name: index.tolist() for name, index in sample_parts(artifact).items()}
    {'unseen': [0, 1, 2]}
    """
    trained = trained_on(artifact)
    masks = {UNSEEN: ~trained}
    if artifact.held_out is not None:
        away = artifact.domains == artifact.domain_names.index(artifact.held_out)
        masks |= {SOURCES: ~trained & ~away, TARGET: ~trained & away}
    masks[TRAIN] = trained
    return {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}
