"""Every command explains itself, with an example that parses; the ones on artifacts are run."""

import re
import shlex
from dataclasses import replace
from importlib import import_module

import pytest
import tyro

from experiments.cli import COMMANDS


def examples(name):
    """The example command lines in a command's help."""
    command = import_module(f"experiments.cli.{name.replace('-', '_')}").COMMAND
    documented = command.__args__ if hasattr(command, "__args__") else (command,)
    found = []
    for entry in documented:
        _, _, after = entry.__doc__.partition("Example::")
        block = re.split(r"\n\s*Attributes:", after)[0].replace("\\\n", " ")
        found += [line.strip() for line in block.splitlines() if line.strip().startswith("tailgeom")]
    return found


def test_overview_names_every_command(tailgeom):
    code, out, _ = tailgeom("--help")
    assert code == 0
    assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in COMMANDS)
    assert tailgeom()[0] == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(tailgeom, name):
    code, out, _ = tailgeom(name, "--help")
    assert code == 0
    assert "Attributes:" not in out
    assert "::" not in out
    assert examples(name)


@pytest.mark.parametrize("words", [("data", "inspect"), ("data", "split"), ("draw", "grams"), ("draw", "sphere")])
def test_help_of_a_subcommand_has_no_markup(tailgeom, words):
    code, out, _ = tailgeom(*words, "--help")
    assert code == 0
    assert "Example:\n" in out
    assert "::" not in out
    assert "Attributes:" not in out


@pytest.mark.parametrize("line", [line for name in COMMANDS for line in examples(name)])
def test_examples_parse(line):
    _, name, *words = shlex.split(line)
    command = import_module(f"experiments.cli.{name.replace('-', '_')}").COMMAND
    tyro.cli(command, args=words, config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff))


RUNNABLE = [
    line
    for name in ("measure", "compare", "bound", "check", "optimum", "extract")
    for line in examples(name)
    if "ROOT" not in line
]


@pytest.mark.parametrize("line", RUNNABLE)
def test_examples_run(tailgeom, trained, tmp_path, monkeypatch, line):
    import shutil

    import numpy as np

    from geometry.artifact import load

    for name in ("ndcl", "erm"):  # two runs of one model will do
        shutil.copytree(trained, tmp_path / "runs" / "demo" / name)
    artifact = load(trained / "artifact")
    names = tuple("unlabelled" if part == "source_test" else part for part in artifact.split_names)
    replace(artifact, split_names=names).save(tmp_path / "runs" / "fixmatch" / "artifact")
    np.savez(tmp_path / "my_features.npz", features=artifact.features, labels=artifact.labels)
    monkeypatch.chdir(tmp_path)
    code, out, err = tailgeom(*shlex.split(line)[1:])
    assert code == 0 or ("--require" in line and code == 1), err
    assert out or "extract" in line


def test_version(tailgeom):
    code, out, _ = tailgeom("--version")
    assert code == 0
    assert out.startswith("tailgeom ")
