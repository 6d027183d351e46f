"""FreeMatch's self-adaptive threshold, and the moving averages it is made from."""

import torch
from torch import Tensor, nn

from experiments.losses.moving_average import moving_average


class PredictionAverages(nn.Module):
    r"""What a model's predictions on weak views have been of late: three exponential moving averages.

    .. math:: \tau_t = \lambda \tau_{t-1} + (1 - \lambda) \tfrac1U \sum_u \max_k q_{uk},\quad
        p_t = \lambda p_{t-1} + (1 - \lambda) \tfrac1U \sum_u q_u,\quad
        h_t = \lambda h_{t-1} + (1 - \lambda) \tfrac1U \sum_u e_{\arg\max_k q_{uk}}

    All start at ``1 / K`` (Wang et al., FreeMatch, ICLR 2023, Section 3; the authors' release starts ``h`` there too).
    They are buffers: saved and resumed with the model.

    Args:
        num_classes: K.
        momentum: lambda in [0, 1].
    """

    def __init__(self, num_classes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("confidence", torch.tensor(1.0 / num_classes))
        self.register_buffer("mean", torch.full((num_classes,), 1.0 / num_classes))
        self.register_buffer("histogram", torch.full((num_classes,), 1.0 / num_classes))

    @torch.no_grad()
    def follow(self, probabilities: Tensor) -> None:
        """Take ``(U, K)`` predictions in; none at all change nothing."""
        if not len(probabilities):
            return
        confidence, classes = probabilities.max(dim=1)
        share = torch.bincount(classes, minlength=len(self.histogram)).to(probabilities) / len(classes)
        for memory, now in (
            (self.confidence, confidence.mean()),
            (self.mean, probabilities.mean(dim=0)),
            (self.histogram, share),
        ):
            memory.copy_(moving_average(memory, now.to(memory), momentum=self.momentum))

    def thresholds(self) -> Tensor:
        """``(K,)`` thresholds, see :func:`adaptive_thresholds`."""
        return adaptive_thresholds(self.confidence, self.mean)


def adaptive_thresholds(confidence: Tensor, mean: Tensor) -> Tensor:
    r"""One threshold a class: the mean confidence, lowered where a class is predicted less than the most predicted one.

    .. math:: \tau_t(c) = \frac{p_t(c)}{\max_k p_t(k)} \, \tau_t

    the self-adaptive threshold of FreeMatch (Wang et al., ICLR 2023, Section 3), whose fraction they call MaxNorm.

    Args:
        confidence: ``tau_t``, a scalar in [0, 1].
        mean: ``(K,)`` mean prediction ``p_t``, not all 0.

    >>> adaptive_thresholds(torch.tensor(0.8), torch.tensor([0.5, 0.25, 0.25])).tolist()
    [0.8..., 0.4..., 0.4...]
    """
    return mean / mean.max() * confidence
