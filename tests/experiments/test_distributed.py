"""Two ranks that share a batch are one process: the same losses, the same gradients, the same run.

This file is also the program that torchrun starts: ``torchrun --nproc-per-node 2 test_distributed.py FOLDER``.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from experiments.algorithms import ALGORITHMS, Batch, TrainingSet, build_algorithm
from experiments.algorithms.base import Unlabelled
from experiments.cli.train import run_training
from experiments.config import OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.distributed import Ranks, join
from experiments.models import build_classifier
from experiments.training import train
from geometry.errors import UsageError

CLASSES, DOMAINS, ROWS = 5, 3, 7  # 21 rows: two ranks do not divide them
VARIANTS = {
    "ndcl moving": ("ndcl", {"prototypes": "moving", "negatives": "both", "mixing": "pair"}),
    "supcon features": ("supcon", {"contrast_space": "features"}),
    "infonce mixup": ("infonce", {"negatives": "mixup"}),
    "fixclr": ("freematch", {"momentum": 0.5, "fixclr": 0.3, "fixclr_level": "domain-class"}),
}
SHARED = [name for name, kind in ALGORITHMS.items() if kind.steps_needed is None and not kind.one_process]
CASES = {name: (name, {}) for name in SHARED} | VARIANTS
CONFIG = RunConfig(
    DataConfig(dataset="digits", image_size=8),
    optim=OptimConfig(
        algorithm="ndcl", augment="crop", steps=6, batch_size=3, checkpoint_every=3, log_every=1, device="cpu"
    ),
)


def terms_and_gradients(case, ranks):
    """Loss terms and parameter gradients of one batch of images, in double precision."""
    name, options = CASES[case]
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 30, (DOMAINS, CLASSES))
    model = build_classifier("small_cnn", CLASSES, seed=0)
    algorithm = build_algorithm(name, model, TrainingSet(counts, unlabelled=30), options).double().train()

    def images():
        return torch.from_numpy(rng.random((DOMAINS * ROWS, 3, 8, 8)))

    domains = torch.arange(DOMAINS).repeat_interleave(ROWS)
    batch = Batch(images(), torch.from_numpy(rng.integers(0, CLASSES, DOMAINS * ROWS)), domains)
    views, withheld = (tuple(images() for _ in names) for names in (algorithm.views, algorithm.unlabelled_views))
    batch = replace(batch, views=views, unlabelled=Unlabelled(withheld, domains) if withheld else None)
    ranks.split(algorithm.model.backbone)
    terms = algorithm.terms(batch, np.random.default_rng(1))
    terms["loss"].backward()
    ranks.average_gradients(algorithm.parameters())
    found = {f"term {name}": term.detach().clone() for name, term in terms.items()}
    return found | {f"gradient {n}": p.grad for n, p in algorithm.named_parameters() if p.grad is not None}


def worker(folder):
    """What each rank does: every case, then two runs, one from the start and one from a checkpoint."""
    ranks = join()
    assert join() == ranks
    assert ranks.share({"from": ranks.rank}) == {"from": 0}
    cases = {case: terms_and_gradients(case, ranks) for case in CASES}
    save_file(
        {f"{case}: {name}": value for case, found in cases.items() for name, value in found.items()},
        folder / f"rank{ranks.rank}.safetensors",
    )
    run_training(CONFIG, folder / "spoken" if ranks.first else folder / "nobody writes here")
    for run in ("fresh", "halfway"):
        train(CONFIG, folder / run if ranks.first else folder / "nobody writes here")


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """The folder that two processes have worked in, with an uninterrupted run of one process beside theirs."""
    folder = tmp_path_factory.mktemp("ranks")
    train(CONFIG, folder / "single")

    def stop(step, _):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, folder / "halfway", report=stop)
    found = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__, folder],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    (folder / "said").write_text(found.stderr)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_one_process(two_ranks, case):
    expected = terms_and_gradients(case, Ranks())
    ranks = [load_file(two_ranks / f"rank{rank}.safetensors") for rank in (0, 1)]
    assert any(bool(value.abs().max() > 0) for name, value in expected.items() if "backbone" in name)
    for name, value in expected.items():
        for found in ranks:
            torch.testing.assert_close(found[f"{case}: {name}"], value, rtol=1e-9, atol=1e-11)
        assert torch.equal(ranks[0][f"{case}: {name}"], ranks[1][f"{case}: {name}"])


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("run", ["fresh", "halfway"])
def test_a_run_of_two_ranks_is_the_run_of_one(two_ranks, run):
    single, shared = rows(two_ranks / "single"), rows(two_ranks / run)
    assert [row.keys() for row in shared] == [row.keys() for row in single]
    for one, other in zip(single, shared, strict=True):
        losses = [name for name in one if name.startswith("loss")]
        np.testing.assert_allclose([other[n] for n in losses], [one[n] for n in losses], rtol=2e-4, atol=1e-5)
    one, other = (load_file(two_ranks / name / "checkpoint" / "model.safetensors") for name in ("single", run))
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-2, atol=1e-4)
    manifest = json.loads((two_ranks / run / "manifest.json").read_text())
    assert manifest["processes"] == 2
    assert (two_ranks / run / "config.yaml").read_bytes() == (two_ranks / "single" / "config.yaml").read_bytes()


def test_only_the_first_rank_writes(two_ranks):
    assert (two_ranks / "fresh" / "done").exists()
    assert not (two_ranks / "nobody writes here").exists()


def test_only_the_first_rank_speaks(two_ranks):
    said = (two_ranks / "said").read_text()
    assert said.count("steps of ndcl done") == 1
    assert said.count("source_test") == DOMAINS  # one table of counts
    assert rows(two_ranks / "spoken") == rows(two_ranks / "fresh")


def test_a_run_of_two_ranks_goes_on_in_one_process(two_ranks, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(two_ranks / "halfway", run)
    (run / "done").unlink()
    train(CONFIG, run)
    assert (run / "done").exists()
    assert rows(run) == rows(two_ranks / "halfway")


def test_batch_statistics_are_refused_by_several_ranks():
    with pytest.raises(UsageError, match="frozen BatchNorm"):
        Ranks(0, 2).split(torch.nn.Sequential(torch.nn.BatchNorm2d(3)))
    Ranks(0, 2).split(torch.nn.Sequential(torch.nn.BatchNorm2d(3)).eval())


def test_one_process_is_left_as_it_is():
    model = torch.nn.Linear(2, 2)
    ranks = join()
    ranks.split(model)
    model(torch.ones(3, 2)).sum().backward()
    before = model.weight.grad.clone()
    ranks.average_gradients(model.parameters())
    assert ranks == Ranks(0, 1)
    assert ranks.share("x") == "x"
    assert torch.equal(model.weight.grad, before)
    assert not model._forward_hooks


def test_more_processes_than_gpus_is_one_sentence(monkeypatch):
    from experiments import distributed

    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="--nproc-per-node to 2"):
        distributed.local_gpu()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.local_gpu() == torch.device("cuda", 1)


if __name__ == "__main__":
    worker(Path(sys.argv[1]))


def test_an_algorithm_whose_gradient_cannot_be_shared_is_refused_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr("experiments.training.join", lambda: Ranks(0, 2))
    with pytest.raises(UsageError, match="mldg differentiates the backbone's own gradient; use one process"):
        train(RunConfig(optim=OptimConfig(algorithm="mldg", device="cpu")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
