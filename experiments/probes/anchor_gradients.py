"""How hard contrastive losses pull at each sample of recorded batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.algorithms import Batch
from experiments.algorithms.contrast import Contrast
from experiments.algorithms.spaces import Outputs
from experiments.data.randomness import named_generator
from experiments.models import Classifier
from experiments.probes.context import Context, Recorded
from experiments.probes.contrast_forms import WithMemory, Witness, pair_sums, repaired_forms, standard_forms

EACH = 4  # samples of every class in a balanced batch
BALANCED_SIZE = 96  # and in all, at most
Forms = Callable[[float], dict[str, Contrast]]


def anchor_gradients(context: Context) -> Recorded:
    """The standard forms on a run's own first batches and on balanced ones (:func:`record_anchor_gradients`)."""
    return _record(context, standard_forms)


def anchor_gradients_all(context: Context) -> Recorded:
    """Every form, the repaired ones included, on the same batches."""
    return _record(context, lambda rho: standard_forms(rho) | repaired_forms(rho))


def _record(context: Context, forms: Forms) -> Recorded:
    recorded: Recorded = {}
    sources = {"anchor_gradient": context.batches(), "anchor_gradient_balanced": balanced_batches(context)}
    for prefix, batches in sources.items():
        recorded |= record_anchor_gradients(
            context.algorithm.model,
            batches,
            context.rngs(),
            rho=context.rho,
            own=context.algorithm.contrast,
            forms=forms(context.rho),
            prefix=prefix,
        )
    return recorded


def balanced_batches(context: Context) -> Iterator[Batch]:
    """As many batches as :meth:`Context.batches` gives, with equally many training samples of every class.

    Four of each class, drawn anew for every batch without replacement from all sources together; a class with fewer
    gives all it has. With more than 24 classes each batch takes 24 of them at random. In these batches a gradient that
    differs between classes does not differ because of their counts.
    """
    task = context.task
    place = {m: position for position, m in enumerate(task.sources)}
    train = task.indices("train")
    pools = [train[task.labels[train] == k] for k in np.unique(task.labels[train])]
    for step in range(context.steps):
        rng = named_generator(context.config.data.seed, f"balanced probe batch {step}")
        drawn = sorted(rng.permutation(len(pools))[: BALANCED_SIZE // EACH])
        index = np.concatenate([rng.permutation(pools[c])[:EACH] for c in drawn])
        yield Batch(
            task.inputs.batch(index, context.device),
            torch.as_tensor(task.labels[index]).to(context.device),
            torch.as_tensor([place[int(m)] for m in task.domain[index]]).to(context.device),
        )


def record_anchor_gradients(
    model: Classifier,
    batches: Iterable[Batch],
    rngs: Iterable[np.random.Generator],
    *,
    rho: float,
    own: Contrast | None = None,
    forms: Mapping[str, Contrast] | None = None,
    prefix: str = "anchor_gradient",
) -> Recorded:
    r"""Norms of each contrast's gradient at every sample, beside what its closed form is made of.

    The forms are taken on the model as it stands, whichever algorithm trained it, on the same batches with the same
    mixing. A sample's gradient has all its roles in the batch's loss: anchor, positive, and real negative of others.

    Args:
        model: the trained model, read in evaluation mode and left as found.
        batches: recorded training batches.
        rngs: one source of randomness a batch.
        rho: Beta(rho, rho) of the mixing coefficient: the run's own, or the released one where it has none.
        own: the contrast the run was trained with, where it had one.
        forms: by name; those of :func:`standard_forms` by default.
        prefix: of the arrays' names.

    Returns:
        Arrays for the artifact's probes, ``(A,)`` each over all samples of all batches, for every form and ``own``:

        * ``<prefix>/<form>/norm``: ``|dL/dz_i|`` by the logits, or by the features where the form compares features or
          their projections;
        * ``.../prediction_norm`` and ``.../feature_norm``: the same by softmax outputs and by features, NaN for outputs
          that the loss does not depend on;
        * ``.../label``, ``.../batch``, and ``.../weight``, the share that the loss's own average gives the anchor;
        * ``.../positives``, ``negatives``, ``positive_count``, ``negative_count`` and ``repulsion``, as
          :func:`experiments.probes.contrast_forms.pair_sums` has them.
    """
    every = {**(standard_forms(rho) if forms is None else forms), **({} if own is None else {"own": own})}
    found: dict[str, list[NDArray[np.generic]]] = {}
    with held(model):
        for number, (batch, rng) in enumerate(zip(batches, rngs, strict=True)):
            labels, known = batch.labels.cpu().numpy(), Remembered(model)
            for name, form in every.items():
                witness = Witness(form.loss)
                row = {
                    **_gradient_norms(known, batch, replace(form, loss=witness), deepcopy(rng)),
                    "label": labels,
                    "batch": np.full(len(labels), number, dtype=np.int64),
                    "weight": anchor_weights(_averaged(labels, form), form)[: len(labels)],
                    **pair_sums(witness, batch.labels),
                }
                for part, values in row.items():
                    found.setdefault(f"{prefix}/{name}/{part}", []).append(values)
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


def _averaged(labels: NDArray[np.int64], form: Contrast) -> NDArray[np.int64]:
    """The labels of all anchors in the form's average: the batch's, and those of prototypes that join it."""
    return np.concatenate([labels, np.unique(labels)]) if isinstance(form.loss, WithMemory) else labels


def _gradient_norms(
    model: "Remembered", batch: Batch, form: Contrast, rng: np.random.Generator
) -> dict[str, NDArray[np.generic]]:
    features = model.features(batch.inputs).detach().clone()
    outputs = Outputs(model, features.requires_grad_(True))
    leaves = {"prediction_norm": outputs.predictions, "norm": outputs.logits, "feature_norm": outputs.features}
    slopes = torch.autograd.grad(form(batch, outputs, rng), list(leaves.values()), allow_unused=True)
    found = {
        name: np.full(len(features), np.nan) if slope is None else _norms(slope)
        for name, slope in zip(leaves, slopes, strict=True)
    }
    if form.space != "predictions":
        found["norm"] = found["feature_norm"]
    return {name: values if name == "norm" else values.astype(np.float32) for name, values in found.items()}


def _norms(slope: Tensor) -> NDArray[np.float64]:
    return slope.double().norm(dim=1).cpu().numpy()


class Remembered:
    """A model that passes the same inputs through its backbone only once: forms on one batch mix the same samples."""

    def __init__(self, model: Classifier) -> None:
        self._model = model
        self._seen: list[tuple[Tensor, Tensor]] = []

    def features(self, inputs: Tensor) -> Tensor:
        """``(N, D)``."""
        for known, found in self._seen:
            if known.shape == inputs.shape and torch.equal(known, inputs):
                return found
        self._seen.append((inputs, self._model.features(inputs)))
        return self._seen[-1][1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@contextmanager
def held(model: Classifier, wanted: Iterable[torch.nn.Parameter] = ()) -> Iterator[None]:
    """Evaluation mode, and gradients by the wanted parameters alone: no other graph is built."""
    was_training = model.training
    asked: Mapping[torch.nn.Parameter, bool] = {each: each.requires_grad for each in model.parameters()}
    model.eval().requires_grad_(False)
    for parameter in wanted:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        model.train(was_training)
        for parameter, before in asked.items():
            parameter.requires_grad_(before)
