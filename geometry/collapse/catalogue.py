"""The metrics a report holds: name, formula, range and what each needs."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from geometry.intervals import Scale

Needs = Literal[
    "variance", "pairs of variances", "classes", "classes and head", "head rows", "samples and head", "samples"
]


@dataclass(frozen=True)
class Metric:
    """One number of a report.

    Attributes:
        name: its key.
        formula: its definition in a line.
        low: lower end of its range.
        high: upper end.
        needs: what must be there for it to be defined.
        scale: on which its bootstrap draws are reflected (:func:`geometry.intervals.reflected_interval`).
    """

    name: str
    formula: str
    low: float
    high: float
    needs: Needs
    scale: Scale = "difference"


def _vectors(prefix: str, words: str, needs: Needs) -> tuple[Metric, ...]:
    return (
        Metric(f"{prefix}_norm_cov", f"population std / mean of the lengths of {words}", 0, np.inf, needs, "ratio"),
        Metric(
            f"{prefix}_cosine_std", f"population std over pairs of the cosines of {words}", 0, np.inf, needs, "square"
        ),
        Metric(f"{prefix}_max_equiangularity", f"mean over pairs of |cos + 1/(K-1)| of {words}", 0, 2, needs, "square"),
        Metric(
            f"{prefix}_etf_error",
            f"|| G/||G|| - E/||E|| ||_F, E = I - 11^T/K, G the Gram of {words}",
            0,
            np.sqrt(2),
            needs,
            "square",
        ),
        Metric(f"{prefix}_gnc2", f"mean over pairs of log(1/||u_i - u_j||), u unit {words}", -np.log(2), np.inf, needs),
        Metric(
            f"{prefix}_gnc2_variance", f"variance over pairs of log(1/||u_i - u_j||), u unit {words}", 0, np.inf, needs
        ),
        Metric(f"{prefix}_cosine", f"mean cosine over pairs of {words}; 1 when merged", -1, 1, needs),
        Metric(f"{prefix}_min_angle", f"smallest angle between two {words}, degrees", 0, 180, needs),
        Metric(f"{prefix}_merged_share", f"share of pairs of {words} with cosine above 0.99", 0, 1, needs),
        Metric(f"{prefix}_effective_rank", f"exp(entropy of singular values / sum) of {words}", 1, np.inf, needs),
        Metric(f"{prefix}_stable_rank", f"||A||_F^2 / ||A||_2^2 of {words}", 1, np.inf, needs),
    )


MEANS_METRICS: tuple[Metric, ...] = (
    Metric("nc1", "tr(Sigma_W pinv(Sigma_B)) / K", 0, np.inf, "variance", "ratio"),
    Metric("trace_ratio", "tr(Sigma_W) / tr(Sigma_B)", 0, np.inf, "variance", "ratio"),
    Metric("cdnv", "mean over pairs of (v_i + v_j) / (2 ||mu_i - mu_j||^2); same in both weightings", 0, np.inf,
           "pairs of variances", "ratio"),
    Metric("cdnv_max", "max over pairs of (v_i + v_j) / (2 ||mu_i - mu_j||^2); same in both weightings", 0, np.inf,
           "pairs of variances", "ratio"),
    *_vectors("means", "centred class means", "classes"),
    Metric("nc3_frobenius", "|| W/||W||_F - M/||M||_F ||_F, not squared", 0, 2, "classes and head", "square"),
    Metric("nc3_cosine", "1 - mean_k cos(w_k, mu_k - mu_G)", 0, 2, "classes and head"),
    Metric("equilibrium_fc", "ECL's FC as we read it: nc1", 0, np.inf, "variance", "ratio"),
    Metric("equilibrium_ms", "ECL's MS as we read it: means_cosine_std", 0, np.inf, "classes", "square"),
    Metric("equilibrium_ms_deviation", "ECL's MS against the simplex: means_max_equiangularity", 0, 2, "classes",
           "square"),
    Metric("equilibrium_sd", "ECL's SD as we read it: nc3_frobenius", 0, 2, "classes and head", "square"),
)  # fmt: skip
"""Metrics of class means and scatter: each in both weightings, for every group of classes."""

NC4_METRIC = Metric(
    "nc4",
    "share of samples where argmin_k ||h - mu_k|| = argmax_k (w_k h + b_k); balanced: mean over classes",
    0,
    1,
    "samples and head",
)
RANK_METRICS: tuple[Metric, ...] = (
    Metric("features_effective_rank", "exp(entropy of singular values / sum) of the centred, weighted features",
           1, np.inf, "samples"),
    Metric("features_stable_rank", "||A||_F^2 / ||A||_2^2 of the centred, weighted features", 1, np.inf, "samples"),
)  # fmt: skip
HEAD_METRICS: tuple[Metric, ...] = _vectors("head", "classifier rows (not centred)", "head rows")
"""Metrics of the classifier rows: one weighting, no domain, no sampling uncertainty."""

DOMAIN_METRICS: tuple[Metric, ...] = (
    Metric("domain_cosine", "mean over classes and pairs of domains of cos(mu_dk - mu_G, mu_d'k - mu_G)",
           -1, 1, "classes"),
    Metric("domain_spread_ratio", "mean_k of the spread of mu_dk over domains / mean_k of the variance inside cells",
           0, np.inf, "variance", "ratio"),
)  # fmt: skip
"""Geometry of the same class across domains."""

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*MEANS_METRICS, NC4_METRIC, *RANK_METRICS, *HEAD_METRICS, *DOMAIN_METRICS)
}
"""Every metric by name."""
