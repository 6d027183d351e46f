"""FreeMatch's fairness term: how the model's believed predictions are spread over the classes."""

import torch
from torch import Tensor


def fairness_cross_entropy(logits: Tensor, kept: Tensor, mean: Tensor, histogram: Tensor) -> Tensor:
    r"""Cross-entropy between two sums-to-one ratios of soft to hard class shares, the smoothed one and this batch's.

    .. math:: H(a, b) = -\sum_{c : \bar h_c > 0} a_c \log b_c,\quad
        a = \mathrm{SumNorm}(p_t / h_t),\quad b = \mathrm{SumNorm}(\bar p / \bar h)

    with ``p_bar`` and ``h_bar`` the mean prediction and the histogram of predicted classes over the strong views of the
    believed samples, and ``p_t``, ``h_t`` those of weak views averaged over the steps; histograms and averages have no
    gradient, and a class whose histogram is 0 has ratio 0. FreeMatch's self-adaptive fairness (Wang et al., ICLR 2023,
    Section 3) is ``-H`` and is minimised, so that *descending it moves b away from a*; a reader asked its authors about
    the sign, who stood by it (microsoft/Semi-supervised-learning, issue 182). The release adds 1e-12 inside the
    logarithm: the classes that no believed sample is predicted as then add ``a_c log 1e-12``, a constant in the
    parameters, which is left off here.

    Args:
        logits: ``(U, K)`` of the strong views.
        kept: ``(U,)`` bool, the believed samples.
        mean: ``(K,)`` smoothed mean prediction ``p_t``.
        histogram: ``(K,)`` smoothed histogram ``h_t``.

    Returns:
        ``H(a, b) >= 0``, a scalar; 0, with a graph, where no sample is believed.

    >>> logits, even = torch.tensor([[0.0, -50.0], [-50.0, 0.0]]), torch.tensor([0.5, 0.5])
    >>> float(fairness_cross_entropy(logits, torch.tensor([True, True]), even, even))  # log(2): a = b
    0.6931...
    """
    if not kept.any():
        return (logits * 0).sum()
    predictions = logits[kept].softmax(dim=1)
    counts = torch.bincount(predictions.detach().argmax(dim=1), minlength=logits.shape[1]).to(predictions)
    batch = _sum_normalised(predictions.mean(dim=0), counts / counts.sum())
    smoothed = _sum_normalised(mean.to(batch), histogram.to(batch)).detach()
    return -(smoothed * batch.where(counts > 0, 1.0).log()).sum()


def _sum_normalised(soft: Tensor, hard: Tensor) -> Tensor:
    """``soft / hard`` over its sum; 0 where ``hard`` is."""
    ratio = torch.where(hard > 0, soft / hard.where(hard > 0, 1.0), 0.0)
    return ratio / ratio.sum()
