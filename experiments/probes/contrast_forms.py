"""The contrastive terms that a probe sets side by side, and the pair sums behind each anchor's pull."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.algorithms.contrast import Contrast
from experiments.losses.info_nce import info_nce
from experiments.losses.ndcl import negative_dominant_contrast
from experiments.losses.pairs import Pairs, contrast_pairs, masked_mean
from experiments.losses.prototypes import cell_means, moving_prototypes
from experiments.losses.supcon import supcon

Loss = Callable[..., Tensor]
PAIR_PARTS = ("positives", "negatives", "positive_count", "negative_count", "repulsion")


def standard_forms(rho: float) -> dict[str, Contrast]:
    """NDCL's released contrast, and InfoNCE and SupCon set like it.

    All three compare predictions at temperature 1 with the same mixed negatives and average over classes, so that
    they differ in the place of the negatives alone.

    Args:
        rho: Beta(rho, rho) of the mixing coefficient.
    """
    return {
        "ndcl": _ndcl(rho),
        "infonce": Contrast(partial(info_nce, tau=1.0, anchor_reduction="class"), rho=rho),
        "supcon": Contrast(partial(supcon, tau=1.0, anchor_reduction="class"), rho=rho),
    }


def repaired_forms(rho: float) -> dict[str, Contrast]:
    """Variants of NDCL's contrast that change one thing each (two in ``ndcl_raw_mean``); all ours.

    ``ndcl_mean``: P and N are means over pairs. ``ndcl_raw``: 1 - cosine without its exponential. ``ndcl_raw_mean``:
    both. ``ndcl_real``: the batch's samples of other classes in place of the mixed negatives. ``ndcl_both``: beside
    them. ``ndcl_memory``: a moving prototype of each class joins the batch (:class:`WithMemory`). ``ndcl_tau_0.1``:
    temperature 0.1.

    Args:
        rho: Beta(rho, rho) of the mixing coefficient.
    """
    return {
        "ndcl_mean": _ndcl(rho, aggregate="mean"),
        "ndcl_raw": _ndcl(rho, dissimilarity="raw"),
        "ndcl_raw_mean": _ndcl(rho, dissimilarity="raw", aggregate="mean"),
        "ndcl_real": Contrast(negative_dominant_contrast, negatives="real", rho=rho, singles_count=True),
        "ndcl_both": Contrast(negative_dominant_contrast, negatives="both", rho=rho, singles_count=True),
        "ndcl_memory": Contrast(WithMemory(negative_dominant_contrast), rho=rho, singles_count=True),
        "ndcl_tau_0.1": _ndcl(rho, tau=0.1),
    }


def _ndcl(rho: float, **options: Any) -> Contrast:
    return Contrast(partial(negative_dominant_contrast, **options), rho=rho, singles_count=True)


class WithMemory:
    """A loss on the batch and, of each of its classes, one moving prototype as one more sample (ours).

    A class with one sample in the batch then has a positive. Prototypes are constants, moved towards the batch's class
    means before they are used; the memory starts empty and follows the batches in the order they come.

    Args:
        loss: of vectors and labels.
        momentum: share of the past.
    """

    def __init__(self, loss: Loss, momentum: float = 0.9) -> None:
        self.loss, self.momentum = loss, momentum
        self._memory: Tensor | None = None

    def __call__(self, vectors: Tensor, labels: Tensor, **negatives: Any) -> Tensor:
        """The loss; the memory takes the batch in first."""
        seen = cell_means(vectors.detach(), labels, torch.zeros_like(labels))
        memory = vectors.new_full((1, 0, vectors.shape[1]), torch.nan) if self._memory is None else self._memory
        missing = int(labels.max()) + 1 - memory.shape[1]
        if missing > 0:
            memory = torch.cat([memory, memory.new_full((1, missing, vectors.shape[1]), torch.nan)], dim=1)
        self._memory = moving_prototypes(memory, seen, momentum=self.momentum)
        return self.loss(*self.joined(vectors, labels), **negatives)

    def joined(self, vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors and labels of the last batch with its classes' prototypes behind them."""
        if self._memory is None:
            return vectors, labels
        classes = torch.unique(labels)
        return torch.cat([vectors, self._memory[0, classes]]), torch.cat([labels, classes])


