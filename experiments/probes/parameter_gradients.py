"""Which classes a contrastive loss moves the parameters for."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.algorithms import Batch
from experiments.algorithms.contrast import Contrast
from experiments.algorithms.spaces import Outputs
from experiments.models import Classifier
from experiments.probes.anchor_gradients import Remembered, held
from experiments.probes.context import Context, Recorded
from experiments.probes.contrast_forms import Witness, repaired_forms, standard_forms

MOST_BATCHES = 32


def parameter_gradients(context: Context) -> Recorded:
    """:func:`record_parameter_gradients` of every form on a run's own first batches."""
    return record_parameter_gradients(
        context.algorithm.model,
        context.batches(MOST_BATCHES),
        context.rngs(MOST_BATCHES),
        forms=standard_forms(context.rho) | repaired_forms(context.rho),
        own=context.algorithm.contrast,
    )


def record_parameter_gradients(
    model: Classifier,
    batches: Iterable[Batch],
    rngs: Iterable[np.random.Generator],
    *,
    forms: Mapping[str, Contrast],
    own: Contrast | None = None,
) -> Recorded:
    r"""The gradient of each contrast by the parameters, split by class.

    With :math:`v_i` the vectors that the loss compares, the batch's samples and the negatives made for a class,

    .. math:: g = \frac{\partial L}{\partial \theta} = \sum_k g_k,\qquad
        g_k = \sum_{i: y_i = k} \Bigl(\frac{\partial v_i}{\partial \theta}\Bigr)^{\!\top}
        \frac{\partial L}{\partial v_i}

    where a mixed negative counts to the class it was made for. With mixed negatives alone the loss is a sum over
    classes of terms that see only the class's own samples and the negatives made for it, so :math:`g_k` is exactly the
    gradient of class k's anchors' terms; with real negatives a sample's part as a negative of others counts to its own
    class. The decomposition is ours.

    Args:
        model: the trained model, read in evaluation mode and left as found.
        batches: recorded training batches.
        rngs: one source of randomness a batch.
        forms: contrasts by name.
        own: the contrast the run was trained with, where it had one.

    Returns:
        For every form and each ``part`` of the parameters, ``head`` (the linear head) and, where more is trained,
        ``trained`` (all that are): ``parameter_gradient/<form>/<part>/norm`` ``(T, K)``, :math:`|g_k|` of each batch,
        NaN where a class is absent; ``.../along`` ``(T, K)``, :math:`\langle g_k, g \rangle / |g|`, which sums to
        ``.../total`` ``(T,)``, :math:`|g|`, and is NaN where a class is absent and 0 where g is; and once a form
        ``parameter_gradient/<form>/count`` ``(T, K)``, the class's samples in the batch.
    """
    every = {**forms, **({} if own is None else {"own": own})}
    head = [parameter for parameter in model.head.parameters() if parameter.requires_grad]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    inside = {id(parameter) for parameter in head}
    # The head first, so that its part of a gradient is a prefix of the whole.
    wanted = head + [parameter for parameter in trained if id(parameter) not in inside]
    ends = {"head": sum(parameter.numel() for parameter in head)}
    if len(wanted) > len(head):
        ends["trained"] = sum(parameter.numel() for parameter in wanted)
    found: dict[str, list[NDArray[np.generic]]] = {}
    with held(model, wanted):
        for batch, rng in zip(batches, rngs, strict=True):
            known = Remembered(model)
            counts = torch.bincount(batch.labels, minlength=model.head.out_features).cpu().numpy()
            for name, form in every.items():
                by_class = class_gradients(known, batch, form, deepcopy(rng), wanted)
                row: dict[str, NDArray[np.generic]] = {"count": counts}
                for part, end in ends.items():
                    for what, values in _measures([gradient[:end] for gradient in by_class], counts).items():
                        row[f"{part}/{what}"] = values
                for what, values in row.items():
                    found.setdefault(f"parameter_gradient/{name}/{what}", []).append(values)
    return {name: np.stack(rows) for name, rows in found.items()}


def class_gradients(
    model: Classifier | Remembered,
    batch: Batch,
    form: Contrast,
    rng: np.random.Generator,
    parameters: list[torch.nn.Parameter],
) -> list[Tensor]:
    """``g_k`` of :func:`record_parameter_gradients`, flat, for the classes of the batch in ascending order.

    Args:
        model: whose parameters they are.
        batch: of samples.
        form: the contrast.
        rng: of its mixing.
        parameters: which; each must ask for gradients.
    """
    witness = Witness(form.loss)
    loss = replace(form, loss=witness)(batch, Outputs.of(model, batch.inputs), rng)
    classes = torch.unique(batch.labels)
    flat = sum(parameter.numel() for parameter in parameters)
    if witness.vectors is None or witness.labels is None:
        return [loss.new_zeros(flat, dtype=torch.float64) for _ in classes]
    compared = [(witness.vectors, witness.labels)]
    if witness.given.get("negatives") is not None:
        compared.append((witness.given["negatives"], witness.given["negative_labels"]))
    compared = [(vectors, labels) for vectors, labels in compared if vectors.requires_grad]
    if not compared:
        return [loss.new_zeros(flat, dtype=torch.float64) for _ in classes]
    vectors = [pair[0] for pair in compared]
    slopes = torch.autograd.grad(loss, vectors, retain_graph=True, allow_unused=True, materialize_grads=True)
    return list(_pulled_back(compared, slopes, classes, parameters))


def _pulled_back(
    compared: list[tuple[Tensor, Tensor]],
    slopes: tuple[Tensor, ...],
    classes: Tensor,
    parameters: list[torch.nn.Parameter],
) -> Iterator[Tensor]:
    vectors = [pair[0] for pair in compared]
    for k in classes:
        mine = [slope * (labels == k)[:, None].to(slope) for slope, (_, labels) in zip(slopes, compared, strict=True)]
        gradients = torch.autograd.grad(
            vectors, parameters, grad_outputs=mine, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        yield torch.cat([gradient.flatten() for gradient in gradients]).double()


def _measures(by_class: list[Tensor], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    stacked = torch.stack(by_class)
    whole = stacked.sum(dim=0)
    total = float(whole.norm())
    present = np.flatnonzero(counts > 0)
    norm, along = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    norm[present] = stacked.norm(dim=1).cpu().numpy()
    along[present] = (stacked @ whole / total).cpu().numpy() if total > 0 else 0.0
    return {"norm": norm, "along": along, "total": np.asarray(total)}
