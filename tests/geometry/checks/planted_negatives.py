"""Recorded negatives of two classes on a line, at any distances from the boundary."""

import numpy as np

from geometry.artifact import Artifact
from geometry.checks.hard_negative_records import KINDS
from geometry.shots import ShotThresholds

HEAD = np.array([[1.0, 0.0], [-1.0, 0.0]])  # the signed distance to class 0's region is the first feature


def planted(draw, *, batches=40, each=10, seed=0, batch_noise=0.3, coefficient=None):
    """Features whose first coordinate is ``draw(kind, rng, size)`` from their class's boundary, positive inside."""
    rng = np.random.default_rng(seed)
    rows = {name: [] for name in ("kind", "logits", "label", "coefficient", "batch", "feature")}
    for b in range(batches):
        share = np.full(each, rng.beta(0.2, 0.2)) if coefficient is None else np.full(each, coefficient)
        scale = np.exp(batch_noise * rng.normal(size=len(KINDS)))
        for code, kind in enumerate(KINDS):
            label = np.arange(each) % 2
            distance = draw(kind, rng, each) * scale[code]
            features = np.column_stack([np.where(label == 0, 1, -1) * distance, rng.normal(size=each)])
            rows["kind"].append(np.full(each, code))
            rows["logits"].append(features @ HEAD.T)
            rows["label"].append(label)
            rows["coefficient"].append({"plain": np.zeros(each), "real": np.ones(each)}.get(kind, share))
            rows["batch"].append(np.full(each, b))
            rows["feature"].append(features)
    probes = {f"hard_negative/{name}": np.concatenate(parts) for name, parts in rows.items()}
    index = np.arange(0, len(probes["hard_negative/kind"]), 7)
    probes["hard_negative/feature"] = probes["hard_negative/feature"][index].astype(np.float32)
    return Artifact(
        features=np.zeros((2, 2)),
        labels=np.arange(2),
        class_names=("a", "b"),
        train_counts=np.array([[100, 3]]),
        shot_thresholds=ShotThresholds(many=40, few=5),
        head_weight=HEAD,
        head_bias=np.zeros(2),
        probes=probes | {"hard_negative/feature_index": index},
    )


def near(scale):
    """Synthesised ones ``scale`` times as far as the others, all outside."""
    return lambda kind, rng, size: -np.abs(rng.normal(size=size)) * (scale if kind == "synthesised" else 1.0)


def alike(kind, rng, size):
    return rng.normal(size=size)
