"""Correlation alignment of domains."""

import torch
from torch import Tensor


def coral(vectors: Tensor, domains: Tensor) -> Tensor:
    r"""Squared differences of the domains' means and covariances, averaged over pairs of domains.

    .. math:: \operatorname*{mean}_{d < e} \Bigl[ \frac1D \lVert \mu_d - \mu_e \rVert^2
        + \frac1{D^2} \lVert \Sigma_d - \Sigma_e \rVert_F^2 \Bigr]

    The covariance term is Sun and Saenko's (2016, Eq. 1, without its constant 1/4); the mean term and the
    averages are DomainBed's. ``<Sigma_d, Sigma_e>`` is read off the Gram matrix of the centred samples, which
    costs ``B^2 D`` and never forms a ``D x D`` matrix.

    Args:
        vectors: ``(B, D)`` features.
        domains: ``(B,)``; a domain with one sample has no covariance, so its pairs compare means alone.

    Returns:
        A scalar >= 0 up to rounding; 0 for one domain.

    >>> float(coral(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), torch.tensor([0, 0, 1, 1])))
    1.0
    """
    places, place, counts = torch.unique(domains, return_inverse=True, return_counts=True)
    if len(places) < 2:
        return (vectors * 0).sum()
    size = vectors.shape[1]
    member = (torch.arange(len(places), device=place.device)[:, None] == place[None, :]).to(vectors.dtype)
    means = (member / member.sum(dim=1, keepdim=True)) @ vectors
    centred = (vectors - means[place]) / (counts[place] - 1).clamp_min(1).to(vectors).sqrt()[:, None]
    inner = member @ (centred @ centred.T).square() @ member.T  # <Sigma_d, Sigma_e>
    covariance_gap = inner.diagonal()[:, None] + inner.diagonal()[None, :] - 2 * inner
    several = counts > 1
    covariance_gap = covariance_gap.masked_fill(~(several[:, None] & several[None, :]), 0.0)
    mean_gap = (means[:, None] - means[None, :]).square().sum(dim=2)
    pairs = len(places) * (len(places) - 1)
    return (mean_gap / size + covariance_gap / size**2).sum() / pairs
