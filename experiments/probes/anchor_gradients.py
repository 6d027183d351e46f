"""How hard a contrastive loss pulls at each sample of recorded batches."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.algorithms import Batch
from experiments.algorithms.ndcl import mixed_contrast
from experiments.models import Classifier

Recorded = dict[str, NDArray[np.generic]]


def record_anchor_gradients(
    model: Classifier, batches: Iterable[Batch], rngs: Iterable[np.random.Generator], *, rho: float
) -> Recorded:
    r"""Norms of ``dL_con / dz_i``, the contrast's gradient with respect to each sample's logits.

    The loss is NDCL's contrast in its released form on the model as it stands, whichever algorithm trained
    it, with negatives mixed afresh for each batch.

    Args:
        model: the trained model, read in evaluation mode and left as found.
        batches: recorded training batches.
        rngs: one source of randomness a batch.
        rho: Beta(rho, rho) of the mixing coefficient: the run's own, or the released one where it has none.

    Returns:
        Arrays for the artifact's probes, ``(A,)`` each over all samples of all batches:
        ``anchor_gradient/ndcl/norm``, ``.../label``, ``.../batch``, and ``.../weight``, the share
        ``1 / (classes in the batch * n_k)`` that the loss's own class average gives the anchor.
    """
    was_training = model.training
    model.eval()
    predict = torch.no_grad()(model)  # only the derivative by the anchors' logits is wanted: keep no other graph
    norms, labels, numbers, weights = [], [], [], []
    for number, (batch, rng) in enumerate(zip(batches, rngs, strict=True)):
        logits = predict(batch.inputs).requires_grad_(True)
        contrast = mixed_contrast(predict, batch, logits.softmax(dim=1), rho=rho, rng=rng)
        (gradient,) = torch.autograd.grad(contrast, logits)
        norms.append(gradient.double().norm(dim=1).cpu().numpy())
        here = batch.labels.cpu().numpy()
        _, position, counts = np.unique(here, return_inverse=True, return_counts=True)
        labels.append(here)
        weights.append(1.0 / (counts.size * counts[position]))
        numbers.append(np.full(len(batch.labels), number, dtype=np.int64))
    model.train(was_training)
    name = "anchor_gradient/ndcl"
    return {
        f"{name}/norm": np.concatenate(norms),
        f"{name}/label": np.concatenate(labels),
        f"{name}/batch": np.concatenate(numbers),
        f"{name}/weight": np.concatenate(weights),
    }
