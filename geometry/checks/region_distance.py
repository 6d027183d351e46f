"""Exact distance to the boundary of one class's region of a linear head."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.margin import geometric_margin

Array = NDArray[np.float64]


def region_distance(scores: ArrayLike, labels: ArrayLike, head_weight: ArrayLike) -> Array:
    r"""Signed Euclidean distance in feature space to the boundary of class k's region, positive inside, ``(N,)``.

    The region is the polyhedron :math:`\{h: (w_k - w_j)^\top h + b_k - b_j \ge 0\ \forall j\}`. Inside, the distance is
    that to the nearest half-space's edge. Outside, it is the length of the shortest step into the region,
    :math:`\min |u|` subject to :math:`(w_k - w_j)^\top u \ge z_j - z_k`: the step onto the farthest violated
    half-space where that ends inside all others, else a least-distance program, solved as a non-negative least-squares
    problem (Lawson and Hanson 1974, chapter 23). ``-inf`` where the region is empty.

    Args:
        scores: ``(N, K)`` logits of the linear head, K >= 2.
        labels: ``(N,)`` the class k of each sample.
        head_weight: ``(K, D)``.

    >>> weight = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]
    >>> region_distance([[0.0, 2.0, 1.0]], [0], weight).round(4).tolist()
    [-1.4142]
    """
    values, weight = np.asarray(scores, dtype=np.float64), np.asarray(head_weight, dtype=np.float64)
    codes = np.asarray(labels, dtype=np.int64)
    distance = geometric_margin(values, codes, weight)
    for k in np.unique(codes[(distance < 0) & np.isfinite(distance)]):
        outside = np.flatnonzero((codes == k) & (distance < 0) & np.isfinite(distance))
        rivals = np.arange(len(weight)) != k
        normals = weight[k] - weight[rivals]
        gaps = values[outside][:, rivals]
        distance[outside] = -_steps_in(values[outside, k][:, None] - gaps, normals)
    return distance


def _steps_in(gaps: Array, normals: Array) -> Array:
    """``(n,)`` lengths of the shortest u with ``normals @ u >= -gaps``, some gap of each row negative."""
    lengths = np.sqrt(np.einsum("kd,kd->k", normals, normals))
    apart = lengths > 0
    gaps, normals, lengths = gaps[:, apart], normals[apart], lengths[apart]
    need = -gaps / lengths
    farthest = need.argmax(axis=1)
    every = np.arange(len(gaps))
    steps = need[every, farthest]
    units = normals / lengths[:, None]
    left = need - steps[:, None] * (units @ units.T)[farthest]  # what is still missing after that step
    scale = np.abs(need).max(axis=1)
    unfinished = np.flatnonzero(left.max(axis=1) > 1e-9 * np.maximum(scale, 1e-300))
    # In an orthonormal basis of the normals' span the program has at most K - 1 unknowns.
    factor = np.asarray(np.linalg.qr(units.T, mode="r")).T if unfinished.size else units
    for row in unfinished:
        steps[row] = _least_distance(factor, need[row])
    return np.asarray(steps)


def _least_distance(normals: Array, need: Array) -> float:
    """``min |u|`` subject to ``normals @ u >= need``; infinite where no u satisfies it."""
    from scipy.optimize import nnls

    scale = float(np.abs(need).max())
    system = np.vstack([normals.T, need[None, :] / scale])
    target = np.zeros(len(system))
    target[-1] = 1.0
    dual, _ = nnls(system, target)
    residual = system @ dual - target
    if -residual[-1] <= 1e-12:
        return float("inf")
    return float(scale * np.linalg.norm(residual[:-1] / residual[-1]))
