"""The training loop: resumable to the bit, selected by balanced source validation."""

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.algorithms import Algorithm, Batch, TrainingSet, build_algorithm
from experiments.algorithms.registry import resolve_options
from experiments.augment import augment
from experiments.config import RunConfig
from experiments.data.batches import BatchSampler
from experiments.evaluation import accuracies, predict
from experiments.models import build_classifier
from experiments.provenance import provenance
from experiments.runs import Checkpoint, RunDirectory
from experiments.task import Task, open_task
from geometry.atomic import write_json
from geometry.errors import DataError, TailgeomError, UsageError
from geometry.shots import group_masks, shot_groups

PURPOSES = ("terms", "augment", "probe")  # separate random streams; append only, the position is the stream
Report = Callable[[int, dict[str, float]], None]


class DivergedError(TailgeomError):
    """A loss term stopped being finite; the last good checkpoint is kept."""


def pick_device(name: str) -> torch.device:
    """``auto`` (a GPU when there is one), ``cpu`` or ``cuda``.

    Raises:
        UsageError: unknown name, or no GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"Unknown device {name!r}; known: auto, cpu, cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("Expected a GPU for --device cuda, found none; use --device cpu or auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def step_rng(seed: int, step: int, purpose: str) -> np.random.Generator:
    """The randomness of one purpose at one training step: no history, so resuming needs none."""
    return np.random.default_rng(np.random.SeedSequence([seed, PURPOSES.index(purpose), step]))


def build(config: RunConfig, task: Task, device: torch.device) -> Algorithm:
    """The configured algorithm around a freshly initialised model, on the device."""
    model = build_classifier(
        config.model.backbone if task.inputs.images else "features",
        len(task.classes),
        seed=config.data.seed,
        weights=config.model.weights,
        num_inputs=task.inputs.num_inputs,
    )
    training_set = TrainingSet(counts=task.source_counts)
    return build_algorithm(config.optim.algorithm, model, training_set, config.optim.options).to(device)


def next_batch(config: RunConfig, task: Task, sampler: BatchSampler, step: int, device: torch.device) -> Batch:
    """The batch of a step, augmented: a pure function of configuration and step."""
    per_domain = sampler.indices(step)
    index = np.concatenate(per_domain)
    inputs = task.inputs.batch(index, device)
    if task.inputs.images:
        inputs = augment(inputs, config.optim.augment, step_rng(config.data.seed, step, "augment"))
    positions = np.repeat(np.arange(len(per_domain)), [len(part) for part in per_domain])
    return Batch(inputs, torch.as_tensor(task.labels[index]).to(device), torch.as_tensor(positions).to(device))


def train(config: RunConfig, path: Path, *, task: Task | None = None, report: Report | None = None) -> RunDirectory:
    """Train, or resume, or return at once when the run is done.

    On a CPU, with the same number of threads, a run that was killed and resumed ends with the same bytes as one that
    was not.

    Args:
        config: everything the run is repeatable from.
        path: the run directory.
        task: the data, where the caller has opened them already.
        report: called after each step with the step and its loss terms.

    Raises:
        UsageError: the directory holds another configuration; an unknown name.
        DataError: data are missing or broken; the directory cannot be written.
        DivergedError: a loss term is NaN or infinite.
    """
    resolve_options(config.optim.algorithm, config.optim.options)
    run, device = RunDirectory(path), pick_device(config.optim.device)
    if run.path.exists() and run.finished:
        run.start(resolved(config))
        return run
    task = task or open_task(config)
    with run.locked():
        run.start(resolved(config))
        trainer = _Trainer(config, task, run, device)
        trainer.resume()
        task.save_tables(run.path)
        task.prepare()
        began = time.monotonic()
        trainer.run(report)
        write_json(run.path / "manifest.json", manifest(config, task, run, time.monotonic() - began))
        run.finish()
    return run


def resolved(config: RunConfig) -> dict[str, Any]:
    """The configuration with every option written out; the device is left to the machine."""
    plain = config.to_dict()
    plain["optim"]["options"] = resolve_options(config.optim.algorithm, config.optim.options)
    plain["optim"].pop("device")
    if config.features is not None:  # the artifact brings its own images, split and backbone
        plain["data"], plain["model"] = {"seed": config.data.seed}, None
    return plain


def config_digest(config: RunConfig) -> str:
    """SHA-256 of the resolved configuration; a checkpoint carries that of its run."""
    return hashlib.sha256(json.dumps(resolved(config), sort_keys=True).encode()).hexdigest()


def require_same_origin(config: RunConfig, task: Task, checkpoint: Checkpoint, run: RunDirectory) -> None:
    """Refuse a checkpoint that another configuration or other data made.

    Raises:
        DataError: they did.
    """
    where = run.path / "checkpoint"
    if checkpoint.state.get("config") not in (None, config_digest(config)):
        raise DataError(
            f"The checkpoint in {where} was made by another configuration than config.yaml there; "
            "put back its own, or delete it to start over."
        )
    if checkpoint.state.get("data") not in (None, task.digest()):
        raise DataError(
            f"The data changed since the checkpoint in {where} was made: other samples, or another split of them; "
            "restore them, or choose another --out."
        )


def manifest(config: RunConfig, task: Task, run: RunDirectory, seconds: float) -> dict[str, Any]:
    """What made the run, as plain values."""
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds_since_last_start": round(seconds, 3),
        "seeds": {"all": config.data.seed},
        "config": resolved(config),
        "data": task.describe(),
        **provenance(),
    }


class _Trainer:
    """The mutable state of one training run."""

    def __init__(self, config: RunConfig, task: Task, run: RunDirectory, device: torch.device) -> None:
        self.config, self.task, self.run_directory, self.device = config, task, run, device
        self.algorithm = build(config, task, device)
        self.algorithm.train()
        self.optimizer = torch.optim.Adam(
            self.algorithm.parameters(), lr=config.optim.lr, weight_decay=config.optim.weight_decay
        )
        pools = [task.indices("train", domain) for domain in task.sources]
        self.sampler = BatchSampler(pools, config.optim.batch_size, config.data.seed)
        self.groups = group_masks(shot_groups(task.source_counts, task.shot_thresholds))
        self.step, self.best_score, self.best_step = 0, -1.0, 0
        self.data_digest = task.digest()
        self.selected = self.algorithm.state_dict()
        torch.manual_seed(config.data.seed)  # what a backbone draws by itself (dropout) comes from this state

    def run(self, report: Report | None) -> None:
        sums: dict[str, float] = defaultdict(float)
        count = 0
        optim = self.config.optim
        while self.step < optim.steps:
            terms = self._advance()
            for name, value in terms.items():
                sums[name] += value
            count += 1
            checkpoint = self.step % optim.checkpoint_every == 0 or self.step == optim.steps
            if self.step % optim.log_every == 0 or checkpoint:
                self.run_directory.append_metrics({"step": self.step} | {k: v / count for k, v in sums.items()})
                sums.clear()
                count = 0
            if checkpoint:
                self._evaluate()
                self._save()
            if report is not None:
                report(self.step, terms)

    def _advance(self) -> dict[str, float]:
        batch = next_batch(self.config, self.task, self.sampler, self.step, self.device)
        terms = self.algorithm.terms(batch, step_rng(self.config.data.seed, self.step, "terms"))
        values = {name: float(term.detach()) for name, term in terms.items()}
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise DivergedError(
                f"Training diverged at step {self.step + 1}: {', '.join(broken)} is not finite. "
                "The last checkpoint is kept; lower --lr or change the options."
            )
        self.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        self.optimizer.step()
        self.step += 1
        return values

    def _evaluate(self) -> None:
        row: dict[str, Any] = {"step": self.step}
        for part in ("validation", "target"):
            index = self.task.indices(part)
            if len(index) == 0:
                continue
            _, logits = predict(self.algorithm.model, self.task, index, self.device)
            predicted, labels = logits.argmax(dim=1).numpy(), self.task.labels[index]
            found = accuracies(predicted, labels, len(self.task.classes), self.groups)
            row |= {f"{part}/{name}": value if math.isfinite(value) else None for name, value in found.items()}
        self.run_directory.append_metrics(row)
        score = row.get("validation/balanced_accuracy", 0.0)
        if score >= self.best_score:  # a tie goes to the longer training
            self.best_score, self.best_step = score, self.step
            self.selected = {name: tensor.detach().clone() for name, tensor in self.algorithm.state_dict().items()}

    def _save(self) -> None:
        state: dict[str, Any] = {
            "config": config_digest(self.config),
            "data": self.data_digest,
            "optimizer": self.optimizer.state_dict(),
            "best_score": self.best_score,
            "best_step": self.best_step,
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }
        weights: dict[str, Tensor] = self.algorithm.state_dict()
        self.run_directory.save_checkpoint(Checkpoint(self.step, weights, self.selected, state))

    def resume(self) -> None:
        """Go back to the last checkpoint, or to the start; sweep what a kill left half-written."""
        self.run_directory.sweep()
        checkpoint = self.run_directory.load_checkpoint()
        if checkpoint is None:
            self.run_directory.rewind_metrics(0)
            return
        require_same_origin(self.config, self.task, checkpoint, self.run_directory)
        self.step, self.selected = checkpoint.step, checkpoint.selected
        self.algorithm.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.state["optimizer"])
        self.best_score, self.best_step = checkpoint.state["best_score"], checkpoint.state["best_step"]
        torch.set_rng_state(checkpoint.state["torch_rng"])
        if self.device.type == "cuda" and checkpoint.state["cuda_rng"]:
            torch.cuda.set_rng_state_all(checkpoint.state["cuda_rng"])
        self.run_directory.rewind_metrics(self.step)
