"""A restart of the optimiser at a share of the steps: what it forgets, when, and across a kill."""

from dataclasses import replace

import pytest
import torch

from experiments.config import OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.optimizers import build_optimizer
from experiments.step_batches import StepBatches, step_rng
from experiments.task import open_task
from experiments.training import build, train
from geometry.errors import UsageError

STEPS, AT = 8, 3
DATA = DataConfig(dataset="digits", test_domain="textured", setting="balanced", validation=4, seed=3)
OPTIM = OptimConfig(steps=STEPS, batch_size=8, checkpoint_every=AT, lr=0.02, snapshots=2, device="cpu")


@pytest.fixture(scope="module")
def task():
    return open_task(RunConfig(data=DATA))


def config(**optim):
    return RunConfig(data=DATA, optim=replace(OPTIM, **optim))


def end(path, task, config, **more):
    """All weights after the last step, in one vector."""
    state = train(config, path, task=task, **more).load_snapshot(STEPS)
    return torch.cat([state[name].double().flatten() for name in sorted(state)])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_it_is_a_new_optimiser_from_its_step_on(tmp_path, task, optimizer):
    """A loop of our own over the same batches, with a new optimiser at that step, ends at the same weights."""
    wanted = config(optimizer=optimizer, restart=AT / STEPS)
    algorithm = build(wanted, task, torch.device("cpu")).train()
    batches = StepBatches(wanted, task, torch.device("cpu"), algorithm.views, algorithm.unlabelled_views)
    for step in range(STEPS):
        if step in (0, AT):
            descent = build_optimizer(wanted.optim, algorithm.parameters())
        descent.zero_grad()
        algorithm.terms(batches.at(step), step_rng(DATA.seed, step, "terms"))["loss"].backward()
        descent.step()
    state = algorithm.state_dict()
    assert torch.equal(
        torch.cat([state[name].double().flatten() for name in sorted(state)]), end(tmp_path / "run", task, wanted)
    )


def test_what_has_no_averages_forgets_none_and_what_has_them_does(tmp_path, task):
    def differ(name, **optim):
        ends = [end(tmp_path / f"{name} {at}", task, config(restart=at, **optim)) for at in (0.0, AT / STEPS)]
        return not torch.equal(*ends)

    assert not differ("plain", optimizer="sgd", momentum=0.0)
    assert differ("momentum", optimizer="sgd")
    assert differ("adam")


@pytest.mark.parametrize("after", [AT - 1, AT, AT + 1])
def test_a_run_killed_about_it_ends_with_the_same_bytes(tmp_path, task, after):
    def kill(step, terms):
        if step == after:
            raise KeyboardInterrupt

    wanted = config(restart=AT / STEPS)
    with pytest.raises(KeyboardInterrupt):
        end(tmp_path / "killed", task, wanted, report=kill)
    assert torch.equal(end(tmp_path / "killed", task, wanted), end(tmp_path / "whole", task, wanted))


def test_it_comes_after_one_step_at_the_least_and_not_at_all_by_default():
    assert OptimConfig(steps=100, restart=0.001).restart_step == 1
    assert OptimConfig().restart_step is None
    assert "restart" not in RunConfig().to_dict()["optim"]
    assert config(restart=0.1).to_dict()["optim"]["restart"] == 0.1
    for share in (-0.1, 1.0):
        with pytest.raises(UsageError, match="Expected --restart"):
            OptimConfig(restart=share)
