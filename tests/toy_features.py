"""Small random features that sweeps and studies of sweeps train heads on in fractions of a second."""

import numpy as np

from geometry.artifact import Artifact

CLASSES, DOMAINS = ("ant", "bee", "cow"), ("day", "dusk", "night")


def save_toy_features(path, *, cell=30, dimension=12):
    """An artifact with the features of three domains and three classes, ``cell`` samples each, not split; its path."""
    rng = np.random.default_rng(0)
    grids = np.meshgrid(np.arange(3), np.arange(3), indexing="ij")
    domains, labels = (np.repeat(grid.ravel(), cell) for grid in grids)
    noise = rng.normal(size=(9 * cell, dimension))
    vectors = noise + 1.5 * np.eye(3, dimension)[labels] + 0.5 * np.eye(3, dimension, dimension // 2)[domains]
    Artifact(
        features=vectors.astype(np.float32),
        labels=labels,
        class_names=CLASSES,
        domains=domains,
        domain_names=DOMAINS,
        sample_ids=tuple(f"{i:03d}" for i in range(9 * cell)),
        provenance={"data": {"dataset": "small"}},
    ).save(path)
    return path
