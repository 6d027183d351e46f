"""Cell means, prototypes, head and contrastive gradients at every snapshot of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.algorithms import Algorithm
from experiments.evaluation import predict
from experiments.probes.anchor_gradients import record_anchor_gradients
from experiments.probes.context import Context, Recorded
from experiments.step_batches import StepBatches
from experiments.task import Task
from geometry.errors import DataError

GRADIENT_BATCHES = 16  # at every moment; a batch is forward and backward for four losses
MOMENTUM = 0.9  # of the moving prototypes
PARTS = ("train", "validation", "target")

Array = NDArray[np.float64]


def trajectory(context: Context) -> Recorded:
    r"""What a run's snapshots (``train --snapshots``) say about it, all arrays under ``trajectory/``.

    T moments, M domains (the held-out one included), K classes, D features; counts, means and scatters are over the
    labelled training samples, NaN for empty cells:

    * ``step`` ``(T,)``; ``cell_counts`` ``(M, K)``;
    * ``feature_means`` ``(T, M, K, D)`` and ``feature_scatter`` ``(T, M, K)``, the mean squared distance to the mean;
    * ``prediction_means`` ``(T, M, K, K)`` and ``prediction_scatter`` ``(T, M, K)``, the same of softmax outputs;
    * ``head_weight`` ``(T, K, D)``, ``head_bias`` ``(T, K)``;
    * ``validation_errors``, ``target_errors`` ``(T, K)``: shares of each class that are misclassified;
    * ``batch_prototypes/{step,batch,domain,class,count}`` ``(P,)``, ``.../mean`` ``(P, K)``: mean predictions of each
      cell in the run's own first batches, without augmentation, under the model of the moment; ``step`` is a position
      in the first array, ``count`` the samples;
    * ``moving_prototypes`` ``(T, M, K, K)``: their moving average ``m <- 0.9 m + 0.1 mean`` over the same batches,
      from the first one that holds the cell. The model stays that of the moment: only noise of sampling is in them;
    * ``anchor_gradient/<form>/{norm,label,batch,weight,moment}`` ``(A,)``: :func:`record_anchor_gradients` on the
      first batches.

    Raises:
        DataError: the run kept no snapshots, or broken ones.
    """
    steps = tuple(context.run.snapshots())
    if len(steps) < 2:
        raise DataError(
            f"Expected two or more snapshots in {context.run.path / 'snapshots'}, found {len(steps)}; "
            "train with --snapshots 11, then extract again."
        )
    task, algorithm = context.task, context.algorithm
    cells, batches = _Cells(task), _batch_rows(context)
    moments: list[Recorded] = []
    features: NDArray[np.float32] | None = None
    every = np.concatenate([task.indices(part) for part in PARTS])
    with _held(algorithm):
        for moment, step in enumerate(steps):
            _load(algorithm, context, step)
            if features is None or (algorithm.model.train_backbone and task.inputs.images):
                features = predict(algorithm.model, task, every, context.device)[0].numpy()
                feature_means, feature_scatter = cells.moments(features[: cells.size])
            predictions = _predictions(algorithm, features, context.device)
            trained = predictions[: cells.size]
            means, scatter = cells.moments(trained)
            found: Recorded = {
                "feature_means": feature_means.astype(np.float32),
                "feature_scatter": feature_scatter,
                "prediction_means": means.astype(np.float32),
                "prediction_scatter": scatter,
                "head_weight": algorithm.model.head.weight.detach().cpu().numpy().copy(),
                "head_bias": algorithm.model.head.bias.detach().cpu().numpy().copy(),
                "moving_prototypes": cells.moving(trained, batches).astype(np.float32),
            }
            found |= _errors(task, predictions.argmax(axis=1), every)
            found |= {f"batch_prototypes/{name}": part for name, part in cells.prototypes(trained, batches).items()}
            found["batch_prototypes/step"] = np.full(len(found["batch_prototypes/count"]), moment)
            found |= _gradients(context, algorithm, moment)
            moments.append(found)
            if context.progress is not None:
                context.progress(moment + 1, len(steps))
    joined = {
        name: (np.concatenate if "/" in name else np.stack)([found[name] for found in moments]) for name in moments[0]
    }
    joined |= {"step": np.asarray(steps, dtype=np.int64), "cell_counts": cells.counts}
    return {f"trajectory/{name}": values for name, values in joined.items()}


class _Cells:
    """Sums over the (domain, class) cells of a task's training samples, in the order of ``task.indices("train")``."""

    def __init__(self, task: Task) -> None:
        index = task.indices("train")
        self.shape = task.counts.shape
        self.size = len(index)
        self.cell = task.domain[index] * self.shape[1] + task.labels[index]
        self.counts = np.bincount(self.cell, minlength=task.counts.size).reshape(self.shape)
        self.row = np.full(len(task.labels), -1)
        self.row[index] = np.arange(len(index))

    def moments(self, vectors: NDArray[np.floating]) -> tuple[Array, Array]:
        """``(M, K, V)`` means and ``(M, K)`` mean squared distances to them; NaN for empty cells."""
        means, count = self._means(vectors, self.cell)
        # From the deviations: the difference of two large sums of squares would lose what a tight cell has.
        squared = ((vectors - means[self.cell]) ** 2).sum(axis=1)
        scatter = np.bincount(self.cell, weights=squared, minlength=len(count))
        scatter = np.where(count > 0, scatter / np.maximum(count, 1), np.nan)
        return means.reshape(*self.shape, -1), scatter.reshape(self.shape)

    def prototypes(self, vectors: NDArray[np.floating], batches: list[NDArray[np.intp]]) -> Recorded:
        """Batch, domain, class, count and mean of each cell of each batch, ``(P,)`` and ``(P, V)``."""
        parts = []
        for number, rows in enumerate(batches):
            means, count = self._means(vectors[rows], self.cell[rows])
            here = np.flatnonzero(count)
            domain, label = np.divmod(here, self.shape[1])
            parts.append((np.full(len(here), number), domain, label, count[here], means[here].astype(np.float32)))
        names = ("batch", "domain", "class", "count", "mean")
        return {name: np.concatenate(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)}

    def moving(self, vectors: NDArray[np.floating], batches: list[NDArray[np.intp]]) -> Array:
        """``(M, K, V)`` moving averages of the batches' cell means, NaN for cells that no batch holds."""
        moving = np.full((self.shape[0] * self.shape[1], vectors.shape[1]), np.nan)
        for rows in batches:
            means, count = self._means(vectors[rows], self.cell[rows])
            begun = np.isfinite(moving[:, :1])
            updated = np.where(begun, MOMENTUM * moving + (1 - MOMENTUM) * means, means)
            moving = np.where(count[:, None] > 0, updated, moving)
        return moving.reshape(*self.shape, -1)

    def _means(self, vectors: NDArray[np.floating], cell: NDArray[np.intp]) -> tuple[Array, NDArray[np.int64]]:
        count = np.bincount(cell, minlength=self.shape[0] * self.shape[1])
        sums = np.zeros((len(count), vectors.shape[1]))
        np.add.at(sums, cell, vectors)
        return np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], np.nan), count


