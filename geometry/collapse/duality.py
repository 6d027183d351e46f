"""NC3: do the classifier rows point along the centred class means?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.collapse.class_statistics import ClassStatistics
from geometry.defined import Value, mean_defined, ratio


@dataclass(frozen=True, eq=False)
class NC3:
    """Self-duality in the two definitions in use.

    Attributes:
        frobenius: ``|| W/||W||_F - M/||M||_F ||_F``, not squared, in [0, 2] (Papyan, Han & Donoho 2020, who square it).
        one_minus_cosine: ``1 - mean_k cos(w_k, mu_k - mu_G)``, in [0, 2] (Liu et al. 2023, GNC3).
        classes: classes that enter.
    """

    frobenius: Value
    one_minus_cosine: Value
    classes: int


def nc3(stats: ClassStatistics, head_weight: NDArray[np.floating], classes: ArrayLike | None = None) -> NC3:
    """NC3 between classifier rows and centred class means, both restricted to the chosen classes that are present.

    The Frobenius form is ``sqrt(2 - 2 <W, M> / (||W|| ||M||))``, so values below about 1e-8 are rounding.

    Args:
        stats: class statistics.
        head_weight: ``(K, D)`` rows of the linear head, used as they are (not centred).
        classes: indices of the classes; all by default.

    >>> from geometry.collapse.moments import class_statistics
    >>> stats = class_statistics([[2.0, 1.0], [0.0, 1.0]], [0, 1])
    >>> aligned, opposed = np.array([[3.0, 0.0], [-3.0, 0.0]]), np.array([[-3.0, 0.0], [3.0, 0.0]])
    >>> float(nc3(stats, aligned).frobenius), float(nc3(stats, opposed).one_minus_cosine)
    (0.0, 2.0)
    """
    chosen = stats.among(classes)
    nan = np.full(stats.leading, np.nan)[()]
    if chosen.size == 0 or stats.present.size < 2:
        return NC3(nan, nan, 0)
    rows = np.asarray(head_weight, dtype=np.float64)[chosen]
    product = np.einsum("kd,...kd->...k", rows, stats.centred_means[..., chosen, :])
    row_squares = (rows**2).sum(axis=-1)
    mean_squares = stats.gram[..., chosen, chosen]
    lengths = np.sqrt(row_squares * mean_squares)
    cosine = ratio(product, lengths)
    norms = np.sqrt(row_squares.sum() * mean_squares.sum(axis=-1))
    overlap = ratio(product.sum(axis=-1), norms)
    return NC3(
        frobenius=np.sqrt(np.maximum(2 - 2 * overlap, 0.0))[()],
        one_minus_cosine=np.maximum(1 - mean_defined(cosine), 0.0),
        classes=int(chosen.size),
    )
