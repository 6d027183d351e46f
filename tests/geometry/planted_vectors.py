"""Samples around class means of a given geometry, and the geometries that theory names."""

import numpy as np
from scipy.stats import ortho_group

from geometry.alignment import coordinates
from geometry.artifact import Artifact
from geometry.frames import seli_embeddings, simplex_etf
from geometry.layer_peeled import layer_peeled
from geometry.optimum import solve

COUNTS = (60, 30, 12, 6, 3)


NAMES = ("ant", "bee", "cat", "dog", "elk")


def planted(gram, counts=COUNTS, *, noise=0.0, dim=8, scale=2.5, offset=0.0, seed=0, **extra):
    """Samples around class means of a given Gram matrix, turned, scaled and moved."""
    rng = np.random.default_rng(seed)
    vectors = coordinates(np.asarray(gram))
    vectors = np.pad(vectors, ((0, 0), (0, dim - vectors.shape[1])))
    means = scale * vectors @ ortho_group.rvs(dim, random_state=rng) + offset
    labels = np.repeat(np.arange(len(counts)), counts)
    features = means[labels] + noise * rng.normal(size=(len(labels), dim))
    return Artifact(features=features, labels=labels, class_names=NAMES[: len(counts)], **extra)


def theory(name):
    if name == "lpm embeddings":
        return layer_peeled(COUNTS).embeddings
    if name == "optimum":
        return solve(COUNTS, tau=0.5, method="burer-monteiro").gram
    return simplex_etf(5) if name == "etf" else seli_embeddings(COUNTS)
