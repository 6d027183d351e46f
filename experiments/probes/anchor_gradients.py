"""How hard contrastive losses pull at each sample of recorded batches."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.algorithms import Batch
from experiments.algorithms.contrast import Contrast
from experiments.algorithms.spaces import Outputs
from experiments.losses.info_nce import info_nce
from experiments.losses.ndcl import negative_dominant_contrast
from experiments.losses.supcon import supcon
from experiments.models import Classifier
from experiments.probes.context import Context, Recorded


def anchor_gradients(context: Context) -> Recorded:
    """:func:`record_anchor_gradients` on a run's own first batches."""
    return record_anchor_gradients(
        context.algorithm.model, context.batches(), context.rngs(), rho=context.rho, own=context.algorithm.contrast
    )


def standard_forms(rho: float) -> dict[str, Contrast]:
    """NDCL's released contrast, and InfoNCE and SupCon set like it.

    All three compare predictions at temperature 1 with the same mixed negatives and average over classes, so that
    they differ in the place of the negatives alone.

    Args:
        rho: Beta(rho, rho) of the mixing coefficient.
    """
    return {
        "ndcl": Contrast(negative_dominant_contrast, rho=rho, singles_count=True),
        "infonce": Contrast(partial(info_nce, tau=1.0, anchor_reduction="class"), rho=rho),
        "supcon": Contrast(partial(supcon, tau=1.0, anchor_reduction="class"), rho=rho),
    }


def record_anchor_gradients(
    model: Classifier,
    batches: Iterable[Batch],
    rngs: Iterable[np.random.Generator],
    *,
    rho: float,
    own: Contrast | None = None,
) -> Recorded:
    r"""Norms of each contrast's gradient at every sample: ``dL/dz_i`` by its logits, or ``dL/df_i`` by its features.

    The forms are the three of :func:`standard_forms` and the run's own. They are taken on the model as it stands,
    whichever algorithm trained it, on the same batches with the same mixing. A form that compares predictions is
    derived by the logits, one that compares features or their projections by the features.

    Args:
        model: the trained model, read in evaluation mode and left as found.
        batches: recorded training batches.
        rngs: one source of randomness a batch.
        rho: Beta(rho, rho) of the mixing coefficient: the run's own, or the released one where it has none.
        own: the contrast the run was trained with, where it had one.

    Returns:
        Arrays for the artifact's probes, ``(A,)`` each over all samples of all batches, for every form ``ndcl``,
        ``infonce``, ``supcon`` and ``own``: ``anchor_gradient/<form>/norm``, ``.../label``, ``.../batch``, and
        ``.../weight``, the share that the loss's own average gives the anchor.
    """
    forms = standard_forms(rho) | ({} if own is None else {"own": own})
    found: dict[str, list[NDArray[np.generic]]] = {}
    with _held(model):
        for number, (batch, rng) in enumerate(zip(batches, rngs, strict=True)):
            labels = batch.labels.cpu().numpy()
            for name, form in forms.items():
                row = {
                    "norm": _gradient_norms(model, batch, form, deepcopy(rng)),
                    "label": labels,
                    "batch": np.full(len(labels), number, dtype=np.int64),
                    "weight": anchor_weights(labels, form),
                }
                for part, values in row.items():
                    found.setdefault(f"anchor_gradient/{name}/{part}", []).append(values)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def anchor_weights(labels: NDArray[np.int64], form: Contrast) -> NDArray[np.float64]:
    """The share ``(B,)`` that a contrast's average over anchors gives each.

    ``1 / (classes in the average * n_k)`` for a mean over classes, ``1 / (anchors in the average)`` for a mean over
    samples. An anchor that is not in the average, because it is alone in its class, gets what its class would get: it
    still feels the others' terms.

    Args:
        labels: ``(B,)`` classes.
        form: the contrast.
    """
    _, position, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    counted = sizes > (0 if form.singles_count else 1)
    if form.anchor_reduction == "class":
        return 1.0 / (max(int(counted.sum()), 1) * sizes[position])
    return np.full(len(labels), 1.0 / max(int(sizes[counted].sum()), 1))


def _gradient_norms(model: Classifier, batch: Batch, form: Contrast, rng: np.random.Generator) -> NDArray[np.float64]:
    with torch.no_grad():
        features = model.features(batch.inputs)
    outputs = Outputs(model, features.requires_grad_(True))
    leaf = outputs.logits if form.space == "predictions" else outputs.features
    (gradient,) = torch.autograd.grad(form(batch, outputs, rng), leaf)
    return gradient.double().norm(dim=1).cpu().numpy()


@contextmanager
def _held(model: Classifier) -> Iterator[None]:
    """Evaluation mode and parameters without gradient: only derivatives by samples are wanted, no other graph."""
    was_training = model.training
    asked: Mapping[torch.nn.Parameter, bool] = {each: each.requires_grad for each in model.parameters()}
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(was_training)
        for parameter, wanted in asked.items():
            parameter.requires_grad_(wanted)
