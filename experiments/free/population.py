"""The program's losses as exact population losses of free per-sample vectors.

An anchor is a uniformly random sample. Its positive is an independent uniform sample of its class (itself included);
its k negatives are independent uniform samples of the other classes, or of all samples with collisions. The expectation
over all three is exact, so that the least loss is that of :class:`geometry.optimum.Program` for the class counts
wherever the theory holds: no sampling, and nothing but the vectors between the two.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geometry.errors import UsageError

NAMES = ("infonce", "lme", "exp", "hinge", "quadratic", "linear")


def population_loss(
    name: str,
    labels: NDArray[np.int64],
    *,
    tau: float,
    q: float | str = 1.0,
    negatives: float | None = None,
    collisions: bool = False,
    margin: float = 1.0,
) -> Callable[[Tensor], Tensor]:
    r"""``E psi(t_1..t_k)``, ``t_i = f(x).(f(x_i) - f(x+)) / tau``, as a function of the ``(N, D)`` vectors f.

    Args:
        name: ``infonce``, ``lme`` (with collisions: the population form of SupCon), ``exp``, ``hinge``, ``quadratic``
            or ``linear``.
        labels: ``(N,)`` classes.
        tau: temperature.
        q: weight Q > 0 of the negatives in infonce.
        negatives: k, 1 or None for the limit of many; of no matter to exp, hinge, quadratic and linear.
        collisions: negatives may be of the anchor's own class.
        margin: of the hinge, in units of t.

    Raises:
        UsageError: an unknown loss, a log loss with another number of negatives, or a tau, q or margin that is not a
            positive number.

    >>> x = torch.eye(2, dtype=torch.float64)
    >>> float(population_loss("linear", np.array([0, 1]), tau=1.0)(x))
    0.5
    """
    if name not in NAMES:
        raise UsageError(f"Unknown program loss {name!r}; known: {', '.join(NAMES)}.")
    if name in ("infonce", "lme") and negatives not in (1, None):
        raise UsageError(
            f"Free vectors under {name} take 1 negative or the limit of many (inf), got {negatives}; other numbers are "
            "solved by tailgeom optimum."
        )
    for word, number in (("tau", tau), ("q", q), ("margin", margin)):
        if isinstance(number, str) or not (np.isfinite(number) and number > 0):
            raise UsageError(f"Expected {word} to be a positive number, got {number!r}.")
    weight = float(q)
    members = [torch.from_numpy(np.flatnonzero(labels == y)) for y in np.unique(labels)]
    everyone = np.arange(len(labels))
    pools = [
        torch.from_numpy(everyone if collisions else everyone[labels != y]) for y in np.unique(labels)
    ]  # what each class draws its negatives from
    limit = name in ("infonce", "lme") and negatives is None

    def loss(vectors: Tensor) -> Tensor:
        similarity = vectors @ vectors.T / tau
        total = similarity.new_zeros(())
        for inside, pool in zip(members, pools, strict=True):
            positive, negative = similarity[inside][:, inside], similarity[inside][:, pool]
            if limit:
                mean = torch.logsumexp(negative, dim=1) - float(np.log(len(pool)))
                t = mean[:, None] - positive
            else:
                t = negative[:, None, :] - positive[:, :, None]
            psi = _psi(name, t, weight, margin)
            total = total + psi.mean() * (len(inside) / len(labels))
        return total

    return loss


def _psi(name: str, t: Tensor, q: float, margin: float) -> Tensor:
    if name == "infonce":
        return torch.nn.functional.softplus(t + float(np.log(q)), threshold=50.0)
    if name == "lme":
        return t
    if name == "exp":
        return t.exp()
    if name == "hinge":
        return (margin + t).clamp_min(0.0)
    if name == "quadratic":
        return (1.0 + t / 2.0).clamp_min(0.0) ** 2
    return 1.0 + t / 2.0
