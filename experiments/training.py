"""The training loop: resumable to the bit, selected by balanced source validation; without any, the last checkpoint."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.acceleration import accelerate
from experiments.algorithms import Algorithm, TrainingSet, build_algorithm
from experiments.algorithms.registry import algorithm_named, resolve_options
from experiments.config import RunConfig
from experiments.data.splits import UNLABELLED
from experiments.descent import Descent
from experiments.devices import pick_device
from experiments.distributed import Ranks, join
from experiments.divergence import DivergedError, broken_weights
from experiments.evaluation import accuracies, predict
from experiments.inputs import Progress
from experiments.models import build_classifier
from experiments.models.weights import weights_record
from experiments.optimizers import build_optimizer, learning_rate, set_learning_rate
from experiments.origin import config_digest, require_same_origin, resolved
from experiments.provenance import provenance
from experiments.runs import Checkpoint, RunDirectory
from experiments.step_batches import StepBatches, step_rng
from experiments.task import Task, open_task
from geometry.atomic import write_json
from geometry.errors import UsageError
from geometry.shots import group_masks, shot_groups

SELECTION = "best balanced validation accuracy"
LAST = "the last checkpoint, as there are no validation images"
Report = Callable[[int, dict[str, float]], None]


def build(config: RunConfig, task: Task, device: torch.device) -> Algorithm:
    """The configured algorithm around a freshly initialised model, on the device."""
    model = build_classifier(
        config.model.backbone if task.inputs.images else "features",
        len(task.classes),
        seed=config.data.seed,
        weights=config.model.weights,
        num_inputs=task.inputs.num_inputs,
        projection=config.model.projection,
        projection_norm=config.model.projection_norm,
        cosine=config.model.classifier == "cosine",
        finetune=config.model.finetune,
    )

    def features(part: str) -> tuple[Tensor, Tensor]:
        index = task.indices(part)
        return task.inputs.batch(index, device), torch.as_tensor(task.labels[index]).to(device)

    training_set = TrainingSet(
        task.labelled_counts,
        config.optim.steps,
        None if task.inputs.images else features,
        unlabelled=len(task.indices(UNLABELLED)),
    )
    return build_algorithm(config.optim.algorithm, model, training_set, config.optim.options).to(device)


def train(
    config: RunConfig,
    path: Path,
    *,
    task: Task | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
) -> RunDirectory:
    """Train, or resume, or return at once when the run is done.

    On a CPU, with the same number of threads, a run that was killed and resumed ends with the same bytes as one that
    was not. Under torchrun all processes call this together and train one run (:mod:`experiments.distributed`).

    Args:
        config: everything the run is repeatable from.
        path: the run directory.
        task: the data, where the caller has opened them already.
        report: called after each step with the step and its loss terms.
        progress: called while the features of augmented views are computed, where a frozen backbone makes them.

    Raises:
        UsageError: the directory holds another configuration; an unknown name; several processes for an algorithm whose
            gradient they cannot share.
        DataError: data are missing or broken; the directory cannot be written.
        DivergedError: a loss term, a gradient or a weight is NaN or infinite.
    """
    resolve_options(config.optim.algorithm, config.optim.options)
    ranks = join()
    if algorithm_named(config.optim.algorithm).one_process and ranks.size > 1:
        raise UsageError(f"{config.optim.algorithm} differentiates the backbone's own gradient; use one process.")
    run, device = RunDirectory(path), pick_device(config.optim.device)
    if ranks.share(run.path.exists() and run.finished):
        run.start(resolved(config))
        return run
    task = task or open_task(config)
    with run.locked() if ranks.first else nullcontext():
        if ranks.first:
            run.start(resolved(config))
        trainer = _Trainer(config, task, run, device, ranks)
        trainer.resume()
        if ranks.first:
            task.save_tables(run.path)
        task.prepare()
        trainer.batches.prepare(progress)
        began = time.monotonic()
        trainer.run(report)
        if ranks.first:
            made = manifest(config, task, run, time.monotonic() - began) | {"processes": ranks.size}
            write_json(run.path / "manifest.json", made)
            run.finish()
    ranks.wait()
    return run


def manifest(config: RunConfig, task: Task, run: RunDirectory, seconds: float) -> dict[str, Any]:
    """What made the run, as plain values."""
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds_since_last_start": round(seconds, 3),
        "seeds": {"all": config.data.seed},
        "config": resolved(config),
        "data": task.describe(),
        "weights": None if config.features else weights_record(config.model.weights),
        "selection": SELECTION if len(task.indices("validation")) else LAST,
        **provenance(),
    }


class _Trainer:
    """The mutable state of one training run; of several ranks, the first alone writes."""

    def __init__(self, config: RunConfig, task: Task, run: RunDirectory, device: torch.device, ranks: Ranks) -> None:
        self.config, self.task, self.run_directory, self.device, self.ranks = config, task, run, device, ranks
        self.algorithm = build(config, task, device)
        self.algorithm.train()
        backbone = self.algorithm.model.backbone
        accelerate(backbone, precision=config.optim.precision, compiled=config.optim.compile, device=device)
        ranks.split(backbone)
        self.optimizer = build_optimizer(config.optim, self.algorithm.parameters())
        self.descent = Descent(
            self.optimizer,
            self.algorithm,
            average=ranks.average_gradients,
            diverged=lambda broken: self._diverged(self.step, broken),
        )
        self.batches = StepBatches(config, task, device, self.algorithm.views, self.algorithm.unlabelled_views)
        self.groups = group_masks(shot_groups(task.source_counts, task.shot_thresholds))
        self.step, self.best_score, self.best_step = 0, -1.0, 0
        self.data_digest = task.digest()
        self.selected = self.algorithm.state_dict()
        torch.manual_seed(config.data.seed)  # what a backbone draws by itself (dropout) comes from this state

    def run(self, report: Report | None) -> None:
        seen: dict[str, list[float]] = defaultdict(list)  # a term may set in between two rows
        optim = self.config.optim
        enough = min(optim.steps, self.algorithm.steps_needed or optim.steps)
        while True:  # a run resumed from a checkpoint comes here with the step it was saved after
            if self.ranks.first and self.step in optim.snapshot_steps(enough):
                self.run_directory.save_snapshot(self.step, self.algorithm.state_dict())
            if self.step >= enough:
                break
            terms = self._advance()
            for name, value in terms.items():
                seen[name].append(value)
            checkpoint = self.step % optim.checkpoint_every == 0 or self.step == enough
            if self.step % optim.log_every == 0 or checkpoint:
                self._log({"step": self.step} | {name: sum(values) / len(values) for name, values in seen.items()})
                seen.clear()
            if checkpoint:
                broken = broken_weights(self.algorithm)
                if broken:
                    raise self._diverged(self.step - 1, broken)
                self._evaluate()
                self._save()
            if report is not None:
                report(self.step, terms)

    def _advance(self) -> dict[str, float]:
        batch = self.batches.at(self.step)
        rate = learning_rate(self.config.optim, self.step)
        set_learning_rate(self.optimizer, rate * self.algorithm.rate_factor)
        rng = step_rng(self.config.data.seed, self.step, "terms")
        if self.step == self.config.optim.restart_step:
            self.descent.restart()
        values = self.algorithm.update(batch, rng, self.descent)
        self.step += 1
        return values

    def _diverged(self, step: int, broken: Sequence[str]) -> DivergedError:
        """What stopped step ``step`` (from 0); diverged.json beside the checkpoint names its whole batch."""
        batch = self.batches.sample_ids(step)
        if self.ranks.first:
            found = {"step": step + 1, "not_finite": broken, "batch": batch}
            write_json(self.run_directory.path / "diverged.json", found)
        return DivergedError(step + 1, broken, batch)

    def _log(self, row: dict[str, Any]) -> None:
        if self.ranks.first:
            self.run_directory.append_metrics(row)

    def _evaluate(self) -> None:
        row: dict[str, Any] = {"step": self.step}
        for part in ("validation", UNLABELLED, "target"):
            index = self.task.indices(part)
            if len(index) == 0:
                continue
            _, logits = predict(self.algorithm.model, self.task, index, self.device)
            predicted, labels = logits.argmax(dim=1).numpy(), self.task.labels[index]
            found = accuracies(predicted, labels, len(self.task.classes), self.groups)
            row |= {f"{part}/{name}": value if math.isfinite(value) else None for name, value in found.items()}
        self._log(row)
        score = row.get("validation/balanced_accuracy", 0.0)
        if score >= self.best_score:  # a tie goes to the longer training
            self.best_score, self.best_step = score, self.step
            self.selected = {name: tensor.detach().clone() for name, tensor in self.algorithm.state_dict().items()}

    def _save(self) -> None:
        if not self.ranks.first:
            return
        state: dict[str, Any] = {
            "config": config_digest(self.config),
            "data": self.data_digest,
            "optimizer": self.optimizer.state_dict(),
            "best_score": self.best_score,
            "best_step": self.best_step,
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        self.run_directory.save_checkpoint(Checkpoint(self.step, self.algorithm.state_dict(), self.selected, state))

    def resume(self) -> None:
        """Go back to the last checkpoint, or to the start; sweep what a kill left half-written."""
        if self.ranks.first:
            self.run_directory.sweep()
            (self.run_directory.path / "diverged.json").unlink(missing_ok=True)
        checkpoint = self.ranks.share(self.run_directory.load_checkpoint() if self.ranks.first else None)
        if checkpoint is not None and self.ranks.first:  # the other ranks may not see its directory
            require_same_origin(self.task, checkpoint, self.run_directory)
        if self.ranks.first:
            self.run_directory.rewind_metrics(checkpoint.step if checkpoint else 0)
            self.run_directory.rewind_snapshots(checkpoint.step if checkpoint else -1)
        if checkpoint is None:
            return
        self.step, self.selected = checkpoint.step, checkpoint.selected
        self.algorithm.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.state["optimizer"])
        self.best_score, self.best_step = checkpoint.state["best_score"], checkpoint.state["best_step"]
        torch.set_rng_state(checkpoint.state["torch_rng"])
        if self.device.type == "cuda" and checkpoint.state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(checkpoint.state["cuda_rng"], self.device)
