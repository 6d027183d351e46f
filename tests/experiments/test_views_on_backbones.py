"""ECL and FixMatch on the backbones that papers train: ResNet-50 from the command to an artifact, ViT for a step."""

import numpy as np
import pytest
import torch

from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.descent import Descent
from experiments.step_batches import StepBatches, step_rng
from experiments.task import open_task
from experiments.training import build
from geometry.artifact import load

TREE = ("--dataset", "mine", "--test-domain", "night", "--setting", "balanced", "--validation", "2", "--device", "cpu")
WIDTH = 2048


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ecl", "fixmatch"])
def test_resnet50_trains_with_views_and_is_extracted(tailgeom, tmp_path, tiny_tree, algorithm):
    run = tmp_path / "run"
    words = {
        "ecl": ("--classifier", "cosine", "--projection", WIDTH, "--projection-norm", "batch", "--set",
                "contrast_space=projections"),
        "fixmatch": ("--labels", "2", "--augment", "weak", "--set", "threshold=0", "fixclr=0.1"),
    }[algorithm]  # fmt: skip
    code, _, err = tailgeom(
        "train", "--algorithm", algorithm, "--backbone", "resnet50", "--weights", "none", "--steps", "2", "--out", run,
        "--data", tiny_tree, "--image-size", "32", "--batch-size", "2", *TREE, *words,
    )  # fmt: skip
    assert code == 0, err
    code, _, err = tailgeom("extract", run, "--device", "cpu")
    assert code == 0, err
    artifact = load(run / "artifact")
    assert artifact.features.shape[1] == WIDTH
    assert np.isfinite(artifact.logits).all()
    if algorithm == "ecl":
        assert np.linalg.norm(artifact.features, axis=1) == pytest.approx(1, abs=1e-4)
        assert artifact.projections.shape[1] == WIDTH
    else:
        assert len(artifact.select("unlabelled").labels) == 2 * 2 * 6
        assert len(artifact.select("train").labels) == 2 * 2 * 2


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ecl", "fixmatch"])
def test_a_vision_transformer_takes_a_step_with_views(tiny_tree, algorithm):
    """At 224 pixels, which it wants: the whole chain takes minutes on a CPU, and is that of the other backbones."""
    projection = {"projection": 768, "projection_norm": "batch", "classifier": "cosine"} if algorithm == "ecl" else {}
    options = {"contrast_space": "projections"} if algorithm == "ecl" else {"threshold": 0.0, "fixclr": 0.1}
    labels = 0 if algorithm == "ecl" else 2
    config = RunConfig(
        DataConfig("mine", tiny_tree, "balanced", test_domain="night", validation=2, image_size=224, labels=labels),
        ModelConfig(backbone="vit_b16", **projection),
        OptimConfig(algorithm=algorithm, options=options, steps=1, batch_size=1, augment="weak", device="cpu"),
    )
    task, cpu = open_task(config), torch.device("cpu")
    trained = build(config, task, cpu).train()
    before = trained.model.class_rows.detach().clone()
    optimizer = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.1)
    batch = StepBatches(config, task, cpu, trained.views, trained.unlabelled_views).at(0)
    terms = trained.update(batch, step_rng(0, 0, "terms"), Descent(optimizer, trained))
    assert all(np.isfinite(value) for value in terms.values())
    assert not torch.equal(before, trained.model.class_rows)
