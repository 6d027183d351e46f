"""How far evaluated samples are from the decision boundary in the space of the model's inputs."""

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.data.randomness import named_generator
from experiments.frozen import FrozenInputs
from experiments.inputs import Inputs
from experiments.models import Classifier
from experiments.probes.context import Context, Progress, Recorded
from experiments.probes.deepfool import Boundary, deepfool
from experiments.task import Task
from geometry.artifact import SPLITS

EVALUATED = tuple(part for part in SPLITS if part != "train")
MOST_SAMPLES = 500
CHUNK = 32


def boundary_distance(context: Context) -> Recorded:
    """:func:`record_boundary_distance` on a run's own evaluated samples."""
    rng = named_generator(context.config.data.seed, "boundary_distance")
    most = MOST_SAMPLES if context.most_samples is None else context.most_samples
    return record_boundary_distance(
        context.algorithm.model, context.task, context.device, rng=rng, most=most, progress=context.progress
    )


def record_boundary_distance(
    model: Classifier,
    task: Task,
    device: torch.device,
    *,
    rng: np.random.Generator,
    most: int = MOST_SAMPLES,
    progress: Progress | None = None,
) -> Recorded:
    """Signed minimum-norm distances of validation, source-test and target samples, by :func:`deepfool`.

    The distance of a sample is the L2 norm of the smallest change of the input found that changes the prediction;
    its sign is -1 where the prediction is not the label. An upper bound, as DeepFool's is. Inputs are images in
    [0, 1] before normalisation, not clipped to that range, also where a head was trained on the cached features of
    images (``--finetune none``): the distance is through the backbone that made them. Of a run on an artifact's
    features they are those feature vectors, in double precision; there the head is linear and the distance exact.

    On one CPU core a sample of 28 x 28 pixels takes a small CNN 0.02 s. ResNet-50 on 224 x 224 takes 1.4 s an
    iteration with seven classes (6 backward passes), so 7 s at the five iterations that an untrained one needed, and
    500 samples up to an hour (``benchmarks/boundary.py``).

    Args:
        model: the trained model; a copy is read in evaluation mode.
        task: its samples.
        device: where the model is.
        rng: source of randomness of the draw.
        most: how many samples at most, spread as evenly over the cells of domain and class as these allow.
        progress: called with samples done and in all.

    Returns:
        Arrays for the artifact's probes, ``(n,)`` each: ``boundary_distance/index`` (positions in the artifact),
        ``.../label``, ``.../domain``, ``.../split`` (what the artifact says there, so that a selection of its samples
        can be matched), ``.../distance`` (signed; NaN where none was found), ``.../iterations``, ``.../converged``,
        and ``.../logits`` ``(n, K)``.
    """
    order = np.concatenate([task.indices(part) for part in SPLITS])
    split = np.repeat(np.arange(len(SPLITS)), [len(task.indices(part)) for part in SPLITS])
    evaluated = np.flatnonzero(np.isin(split, [SPLITS.index(part) for part in EVALUATED]))
    cells = task.domain[order] * len(task.classes) + task.labels[order]
    index = evaluated[even_draw(cells[evaluated], most, rng)]
    samples = order[index]
    source: Inputs = task.inputs
    if isinstance(source, FrozenInputs):
        source, model = source.pixels, source.network(model)
    score = _differentiable(model, source.images)
    found: list[Boundary] = []
    for start in range(0, len(samples), CHUNK):
        inputs = source.batch(samples[start : start + CHUNK], device)
        # A linear head is cheap: every class is a rival, in double precision.
        found.append(deepfool(score, inputs) if source.images else deepfool(score, inputs.double(), candidates=None))
        if progress is not None:
            progress(min(start + CHUNK, len(samples)), len(samples))
    labels = task.labels[samples]
    whole = _joined(found, len(task.classes))
    return {
        "boundary_distance/index": index.astype(np.int64),
        "boundary_distance/label": labels,
        "boundary_distance/domain": task.domain[samples],
        "boundary_distance/split": split[index].astype(np.int64),
        "boundary_distance/distance": whole.signed(labels),
        "boundary_distance/iterations": whole.iterations,
        "boundary_distance/converged": whole.converged,
        "boundary_distance/logits": whole.logits,
    }


def even_draw(cells: NDArray[np.integer], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Ascending positions of at most ``most`` samples, as equally many of each cell as there are.

    Samples are shuffled inside their cells and taken in turns: the first of every cell (the cells in random order),
    then the second of every cell that has one, and so on.

    Args:
        cells: ``(N,)`` cell of each sample.
        most: samples wanted.
        rng: source of randomness.

    >>> even_draw(np.array([0, 0, 0, 0, 7, 9, 9, 9]), 5, np.random.default_rng(0)).size
    5
    """
    shuffled = rng.permutation(len(cells))
    _, code = np.unique(cells[shuffled], return_inverse=True)
    order = np.argsort(code, kind="stable")
    sizes = np.bincount(code)
    turn = np.empty(len(cells), dtype=np.int64)
    turn[order] = np.arange(len(cells)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(shuffled[np.lexsort((rng.permutation(len(sizes))[code], turn))[:most]])


def _differentiable(model: Classifier, images: bool) -> torch.nn.Module:
    """A copy that is differentiated by its inputs alone, through the backbone even where that was not trained."""
    copy = deepcopy(model).eval().requires_grad_(False)
    copy.train_backbone = True
    return copy if images else copy.double()


def _joined(parts: list[Boundary], num_classes: int) -> Boundary:
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Boundary(np.zeros(0), none, np.zeros((0, num_classes)), none, none.astype(bool))
    return Boundary(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})
