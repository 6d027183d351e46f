"""Sweeps on small random features: a run takes a fraction of a second."""

import pytest
import yaml

from tests.toy_features import save_toy_features


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """Whole features of three domains and three classes, 30 samples a cell, not split."""
    return save_toy_features(tmp_path_factory.mktemp("features") / "all")


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
