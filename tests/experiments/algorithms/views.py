"""Batches with the views and the unlabelled samples that an algorithm asks for."""

from dataclasses import replace

import numpy as np
import torch

from experiments.algorithms import Algorithm, Batch
from experiments.algorithms.base import Unlabelled

UNLABELLED = 50  # of a training set


def with_views(algorithm: Algorithm, batch: Batch, rng: np.random.Generator, others: Batch | None = None) -> Batch:
    """The batch with everything that the algorithm wants, unchanged for one that wants nothing.

    A view is the inputs with noise, little of it in weak ones; unlabelled samples are those of ``others``, or the
    batch's own with their labels withheld.
    """

    def view(inputs: torch.Tensor, name: str) -> torch.Tensor:
        noise = torch.as_tensor(rng.normal(size=tuple(inputs.shape))).to(inputs)
        return inputs + (0.02 if name == "weak" else 0.2) * noise

    views = tuple(view(batch.inputs, name) for name in algorithm.views)
    if not algorithm.unlabelled_views:
        return replace(batch, views=views) if views else batch
    others = others or batch
    withheld = tuple(view(others.inputs, name) for name in algorithm.unlabelled_views)
    return replace(batch, views=views, unlabelled=Unlabelled(withheld, others.domains))


def turned(batch: Batch, rng: np.random.Generator) -> Batch:
    """The same samples in another order, labelled and unlabelled."""
    found = batch.at(torch.as_tensor(rng.permutation(len(batch.labels))))
    if batch.unlabelled is None:
        return found
    order = torch.as_tensor(rng.permutation(len(batch.unlabelled.domains)))
    views = tuple(view[order] for view in batch.unlabelled.views)
    return replace(found, unlabelled=Unlabelled(views, batch.unlabelled.domains[order]))
