"""Who gets the gradient: the share of every shot group in a run's contrast and in its whole loss."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.algorithms import Algorithm, Batch
from experiments.probes.anchor_gradients import record_anchor_gradients
from experiments.probes.context import Context, Recorded
from experiments.probes.contrast_forms import standard_forms
from geometry.artifact import Artifact
from geometry.checks.gradient_share import CLAIMED as STANDARD
from geometry.checks.gradient_share import PREFIX, gradient_share

BATCHES = 48  # at most a second on frozen features, on one core
LOSS = "loss"  # the whole loss, beside the contrasts


def gradient_shares(context: Context, most: int = BATCHES) -> dict[str, Any]:
    """Summaries of :func:`geometry.checks.gradient_share.gradient_share` on a run's own first batches.

    Args:
        context: the run at the checkpoint to look at.
        most: batches.

    Returns:
        For every form ``own`` (the contrast the run was trained with, where it has one, whatever its weight in the
        loss), ``ndcl`` (its released form, on the same model) and ``loss`` (all that the run minimises,
        :func:`record_loss_gradients`), by shot group: ``<group>_share`` of the summed norm, ``<group>_anchors``, its
        share of the samples, ``<group>_zero``, the share of its samples whose gradient is exactly zero, and
        ``<group>_count`` of them; ``amplification`` (few over many, weights of the average taken out, counts as they
        are), ``amplification_raw`` (weights left in) and ``amplification_equal`` (weights out, among samples whose
        classes have equally many in their batches). NaN where there is no such group or sample. And ``batches``,
        how many were looked at.
    """
    algorithm, task = context.algorithm, context.task
    forms = {STANDARD: standard_forms(context.rho)[STANDARD]}
    recorded = record_anchor_gradients(
        algorithm.model, context.batches(most), context.rngs(most), rho=context.rho, own=algorithm.contrast, forms=forms
    )
    recorded |= record_loss_gradients(algorithm, context.batches(most), context.rngs(most))
    labels = np.asarray(recorded[f"{PREFIX}{STANDARD}/label"])
    artifact = Artifact(
        features=np.zeros((labels.size, 1)),  # the check reads what the probes recorded, and counts
        labels=labels,
        class_names=task.classes,
        domain_names=task.domains,
        train_counts=task.counts,
        held_out=task.held_out,
        shot_thresholds=task.shot_thresholds,
        probes=recorded,
    )
    # The spread that a table shows is that over runs; the check's own interval, over batches, is not kept.
    verdicts = gradient_share(artifact, rng=np.random.default_rng(0), resamples=20)
    shares = {verdict.subject: _numbers(verdict.details) for verdict in verdicts}
    return {"batches": int(np.unique(recorded[f"{PREFIX}{STANDARD}/batch"]).size), **shares}


def record_loss_gradients(
    algorithm: Algorithm, batches: Iterator[Batch], rngs: Iterator[np.random.Generator]
) -> Recorded:
    r"""Norms ``||dL/dz_i||`` of the whole loss's gradient by the logits of each sample of a batch.

    Sample i's part of the head's gradient is ``dL/dz_i (f_i, 1)^T``. A loss may also classify synthetic samples, such
    as mixed ones: they belong to no class and are left out, as is what reaches features without the classifier.

    Args:
        algorithm: in evaluation mode, left as found.
        batches: recorded training batches.
        rngs: one source of randomness a batch.

    Returns:
        ``anchor_gradient/loss/{norm,label,batch}`` as the contrasts have them; nothing where the loss never looks at
        the batch's samples themselves (mixup, or a head that is fitted in closed form).
    """
    found: dict[str, list[Any]] = {"norm": [], "label": [], "batch": []}
    for number, (batch, rng) in enumerate(zip(batches, rngs, strict=True)):
        gradient = _loss_gradient(algorithm, batch, rng)
        if gradient is None:
            return {}
        found["norm"].append(gradient.double().norm(dim=1).cpu().numpy())
        found["label"].append(batch.labels.cpu().numpy())
        found["batch"].append(np.full(len(batch.labels), number, dtype=np.int64))
    return {f"{PREFIX}{LOSS}/{name}": np.concatenate(parts) for name, parts in found.items()}


def _numbers(details: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in ("few", "medium", "many"):
        group = details.get("groups", {}).get(name)
        found |= {
            f"{name}_share": group.norm_share.estimate if group else math.nan,
            f"{name}_anchors": group.anchor_share if group else math.nan,
            f"{name}_zero": group.zero_fraction.estimate if group else math.nan,
            f"{name}_count": group.anchors if group else 0,
        }
    equal = details.get("equal_counts_own")
    ratios = {name: details.get(name) for name in ("amplification", "amplification_raw")}
    ratios["amplification_equal"] = None if equal is None else equal.ratio
    return found | {name: math.nan if ratio is None else ratio.estimate for name, ratio in ratios.items()}


def _loss_gradient(algorithm: Algorithm, batch: Batch, rng: np.random.Generator) -> Tensor | None:
    """``(B, K)`` by the logits of the batch's samples, summed over the times the loss looks at them; None if never."""
    model = algorithm.model
    calls: list[tuple[Tensor, Tensor]] = []
    with _head_alone(algorithm):
        with torch.no_grad():
            features = model.features(batch.inputs)
        hook = model.head.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0].detach(), output)))
        try:
            loss = algorithm.terms(batch, rng)["loss"]
        finally:
            hook.remove()
        own = [logits for read, logits in calls if read.shape == features.shape and torch.allclose(read, features)]
        if not own:
            return None
        gradients = torch.autograd.grad(loss, own, allow_unused=True)
    reached = [gradient for gradient in gradients if gradient is not None]
    return torch.stack(reached).sum(dim=0) if reached else None


@contextmanager
def _head_alone(algorithm: nn.Module) -> Iterator[None]:
    """A graph that begins at the classifier: what lies before it is only evaluated."""
    asked = {parameter: parameter.requires_grad for parameter in algorithm.parameters()}
    algorithm.requires_grad_(False)
    algorithm.model.head.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, wanted in asked.items():
            parameter.requires_grad_(wanted)
