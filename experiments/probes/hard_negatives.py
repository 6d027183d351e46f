"""Synthesised hard negatives beside random mixups, plain hard negatives and real samples of the same batches."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.algorithms import Batch
from experiments.losses.hard_negatives import Coefficient, MixPlan, plan_hard_negatives
from experiments.models import Classifier
from experiments.probes.anchor_gradients import held
from experiments.probes.context import Context, Recorded
from geometry.checks.hard_negative_records import KINDS

MOST_FEATURES = 600  # samples whose features are kept, for a picture


def hard_negatives(context: Context) -> Recorded:
    """:func:`record_hard_negatives` on a run's own first batches, mixed as the run mixes them."""
    own = context.algorithm.contrast
    return record_hard_negatives(
        context.algorithm.model,
        context.batches(),
        context.rngs(),
        rho=context.rho,
        mixing="batch" if own is None else own.mixing,
    )


def record_hard_negatives(
    model: Classifier,
    batches: Iterable[Batch],
    rngs: Iterable[np.random.Generator],
    *,
    rho: float,
    mixing: Coefficient = "batch",
) -> Recorded:
    """Logits of four kinds of samples, each with the class k whose boundary it is measured against.

    * ``synthesised``: NDCL's hard negatives, mixed for class k
      (:func:`experiments.losses.hard_negatives.plan_hard_negatives`);
    * ``random``: as many mixups for k with the very same coefficients, of a sample of k and a sample of another class
      drawn at random, so that the two differ in the choice of the pairs alone;
    * ``plain``: as many real samples of other classes (at most all), those with the highest p_k;
    * ``real``: the batch's own samples of class k.

    Args:
        model: the trained model, read in evaluation mode and left as found.
        batches: recorded training batches; those of one class are left out.
        rngs: one source of randomness a batch.
        rho: Beta(rho, rho) of the mixing coefficient.
        mixing: one coefficient a batch, or one a pair.

    Returns:
        ``hard_negative/kind`` ``(S,)`` codes into :data:`geometry.checks.hard_negative_records.KINDS`, ``.../logits``
        ``(S, K)``, ``.../label`` ``(S,)`` the class k, ``.../coefficient`` ``(S,)`` the share of the sample of k (0 for
        plain, 1 for real), ``.../batch`` ``(S,)``, and of at most 600 samples, equally many of each kind where there
        are, ``.../feature`` ``(F, D)`` with ``.../feature_index`` ``(F,)`` their places among the S.
    """
    found: dict[str, list[NDArray[np.generic]]] = {}
    features: list[torch.Tensor] = []
    with held(model), torch.no_grad():
        for number, (batch, rng) in enumerate(zip(batches, rngs, strict=True)):
            own = model.features(batch.inputs)
            probs = model.head(own).softmax(dim=1).float().cpu().numpy()
            labels = batch.labels.cpu().numpy()
            plan = plan_hard_negatives(probs, labels, rho=rho, rng=rng, coefficient=mixing)
            if plan is None:
                continue
            place, classes = plain_hard_negatives(probs, labels, plan.labels)
            mixed = [model.features(each.mix(batch.inputs)) for each in (plan, random_mixups(plan, labels, rng))]
            parts = [*mixed, own[torch.as_tensor(place, device=own.device)], own]
            sizes = [len(part) for part in parts]
            features.append(torch.cat(parts).float().cpu())
            row = {
                "kind": np.repeat(np.arange(len(KINDS)), sizes),
                "logits": torch.cat([model.head(part) for part in parts]).float().cpu().numpy(),
                "label": np.concatenate([plan.labels, plan.labels, classes, labels]),
                "coefficient": np.concatenate([plan.lam, plan.lam, np.zeros(len(place)), np.ones(len(labels))]),
                "batch": np.full(sum(sizes), number, dtype=np.int64),
            }
            for name, values in row.items():
                found.setdefault(f"hard_negative/{name}", []).append(values)
    if not found:
        return {}
    recorded = {name: np.concatenate(rows) for name, rows in found.items()}
    chosen = _for_picture(recorded["hard_negative/kind"])
    recorded["hard_negative/feature"] = torch.cat(features)[torch.as_tensor(chosen)].numpy()
    return recorded | {"hard_negative/feature_index": chosen}


def random_mixups(plan: MixPlan, labels: NDArray[np.int64], rng: np.random.Generator) -> MixPlan:
    """A plan with the classes and coefficients of another, its pairs drawn at random.

    Args:
        plan: whose classes and coefficients are kept; nothing is mixed among negatives.
        labels: ``(B,)`` classes of the batch.
        rng: source of randomness.
    """
    positive, negative = np.empty_like(plan.labels), np.empty_like(plan.labels)
    for k in np.unique(plan.labels):
        mine = plan.labels == k
        positive[mine] = rng.choice(np.flatnonzero(labels == k), int(mine.sum()))
        negative[mine] = rng.choice(np.flatnonzero(labels != k), int(mine.sum()))
    return MixPlan(positive, negative, negative, plan.lam, np.ones_like(plan.mu), plan.labels)


def plain_hard_negatives(
    probs: NDArray[np.floating], labels: NDArray[np.int64], made_for: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Batch positions of the real samples of other classes with the highest p_k, and the class k of each.

    Args:
        probs: ``(B, K)`` predictions.
        labels: ``(B,)`` classes.
        made_for: ``(M,)`` classes of the synthesised negatives: as many are taken for each, at most all there are.
    """
    places, classes = [], []
    for k, wanted in zip(*np.unique(made_for, return_counts=True), strict=True):
        outside = np.flatnonzero(labels != k)
        hardest = outside[np.argsort(-probs[outside, k], kind="stable")][:wanted]
        places.append(hardest)
        classes.append(np.full(len(hardest), k, dtype=np.int64))
    return np.concatenate(places), np.concatenate(classes)


def _for_picture(kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of at most 600 samples, each kind's evenly spaced over the batches."""
    each = MOST_FEATURES // len(KINDS)
    chosen = []
    for code in range(len(KINDS)):
        mine = np.flatnonzero(kind == code)
        chosen.append(mine[np.unique(np.linspace(0, len(mine) - 1, min(each, len(mine))).round().astype(np.int64))])
    return np.concatenate(chosen)
