"""Equilibrium metrics of ECL: feature collapse FC, mean spacing MS, self-duality SD.

ECL (Roh et al. 2026, arXiv 2602.09506) names its metrics so; its definitions were not at hand. Our reading: the
standard neural-collapse quantities of Papyan, Han and Donoho (2020), which :func:`~geometry.collapse.measure` lists a
second time under these names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.collapse.angles import nc2
from geometry.collapse.class_statistics import ClassStatistics, Weighting
from geometry.collapse.duality import nc3
from geometry.collapse.variability import nc1
from geometry.defined import Value

SAME_AS = {
    "equilibrium_fc": "nc1",
    "equilibrium_ms": "means_cosine_std",
    "equilibrium_ms_deviation": "means_max_equiangularity",
    "equilibrium_sd": "nc3_frobenius",
}
"""Name of each equilibrium metric in a report, and the metric that it is."""


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """FC, MS and SD of some classes; all three vanish at the equilibrium, a self-dual simplex of collapsed classes.

    Attributes:
        fc: feature collapse ``tr(Sigma_W pinv(Sigma_B)) / K``, in [0, inf), blind to scatter across the span of the
            centred means.
        ms: mean spacing, population std over pairs of ``cos(mu_c - mu_G, mu_k - mu_G)``, in [0, 1]. Zero over all
            classes means the simplex's angles; over a group, equal angles of any size.
        ms_deviation: the same spacing against the simplex, mean over pairs of ``|cos + 1/(K-1)|``, in [0, 2].
        sd: self-duality ``|| W/||W||_F - M/||M||_F ||_F`` of classifier rows and centred class means, in [0, 2]; NaN
            without a head.
        classes: classes present among the chosen.
        varied: classes of two samples or more, on which ``fc`` stands.
        pairs: pairs on which ``ms`` stands.
        weighting: whose mean ``mu_G`` is: of class means (``balanced``) or of samples (``pooled``).
    """

    fc: Value
    ms: Value
    ms_deviation: Value
    sd: Value
    classes: int
    varied: int
    pairs: int
    weighting: Weighting


def equilibrium(
    stats: ClassStatistics, head_weight: NDArray[np.floating] | None = None, classes: ArrayLike | None = None
) -> Equilibrium:
    r"""FC, MS and SD (our reading) of class statistics, under their weighting.

    .. math:: FC = \tfrac1K \mathrm{tr}(\Sigma_W \Sigma_B^+), \quad MS = \mathrm{std}_{c<k} \cos(\mu_c - \mu_G, \mu_k -
        \mu_G), \quad SD = \Bigl\| \frac{W}{\|W\|_F} - \frac{M}{\|M\|_F} \Bigr\|_F

    The public tools differ, and so do their numbers under imbalance. ``pooled`` statistics take mu_G over samples as
    nc-toolbox does, ``balanced`` ones over class means; Sigma_B averages over classes in both. FC has the 1/K of Zhu et
    al. (2021). MS is a standard deviation or a mean modulus, where nc-toolbox's default is a signed mean, in which
    deviations cancel. SD is nc-toolbox's NC3, not the one of tding1/Neural-Collapse, ``|| WM/||WM|| - E/||E|| ||``.

    A group of classes restricts Sigma_W, pairs, rows and means; mu_G, Sigma_B and K stay those of all classes present.
    So FC is the weighted mean of its groups' values, while MS of a group is that of its own pairs and SD of a group
    compares its rows with its means, each block over its own norm. Absent classes enter nothing; classes of one sample
    enter MS and SD, not FC.

    Invariant to rotations and translations of the features, to their scale, to the order of samples and classes, and
    to the scale of the head; SD alone needs the head turned with the features.

    Args:
        stats: class statistics.
        head_weight: ``(K, D)`` rows of the linear head, used as they are.
        classes: indices of the classes; all by default.

    Returns:
        NaN where there is nothing to measure: fewer than two classes present, no class of two samples (``fc``), fewer
        than two of the chosen (``ms``), no head (``sd``).

    >>> from geometry.collapse.moments import class_statistics
    >>> x = np.repeat(np.eye(3), [3, 2, 1], axis=0)
    >>> found = equilibrium(class_statistics(x, [0, 0, 0, 1, 1, 2]), np.eye(3) - 1 / 3)
    >>> [round(abs(float(value)), 7) for value in (found.fc, found.ms, found.ms_deviation, found.sd)]
    [0.0, 0.0, 0.0, 0.0]
    >>> found.classes, found.varied
    (3, 2)
    """
    spacing = nc2(stats.gram, classes)
    nan = np.full(stats.leading, np.nan)[()]
    return Equilibrium(
        fc=nc1(stats, classes).value,
        ms=spacing.cosine_std,
        ms_deviation=spacing.max_equiangularity,
        sd=nan if head_weight is None else nc3(stats, head_weight, classes).frobenius,
        classes=int(stats.among(classes).size),
        varied=int(stats.among(classes, at_least=2).size),
        pairs=spacing.pairs,
        weighting=stats.weighting,
    )


def group_equilibria(
    stats: ClassStatistics,
    groups: Mapping[str, ArrayLike],
    head_weight: NDArray[np.floating] | None = None,
) -> dict[str, Equilibrium]:
    """FC, MS and SD of every group of classes, such as shot groups.

    Args:
        stats: class statistics.
        groups: indices of the classes of each group.
        head_weight: ``(K, D)`` rows of the linear head.
    """
    return {name: equilibrium(stats, head_weight, classes) for name, classes in groups.items()}
