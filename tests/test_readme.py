"""What the README shows works: the eleven lines write an artifact that every analysis reads, and its commands parse."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tyro

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The artifact that the README's own lines write from a planted model."""
    rng = np.random.default_rng(0)
    classes, domain_names = ["cat", "dog", "owl"], ["day", "night"]
    labels = np.repeat([0, 1, 2], [60, 30, 30])
    domains = np.tile([0, 1], 60)
    weight, bias = rng.normal(size=(3, 8)), np.zeros(3)
    features = weight[labels] + 0.5 * rng.normal(size=(120, 8))
    context = {
        "features": features,
        "labels": labels,
        "logits": features @ weight.T,
        "domains": domains,
        "split": domains,
        "weight": weight,
        "bias": bias,
        "classes": classes,
        "domain_names": domain_names,
        "train_counts": [[30, 15, 15], [0, 0, 0]],
    }
    monkeypatch.chdir(tmp_path)
    (lines,) = blocks("python")
    assert len([line for line in lines.splitlines() if line.strip() and not line.startswith(("import", "from"))]) <= 10
    exec(lines, context)
    return tmp_path / "my_artifact"


@pytest.mark.parametrize("command", ["measure", "compare", "bound", "check"])
def test_the_lines_write_an_artifact(tailgeom, written, command):
    code, out, err = tailgeom(command, written)
    assert code == 0, err
    assert out


def test_nothing_the_lines_say_is_lost(written):
    from geometry.artifact import load

    artifact = load(written)
    assert artifact.class_names == ("cat", "dog", "owl")
    assert artifact.held_out == "night"
    assert artifact.class_counts.tolist() == [30, 15, 15]
    assert artifact.shots == ("medium", "few", "few")


def commands():
    text = "\n".join(
        blocks("sh") + [line[2:] for block in blocks("console") for line in block.splitlines() if line[:2] == "$ "]
    )
    return [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("tailgeom")]


def test_there_are_commands():
    assert len(commands()) >= 10


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line):
    _, name, *words = shlex.split(line)
    command = import_module(f"experiments.cli.{name}").COMMAND
    tyro.cli(command, args=words, config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff))


def test_the_picture_is_there():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (Path(__file__).parent.parent / path).exists()


def test_the_test_command_is_what_ci_runs():
    assert "make test" in README
    assert "make test" in (Path(__file__).parent.parent / ".ci" / "run").read_text()
