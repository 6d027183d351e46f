"""Anchor gradients as the probe records them, and the verdict on their shares."""

import numpy as np

from geometry.artifact import Artifact
from geometry.checks.gradient_share import gradient_share
from geometry.shots import ShotThresholds

COUNTS = np.array([[100, 50, 20, 2]])


def arrays(rng, means, batches, per_batch, zero, noise, batch_noise):
    label = np.tile(np.repeat(np.arange(4), per_batch), batches)
    batch = np.repeat(np.arange(batches), sum(per_batch))
    norm = np.asarray(means, dtype=float)[label] * np.exp(noise * rng.normal(size=label.size))
    norm *= np.exp(batch_noise * rng.normal(size=(batches, 4)))[batch, label]
    norm[rng.random(label.size) < zero * (label == 3)] = 0.0
    return {"norm": norm.astype(np.float32), "label": label, "batch": batch}


def recorded(
    means, *, batches=40, seed=0, per_batch=(16, 8, 6, 2), equal=3, zero=0.0, noise=0.3, loss="ndcl", batch_noise=0.0
):
    """An artifact whose anchors of class k have gradient norms about ``means[k]``, in its own and in equal batches."""
    rng = np.random.default_rng(seed)
    probes = {}
    for prefix, counts in (("anchor_gradient", per_batch), ("anchor_gradient_balanced", (equal,) * 4)):
        if counts[0]:
            for name, value in arrays(rng, means, batches, counts, zero, noise, batch_noise).items():
                probes[f"{prefix}/{loss}/{name}"] = value
    return Artifact(
        features=np.zeros((4, 2)),
        labels=np.arange(4),
        class_names=tuple("abcd"),
        train_counts=COUNTS,
        shot_thresholds=ShotThresholds(many=40, few=5),
        probes=probes,
    )


def check(artifact, seed=0, **options):
    return gradient_share(artifact, rng=np.random.default_rng(seed), **options)
