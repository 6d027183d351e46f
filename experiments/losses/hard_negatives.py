"""Which samples NDCL mixes into hard negatives, and how (the paper's Eq. 2 and Appendix C, released form).

A plan is made from predictions alone (no tensors of images), so that one vectorised mix makes all negatives,
and the same plan mixes images or features.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.losses.pairs import check_option

Coefficient = Literal["batch", "pair"]


@dataclass(frozen=True)
class MixPlan:
    """M synthetic negatives ``lam * x[positive] + (1 - lam) * (mu * x[negative] + (1 - mu) * x[other])``.

    Attributes:
        positive: ``(M,)`` batch positions of the positives.
        negative: ``(M,)`` batch positions of the first negatives.
        other: ``(M,)`` batch positions of the second negatives (equal to the first where mu is 1).
        lam: ``(M,)`` share of the positive.
        mu: ``(M,)`` share of the first negative inside the negative part.
        labels: ``(M,)`` the class each negative is made for.
    """

    positive: NDArray[np.int64]
    negative: NDArray[np.int64]
    other: NDArray[np.int64]
    lam: NDArray[np.float64]
    mu: NDArray[np.float64]
    labels: NDArray[np.int64]

    def mix(self, inputs: Tensor) -> Tensor:
        """The synthetic negatives ``(M, ...)`` of a batch of inputs ``(B, ...)``."""
        device, shape = inputs.device, (-1,) + (1,) * (inputs.ndim - 1)

        def share(values: NDArray[np.float64]) -> Tensor:
            return torch.as_tensor(values, dtype=inputs.dtype, device=device).reshape(shape)

        def rows(positions: NDArray[np.int64]) -> Tensor:
            return inputs.index_select(0, torch.as_tensor(positions, device=device))

        lam, negatives = share(self.lam), rows(self.negative)
        twofold = np.flatnonzero(self.mu != 1)  # elsewhere the negative part is the first negative alone
        if twofold.size:
            mu = share(self.mu[twofold])
            both = mu * rows(self.negative[twofold]) + (1 - mu) * rows(self.other[twofold])
            negatives[torch.as_tensor(twofold, device=device)] = both
        # In place: for images these tensors are what a step moves most.
        return rows(self.positive).mul_(lam).add_(negatives.mul_(1 - lam))


def allocate(class_counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """How many negatives each class of the batch gets: shares ``exp(n_k / n)``, at least one each.

    The released rule (its mode ``rev``), which gives frequent classes more. Its cumulative ceilings could
    exceed the total through rounding and leave a class with none, which made the loss infinite; here
    rounding noise is taken off before the ceiling and every class gets at least one (ours).

    Args:
        class_counts: ``(C,)`` samples of each class in the batch, all positive.
        total: negatives wanted, the released value being the batch size.

    >>> allocate(np.array([6, 1, 1]), 8)
    array([4, 2, 2])
    """
    shares = np.exp(class_counts / class_counts.sum())
    edges = np.ceil(np.cumsum(shares / shares.sum()) * total - 1e-9).astype(np.int64)
    return np.maximum(np.diff(edges, prepend=0), 1)


def plan_hard_negatives(
    probs: NDArray[np.floating],
    labels: NDArray[np.int64],
    *,
    rho: float,
    rng: np.random.Generator,
    coefficient: Coefficient = "batch",
) -> MixPlan | None:
    """Pair low-confidence positives of each class with the others most confidently mistaken for it.

    For class k, positives are ordered by their confidence p_k upwards and the rest of the batch by p_k
    downwards; a first fraction of the positives meets the first negatives in a full cross product, cut to the
    class's allocation. One mixing coefficient lam ~ Beta(rho, rho) serves the whole batch, except that a class
    with one sample redraws it every round. ``coefficient="pair"`` draws one for every negative instead (ours);
    the pairs are chosen alike.

    Args:
        probs: ``(B, K)`` predictions.
        labels: ``(B,)`` classes.
        rho: Beta parameter, 0.1 to 0.3, released default 0.2.
        rng: source of randomness.
        coefficient: one for the ``batch`` (released) or one for each ``pair``.

    Returns:
        The plan, or None when the batch holds fewer than two classes.

    Raises:
        UsageError: an unknown coefficient.
    """
    check_option("coefficient", coefficient, get_args(Coefficient))
    counts = np.bincount(labels)
    classes = np.flatnonzero(counts)
    if classes.size < 2:
        return None
    counts = counts[classes]
    needs = allocate(counts, len(labels))
    confidence, outside = probs.T[classes], labels != classes[:, None]  # (C, B)
    # A row of each: the class's own samples by rising confidence, the others by falling confidence.
    own, others = np.lexsort((confidence, outside)), np.lexsort((-confidence, ~outside))
    confident, plausible = (((confidence >= odds / probs.shape[1]) & outside).sum(axis=1).tolist() for odds in (2, 1))
    lam = float(rng.beta(rho, rho))
    parts = [
        _plan_class(own[c, :n], others[c, : len(labels) - n], need, confident[c], plausible[c], lam, rho, rng)
        for c, (n, need) in enumerate(zip(counts.tolist(), needs.tolist(), strict=True))
    ]
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    plan = MixPlan(*columns, labels=np.repeat(classes, needs))
    if coefficient == "batch":
        return plan
    # mu stays 1 where a negative is not mixed with another one.
    lam, mu = rng.beta(rho, rho, (2, len(plan.lam)))
    return replace(plan, lam=lam, mu=np.where(plan.mu < 1, mu, 1.0))


def _plan_class(
    positives: NDArray[np.int64],
    negatives: NDArray[np.int64],
    need: int,
    confident: int,
    plausible: int,
    lam: float,
    rho: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64] | NDArray[np.float64], ...]:
    """Positive, negative, other, lam and mu of one class's mixes: cross products, as many rounds as are needed."""
    single = positives.size == 1
    if single:
        size, used, diverse = 1, _negatives_for_single(need, negatives.size, confident, plausible), False
    else:
        size, used, diverse = _sizes_for_several(need, positives.size, negatives.size, confident, plausible)
    place, negatives, pairs = np.arange(need), negatives[:used], size * used
    positive, negative = positives[place // used % size], negatives[place % used]
    other, shares, mu = negative.copy(), np.full(need, lam), np.ones(need)
    for start in range(pairs, need, pairs):  # rounds after the first
        turn = slice(start, start + pairs)
        if single:
            shares[turn] = rng.beta(rho, rho)
        if diverse:
            mu[turn] = rng.beta(rho, rho)
            negative[turn] = rng.permutation(negatives)[place[turn] % used]
            other[turn] = rng.permutation(negatives)[place[turn] % used]
    return positive, negative, other, shares, mu


def _negatives_for_single(need: int, available: int, confident: int, plausible: int) -> int:
    """How many negatives a class with one sample uses: enough for a third of its allocation a round."""
    half, least = available // 2, ceil(need / 3)
    if least <= confident:
        return min(confident, half) if least <= half else confident
    if least <= half:
        return half
    return plausible if least <= plausible else available


def _sizes_for_several(
    need: int, samples: int, available: int, confident: int, plausible: int
) -> tuple[int, int, bool]:
    """Positives used, negatives used, and whether later rounds mix negatives with each other."""
    size, used, diverse = 0, 0, False
    for fraction in (0.25, 0.5, 0.75):
        size, diverse = ceil(samples * fraction), False
        if size == 1:
            continue
        if need <= size * confident:
            used = confident
        elif need <= size * plausible:
            used = plausible
        else:
            diverse = True
            each = ceil(need / size)
            if confident and each / confident >= 0.25:
                used = confident
            elif plausible and each / plausible >= 0.25:
                used = plausible
        if used:
            break
    return size, used or min(available, ceil(need / size)), diverse
