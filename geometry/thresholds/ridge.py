"""Cross-entropy with weight decay on features and classifiers: the exact minority-collapse ratio (ours).

The unconstrained-features model minimises ``(1/N) sum CE + lambda_W/2 ||W||^2 + lambda_H/2 ||H||^2`` over N samples,
without bias. In the logits, whose columns a class shares after collapse, it is convex with the nuclear norm of
``Y = Z diag(n)^{1/2}`` at the price ``lambda = sqrt(lambda_W lambda_H)``. A difference of two minority columns that
coincide is pulled on by ``sqrt(n_B) / N``, whatever the rest does, so they coincide exactly when

    sqrt(n_B) <= N sqrt(lambda_W lambda_H).
"""

from dataclasses import dataclass

import numpy as np

from geometry.errors import UsageError


@dataclass(frozen=True)
class RidgeThreshold:
    """Where minority collapse begins under cross-entropy with weight decay.

    Attributes:
        r_star: the imbalance ratio from which on all minority classes coincide; always finite, 1 for any ratio.
        reason: why, and what was kept fixed, in words.
        majority: K_A.
        minority: K_B.
        lambda_w: decay of the classifiers.
        lambda_h: decay of the features.
        minority_samples: n_B, where it was kept fixed.
        samples: N, where that was.
    """

    r_star: float
    reason: str
    majority: int
    minority: int
    lambda_w: float
    lambda_h: float
    minority_samples: float | None
    samples: float | None


def ridge_threshold(
    majority: int,
    minority: int,
    *,
    lambda_w: float = 5e-4,
    lambda_h: float = 1e-5,
    minority_samples: float | None = None,
    samples: float | None = None,
) -> RidgeThreshold:
    """The imbalance ratio R = n_A / n_B from which on minority classes coincide.

    With n_B fixed (the majority grows), ``R* = (1 / (sqrt(n_B) lambda) - K_B) / K_A``; with N fixed,
    ``R* = (1 / (N lambda^2) - K_B) / K_A``; lambda = sqrt(lambda_W lambda_H).

    Args:
        majority: K_A >= 1.
        minority: K_B >= 2.
        lambda_w: decay of the classifiers, > 0.
        lambda_h: decay of the features, > 0.
        minority_samples: n_B; 100 if neither is given.
        samples: N; give one of the two.

    Raises:
        UsageError: numbers out of range, or both n_B and N given.

    >>> ridge_threshold(5, 5).r_star
    281.84...
    """
    if majority < 1 or minority < 2:
        raise UsageError(f"Expected at least one majority and two minority classes, got {majority} and {minority}.")
    if not (np.isfinite(lambda_w) and lambda_w > 0 and np.isfinite(lambda_h) and lambda_h > 0):
        raise UsageError(f"Expected positive decays lambda_w and lambda_h, got {lambda_w} and {lambda_h}.")
    if minority_samples is not None and samples is not None:
        raise UsageError("Expected the samples of a minority class or of all classes to be fixed, got both.")
    if minority_samples is None and samples is None:
        minority_samples = 100.0
    fixed = samples if minority_samples is None else minority_samples
    if fixed is None or not (np.isfinite(fixed) and fixed > 0):
        raise UsageError(f"Expected a positive number of samples, got {fixed}.")
    decay = float(np.sqrt(lambda_w) * np.sqrt(lambda_h))
    # N / n_B = K_A R + K_B at the threshold
    total = 1.0 / (fixed * decay**2) if minority_samples is None else 1.0 / (np.sqrt(fixed) * decay)
    ratio = max(1.0, (float(total) - minority) / majority)
    kept = f"{fixed:g} samples in all" if minority_samples is None else f"{fixed:g} samples of each minority class"
    reason = (
        f"with {kept} all minority classes coincide from R = {ratio:.6g} on: there the pull sqrt(n_B)/N on their "
        "differences is no more than the price sqrt(lambda_W lambda_H) of norm"
    )
    return RidgeThreshold(ratio, reason, majority, minority, lambda_w, lambda_h, minority_samples, samples)
