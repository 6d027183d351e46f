"""Cosine similarity that is finite, with finite gradients, on every finite input."""

import torch
from torch import Tensor

EPS = 1e-8  # torch.cosine_similarity's floor on a norm


def cosine_matrix(rows: Tensor, columns: Tensor) -> Tensor:
    """All pairwise cosines ``s_ij = <x_i, y_j> / (|x_i| |y_j|)``.

    Norms below 1e-8 count as 1e-8, so a zero vector has cosine 0 with everything. Each vector is
    first divided by its largest entry where that exceeds 1, so that squaring cannot overflow.

    Args:
        rows: ``(A, D)``.
        columns: ``(B, D)``.

    Returns:
        ``(A, B)`` in [-1, 1] up to rounding.

    >>> cosine_matrix(torch.eye(2), torch.tensor([[3.0, 0.0]])).tolist()
    [[1.0], [0.0]]
    """
    return unit_vectors(rows) @ unit_vectors(columns).T


def unit_vectors(vectors: Tensor) -> Tensor:
    """Each row over its Euclidean norm, as :func:`cosine_matrix` takes it.

    Args:
        vectors: ``(..., D)``.

    Returns:
        ``(..., D)``; a row shorter than 1e-8 stays shorter than 1, a zero row zero.

    >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6..., 0.8...], [0.0, 0.0]]
    """
    if vectors.numel() == 0:
        return vectors
    scale = vectors.detach().abs().amax(dim=-1, keepdim=True).clamp_min(1.0)
    scaled = vectors / scale
    return scaled / torch.linalg.vector_norm(scaled, dim=-1, keepdim=True).clamp_min(EPS)
