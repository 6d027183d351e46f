"""Principal gradients of a trajectory through the domains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from experiments.algorithms.base import Batch, Descend
from experiments.algorithms.erm import ERM
from experiments.algorithms.parameter_vector import add, flatten, restore, snapshot, trained_parameters
from experiments.algorithms.search import Choice, Range
from geometry.errors import UsageError


@dataclass(frozen=True)
class PGradOptions:
    """The official release's hard-coded numbers; search ranges, ours, in brackets.

    Attributes:
        splits: how many parts each domain's batch is cut into, each one a step of the trajectory.
        components: principal directions that are combined, {2, 4, 6}.
        outer_lr: of the step along their combination, {0.05, 0.1, 0.5}.
    """

    splits: int = 3
    components: int = 4
    outer_lr: float = 0.1

    def __post_init__(self) -> None:
        if not (self.splits >= 1 and self.components >= 1 and self.outer_lr > 0):
            raise UsageError(
                "Expected splits >= 1, components >= 1 and outer_lr > 0, "
                f"got {self.splits}, {self.components} and {self.outer_lr}."
            )


class PGrad(ERM):
    """A step along the principal directions of a sampled trajectory (Wang et al. 2023).

    From ``theta`` the run's optimiser takes one step for every split of every domain, the domains in a new order for
    each split; the outer step is ``theta - outer_lr grad_p`` with :func:`principal_gradient` of the points passed.
    As in the release the optimiser's averages go on from one batch to the next. Ours: the run's weight decay acts in
    the inner steps (the release's in the outer one alone); splits and domains that a batch lacks are left out (the
    release counts on all of them, and an empty split makes its loss NaN). A trajectory holds ``splits * M + 1`` copies
    of what is trained. The loss that is reported is the mean of the inner ones.
    """

    Options = PGradOptions
    search: ClassVar[Mapping[str, Range]] = {"components": Choice((2, 4, 6)), "outer_lr": Choice((0.05, 0.1, 0.5))}

    def update(self, batch: Batch, rng: np.random.Generator, descend: Descend) -> dict[str, float]:
        """The trajectory and the outer step."""
        parameters = trained_parameters(self)
        start = snapshot(parameters)
        trajectory, losses = [flatten(parameters)], []
        for split in split_domains(batch, self.options.splits, rng):
            terms = self.terms(split, rng)
            terms["loss"].backward()
            losses.append(descend(terms)["loss"])
            trajectory.append(flatten(parameters))
        restore(parameters, start)
        add(parameters, principal_gradient(torch.stack(trajectory), self.options.components), -self.options.outer_lr)
        return {"loss": sum(losses) / len(losses)}


def split_domains(batch: Batch, splits: int, rng: np.random.Generator) -> list[Batch]:
    """The parts of the trajectory: for every split, each domain's share of its samples, the domains in a random order.

    A share is a stretch of the domain's samples in their order, as in the release, and so alike in classes where that
    order is random; in class-aware batches, where images of a class stand side by side, the splits hold other classes.
    """
    parts, found = batch.parts(), []
    for split in range(splits):
        for position in rng.permutation(len(parts)):
            part = parts[position]
            size = len(part.labels)
            first, last = split * size // splits, (split + 1) * size // splits
            if last > first:
                found.append(part.at(torch.arange(first, last, device=part.labels.device)))
    return found


def principal_gradient(trajectory: Tensor, components: int) -> Tensor:
    r"""The directions of largest variance of a trajectory, calibrated and summed.

    .. math:: \nabla_p = \lVert \Delta \rVert \sum_{i \le k} \frac{\lambda_i}{\lVert \lambda_{1..k} \rVert_2}
        \operatorname{sign}(\langle \Delta, v_i \rangle) v_i,\quad \Delta = \theta_0 - \theta_T

    Lengths are those of the whole way ``Delta`` and signs are such that descending along each direction goes its way
    (length and direction calibration). Eigenvectors ``v`` come from the small Gram matrix of the centred points.

    Args:
        trajectory: ``(T + 1, P)`` points, the start first.
        components: k; directions of no variance count for nothing.

    Returns:
        ``(P,)``; of norm ``||Delta||``, or 0 where the trajectory stays where it is.

    >>> principal_gradient(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), components=4).tolist()
    [-2.0, 0.0]
    """
    centred = trajectory - trajectory.mean(dim=0)
    gram = (centred @ centred.T).double()
    values, vectors = (found.flip(-1)[..., :components] for found in torch.linalg.eigh(gram))
    real = values > len(gram) * torch.finfo(trajectory.dtype).eps * values[0]  # rounding alone has no direction
    values, vectors = values[real], vectors[:, real]
    signs = torch.where((gram[0] - gram[-1]) @ vectors > 0, 1.0, -1.0).to(values)
    shares = signs * values / torch.linalg.vector_norm(values) / values.sqrt()  # v_i = centred^T u_i / sqrt(lambda_i)
    length = torch.linalg.vector_norm(trajectory[0] - trajectory[-1])
    return length * (centred.T @ (vectors @ shares).to(centred))
