"""Sweeps on small random features: a run takes a fraction of a second."""

import numpy as np
import pytest
import yaml

from geometry.artifact import Artifact


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """Whole features of three domains and three classes, 30 samples a cell, not split."""
    rng = np.random.default_rng(0)
    domains, labels = (grid.ravel() for grid in np.meshgrid(np.arange(3), np.arange(3), indexing="ij"))
    domains, labels = np.repeat(domains, 30), np.repeat(labels, 30)
    vectors = rng.normal(size=(270, 12)) + 1.5 * np.eye(3, 12)[labels] + 0.5 * np.eye(3, 12, 6)[domains]
    path = tmp_path_factory.mktemp("features") / "all"
    Artifact(
        features=vectors.astype(np.float32),
        labels=labels,
        class_names=("ant", "bee", "cow"),
        domains=domains,
        domain_names=("day", "dusk", "night"),
        sample_ids=tuple(f"{i:03d}" for i in range(270)),
        provenance={"data": {"dataset": "small"}},
    ).save(path)
    return path


@pytest.fixture
def given(features):
    """The plain values of a spec of four runs."""
    return {
        "datasets": [
            {
                "dataset": "small",
                "features": str(features),
                "settings": [{"setting": "exponential", "setting_options": {"ratio": 5}}],
                "held_out": ["night"],
                "validation": 3,
            }
        ],
        "algorithms": ["erm", {"algorithm": "ndcl", "options": {"alpha": 0.3}}],
        "seeds": 2,
        "train": {"steps": 20, "batch_size": 4, "checkpoint_every": 5, "log_every": 5, "lr": 0.01, "device": "cpu"},
    }


@pytest.fixture
def write_spec(tmp_path):
    """``path = write_spec(values)``."""

    def write(values):
        path = tmp_path / "grid.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        return path

    return write