class Witness:
    """A loss that remembers what it was last given: ``vectors``, ``labels`` and the negatives by name."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.vectors: Tensor | None = None
        self.labels: Tensor | None = None
        self.given: dict[str, Any] = {}

    def __call__(self, vectors: Tensor, labels: Tensor, **given: Any) -> Tensor:
        """The loss."""
        self.vectors, self.labels, self.given = vectors, labels, given
        return self.loss(vectors, labels, **given)


@torch.no_grad()
def pair_sums(witness: Witness, labels: Tensor) -> dict[str, NDArray[np.floating]]:
    r"""What an anchor's own term :math:`\ell_i` is made of, and how strongly it pushes its negatives away.

    ``positives`` and ``negatives`` are :math:`P_i, N_i`, sums (means where the form takes means) of the form's own
    kernel: :math:`e^{(1-s)/\tau}` or :math:`1-s` for NDCL, :math:`e^{s/\tau}` for InfoNCE and SupCon. ``repulsion`` is
    :math:`\sum_n |\partial \ell_i / \partial s_{in}|` over the cosines with negatives in closed form:

    * NDCL with exponentials: :math:`\frac1\tau \frac{P}{P+N}`, the same with means;
    * NDCL raw: :math:`\frac{m P}{N (P+N)}` with m negatives, m = 1 with means (per pair, negative over positive is
      the factor A = P/N);
    * InfoNCE: :math:`\frac1\tau` times the mean over positives of :math:`N / (N + e^{s_p/\tau})`;
    * SupCon, either form: :math:`\frac1\tau \frac{N}{P+N}`.

    Derived here from the formulas of :mod:`experiments.losses`; ours.

    Args:
        witness: after it was called on a batch.
        labels: ``(B,)`` of the batch.

    Returns:
        Five arrays ``(B,)`` by the names :data:`PAIR_PARTS`. Sums and repulsion are NaN for a loss that is none of
        these; without any negative N and repulsion are 0.
    """
    size = len(labels)
    if witness.vectors is None or witness.labels is None:  # one class in the batch, nothing to mix
        same = (labels[:, None] == labels[None, :]).sum(dim=1) - 1
        found = {name: torch.full((size,), torch.nan) for name in PAIR_PARTS}
        found |= {"positive_count": same, "negative_count": torch.zeros(size), "repulsion": torch.zeros(size)}
        return _arrays(found, size)
    vectors, labels, loss = witness.vectors, witness.labels, witness.loss
    if isinstance(loss, WithMemory):
        vectors, labels = loss.joined(vectors, labels)
        loss = loss.loss
    given = {name: v.double() if name == "negatives" and v is not None else v for name, v in witness.given.items()}
    pairs = contrast_pairs(vectors.double(), labels, **given)
    rule, options = getattr(loss, "func", loss), dict(getattr(loss, "keywords", {}))
    found = {"positive_count": pairs.positive.sum(dim=1), "negative_count": pairs.negative.sum(dim=1)}
    if rule is negative_dominant_contrast:
        found |= _dissimilar(pairs, **options)
    elif rule in (info_nce, supcon):
        found |= _similar(pairs, rule, options.get("tau", signature(rule).parameters["tau"].default))
    else:
        found |= {name: torch.full((len(labels),), torch.nan) for name in ("positives", "negatives", "repulsion")}
    return _arrays(found, size)


def _dissimilar(
    pairs: Pairs, *, dissimilarity: str = "exp", aggregate: str = "sum", tau: float = 1.0, **other: Any
) -> dict[str, Tensor]:
    def total(cosine: Tensor, mask: Tensor) -> Tensor:
        far = ((1 - cosine) / tau).exp() if dissimilarity == "exp" else (1 - cosine).clamp_min(0.0)
        return masked_mean(far, mask) if aggregate == "mean" else (far * mask).sum(dim=1)

    p, n = total(pairs.positive_cosine, pairs.positive), total(pairs.negative_cosine, pairs.negative)
    some = pairs.negative.any(dim=1) & (p > 0)
    if dissimilarity == "exp":
        repulsion = p / (p + n) / tau
    else:
        n = torch.where(pairs.negative.any(dim=1), n.clamp_min(torch.finfo(torch.float32).eps), n)
        m = pairs.negative.sum(dim=1) if aggregate == "sum" else 1.0
        repulsion = m * p / (n * (p + n))
    return {"positives": p, "negatives": n, "repulsion": torch.where(some, repulsion, 0.0)}


def _similar(pairs: Pairs, rule: Loss, tau: float) -> dict[str, Tensor]:
    near = (pairs.positive_cosine / tau).exp()
    p, n = (near * pairs.positive).sum(dim=1), ((pairs.negative_cosine / tau).exp() * pairs.negative).sum(dim=1)
    some = pairs.negative.any(dim=1) & pairs.positive.any(dim=1)
    if rule is info_nce:
        repulsion = masked_mean(n[:, None] / (n[:, None] + near), pairs.positive) / tau
    else:
        repulsion = n / (p + n) / tau
    return {"positives": p, "negatives": n, "repulsion": torch.where(some, repulsion, 0.0)}


def _arrays(found: dict[str, Tensor], size: int) -> dict[str, NDArray[np.floating]]:
    # A sum of exponentials at a low temperature leaves the range of float32.
    kinds = {"positives": np.float64, "negatives": np.float64}
    return {name: found[name][:size].cpu().numpy().astype(kinds.get(name, np.float32)) for name in PAIR_PARTS}
