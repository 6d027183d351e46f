"""Gaussian classes under a linear head, distances as the probe records them, and the verdicts on confidence."""

from dataclasses import replace

import numpy as np

from geometry.artifact import Artifact
from geometry.checks.confidence_boundary import confidence_boundary


def verdicts(artifact, seed=0, **options):
    return confidence_boundary(artifact, rng=np.random.default_rng(seed), **{"resamples": 60} | options)


def check(artifact, seed=0, **options):
    """The first verdict: on the signed distance in feature space."""
    return verdicts(artifact, seed, **options)[0]


def halves(artifact, space, seed=0, **options):
    (found,) = (v for v in verdicts(artifact, seed, **options) if v.subject == f"low half is nearer, {space}")
    return found


def measured(artifact, lengths, logits=None, **recorded):
    """The artifact with distances in input space as the probe would have recorded them, sign by correctness."""
    n = len(artifact.labels)
    scores = artifact.logits if logits is None else logits
    right = scores.argmax(axis=1) == artifact.labels
    arrays = {
        "index": np.arange(n),
        "label": artifact.labels,
        "domain": artifact.domains,
        "split": artifact.split,
        "distance": np.where(right, lengths, -lengths),
        "logits": scores,
        **recorded,
    }
    return replace(artifact, probes={f"boundary_distance/{name}": values for name, values in arrays.items()})


def linear_model(n=400, k=4, d=6, seed=0, noise=1.0, **parts):
    """Gaussian classes read by the head that suits them."""
    rng = np.random.default_rng(seed)
    weight, labels = 2.0 * np.eye(k, d), rng.integers(0, k, n)
    features = weight[labels] + noise * rng.normal(size=(n, d))
    return Artifact(
        features=features,
        labels=labels,
        class_names=tuple(map(str, range(k))),
        logits=features @ weight.T,
        head_weight=weight,
        **parts,
    )