@contextmanager
def _held(algorithm: Algorithm) -> Iterator[None]:
    """Put the algorithm's state back, whatever is loaded into it meanwhile."""
    state = deepcopy(algorithm.state_dict())
    try:
        yield
    finally:
        algorithm.load_state_dict(state)


def _load(algorithm: Algorithm, context: Context, step: int) -> None:
    try:
        algorithm.load_state_dict(context.run.load_snapshot(step))
    except RuntimeError as error:
        raise DataError(
            f"The snapshot of step {step} in {context.run.path} is of another model than the run's; train it anew."
        ) from error


def _batch_rows(context: Context) -> list[NDArray[np.intp]]:
    """The run's first batches, as rows among the training samples."""
    row = _Cells(context.task).row
    sampler = StepBatches(context.config, context.task, context.device).sampler
    return [row[np.concatenate(sampler.indices(step))] for step in range(context.steps)]


@torch.no_grad()
def _predictions(algorithm: Algorithm, features: NDArray[np.float32], device: torch.device) -> Array:
    """``(n, K)`` softmax outputs."""
    logits = algorithm.model.head(torch.from_numpy(features).to(device))
    return torch.softmax(logits.double(), dim=1).cpu().numpy()


def _errors(task: Task, predicted: NDArray[np.intp], index: NDArray[np.intp]) -> Recorded:
    """``(K,)`` share of each class that is misclassified, NaN for classes without samples."""
    found: Recorded = {}
    for part in ("validation", "target"):
        here = task.part[index] == part
        labels = task.labels[index[here]]
        count = np.bincount(labels, minlength=len(task.classes))
        wrong = np.bincount(labels[predicted[here] != labels], minlength=len(task.classes))
        found[f"{part}_errors"] = np.where(count > 0, wrong / np.maximum(count, 1), np.nan)
    return found


def _gradients(context: Context, algorithm: Algorithm, moment: int) -> Recorded:
    recorded = record_anchor_gradients(
        algorithm.model,
        context.batches(GRADIENT_BATCHES),
        context.rngs(GRADIENT_BATCHES),
        rho=context.rho,
        own=algorithm.contrast,
    )
    anchors = {name.removesuffix("/norm"): len(values) for name, values in recorded.items() if name.endswith("/norm")}
    return recorded | {f"{form}/moment": np.full(size, moment) for form, size in anchors.items()}
