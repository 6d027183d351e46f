"""environment.yml, constraints.txt and pyproject.toml describe one environment."""

import tomllib
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def project_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    words = project["dependencies"] + project["optional-dependencies"]["dev"]
    return {canonicalize_name(found.name): found for found in map(Requirement, words)}


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    words = [line for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(found.name): str(found.specifier) for found in map(Requirement, words)}


def conda_pip_section():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def test_conda_pins_agree_with_pyproject_and_constraints():
    pins = {
        canonicalize_name(found.name): found
        for found in map(Requirement, (word for word in conda_pip_section() if not word.startswith("--")))
    }
    required = project_requirements()
    assert set(pins) == set(required)
    for name, pin in pins.items():
        assert str(pin.specifier) == constraints()[name]
        version = str(pin.specifier).removeprefix("==")
        assert required[name].specifier.contains(version), f"{name} {version} does not satisfy {required[name]}"


def test_conda_environment_installs_the_project_under_the_constraints():
    section = conda_pip_section()
    assert "--constraint constraints.txt" in section
    assert "--editable ." in section


@pytest.mark.parametrize(("threshold", "kept"), [(0.4, [1]), (0.6, [1, 0])])
def test_torch_and_torchvision_work_together(threshold, kept):
    """A torchvision built for another torch lacks its compiled operators; the two boxes overlap by one half."""
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]])
    scores = torch.tensor([0.1, 0.9])
    assert torchvision.ops.nms(boxes, scores, iou_threshold=threshold).tolist() == kept


def test_conda_python_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert f"python{project['requires-python']}" in dependencies
