"""ECL and FixMatch on the backbones that papers train: two steps on a tiny tree, then an artifact."""

import numpy as np
import pytest

from geometry.artifact import load

TREE = ("--dataset", "mine", "--test-domain", "night", "--setting", "balanced", "--validation", "2", "--device", "cpu")
SIZES = {"resnet50": (2048, 32), "vit_b16": (768, 224)}  # features, and the pixels a side that it reads


@pytest.mark.slow
@pytest.mark.parametrize("backbone", SIZES)
@pytest.mark.parametrize("algorithm", ["ecl", "fixmatch"])
def test_views_pass_through_a_large_backbone(tailgeom, tmp_path, tiny_tree, algorithm, backbone):
    run, (width, side) = tmp_path / "run", SIZES[backbone]
    words = {
        "ecl": ("--classifier", "cosine", "--projection", width, "--projection-norm", "batch", "--set",
                "contrast_space=projections"),
        "fixmatch": ("--labels", "2", "--augment", "weak", "--set", "threshold=0", "fixclr=0.1"),
    }[algorithm]  # fmt: skip
    code, _, err = tailgeom(
        "train", "--algorithm", algorithm, "--backbone", backbone, "--weights", "none", "--steps", "2", "--out", run,
        "--data", tiny_tree, "--image-size", side, "--batch-size", "2", *TREE, *words,
    )  # fmt: skip
    assert code == 0, err
    code, _, err = tailgeom("extract", run, "--device", "cpu")
    assert code == 0, err
    artifact = load(run / "artifact")
    assert artifact.features.shape[1] == width
    assert np.isfinite(artifact.logits).all()
    if algorithm == "ecl":
        assert np.linalg.norm(artifact.features, axis=1) == pytest.approx(1, abs=1e-4)
        assert artifact.projections.shape[1] == width
    else:
        assert len(artifact.select("unlabelled").labels) == 2 * 2 * 6
        assert len(artifact.select("train").labels) == 2 * 2 * 2
