"""Faster training passes change rounding, and nothing in evaluation."""

import json

import pytest
import torch

from experiments.acceleration import accelerate
from experiments.models import build_classifier

CPU = torch.device("cpu")


@pytest.fixture
def backbone():
    return build_classifier("small_cnn", 3, seed=0).backbone


def test_bfloat16_rounds_training_passes_alone(backbone):
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    names = list(backbone.state_dict())
    plain = backbone(images)
    accelerate(backbone, precision="bf16", compiled=False, device=CPU)
    rounded = backbone(images)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - plain).abs().max() < 0.05 * plain.abs().max()
    rounded.sum().backward()
    assert {weight.grad.dtype for weight in backbone.parameters()} == {torch.float32}
    assert torch.equal(backbone.eval()(images), plain)
    assert list(backbone.state_dict()) == names


def test_full_precision_is_left_as_it_is(backbone):
    before = backbone.forward
    accelerate(backbone, precision="fp32", compiled=False, device=CPU)
    assert backbone.forward == before
    identity = torch.nn.Identity()
    accelerate(identity, precision="bf16", compiled=True, device=CPU)
    x = torch.rand(3, 5)
    assert torch.equal(identity(x), x)


def test_compilation_serves_training_passes_alone(backbone, monkeypatch):
    calls = []

    def compiled(forward):
        def run(inputs):
            calls.append(len(inputs))
            return forward(inputs)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    images = torch.rand(4, 3, 8, 8)
    plain = backbone(images)
    accelerate(backbone, precision="fp32", compiled=True, device=CPU)
    assert torch.equal(backbone(images), plain)
    backbone.eval()(images)
    assert calls == [4]


def test_a_run_in_bfloat16_trains(tailgeom, tmp_path):
    run = tmp_path / "run"
    code, _, err = tailgeom(
        "train", "--algorithm", "ndcl", "--precision", "bf16", "--steps", "3", "--batch-size", "4", "--device", "cpu",
        "--checkpoint-every", "3", "--log-every", "1", "--out", run,
    )  # fmt: skip
    assert code == 0, err
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 3
    assert all(loss > 0 for loss in losses)
    assert "precision: bf16" in (run / "config.yaml").read_text()
