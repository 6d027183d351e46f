"""Commands import what they need and no more: that is what keeps them quick."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from experiments.cli import main
try:
    code = main({words})
except SystemExit as stop:
    code = stop.code
heavy = {{"torch", "torchvision", "matplotlib", "umap", "cvxpy", "sklearn", "pandas", "scipy"}} & set(sys.modules)
print("loaded:", ",".join(sorted(heavy)), file=sys.stderr)
sys.exit(code)
"""


def loaded_by(*words):
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(words=list(map(str, words)))], capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    last = found.stderr.strip().splitlines()[-1]
    return set(filter(None, last.removeprefix("loaded: ").removeprefix("loaded:").strip().split(",")))


@pytest.mark.parametrize(
    "words", [("--help",), ("train", "--help"), ("measure", "--help"), ("optimum", "--help"), ("phase", "--help")]
)
def test_help_imports_nothing_heavy(words):
    assert loaded_by(*words) == set()


def test_optimum_needs_neither_torch_nor_matplotlib():
    assert not loaded_by("optimum", "--counts", "50,5,1", "--json") & {"torch", "matplotlib", "umap", "pandas"}


@pytest.mark.parametrize("command", ["measure", "compare", "bound", "check"])
def test_analyses_need_no_trainer_and_draw_nothing(trained, command):
    words = (command, trained / "artifact", "--resamples", "20", "--json")
    assert not loaded_by(*words) & {"torch", "torchvision", "matplotlib", "umap"}


def test_geometry_imports_without_torch():
    program = "import geometry.artifact, geometry.collapse, geometry.bound, geometry.checks, geometry.compare, sys; "
    program += "assert not {'torch', 'torchvision', 'matplotlib', 'umap'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
