"""The training trajectory of a run: cell means, prototypes, head and gradients at every recorded moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.errors import DataError

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

PREFIX = "trajectory/"
GRADIENTS = "anchor_gradient/"


@dataclass(frozen=True, eq=False)
class BatchPrototypes:
    """Mean predictions of the (domain, class) cells of recorded batches, P in all.

    Attributes:
        moment: ``(P,)`` position in the trajectory of the model that predicted.
        batch: ``(P,)`` number of the batch; the same batches at every moment.
        domain: ``(P,)``.
        label: ``(P,)`` class.
        count: ``(P,)`` samples of the cell in the batch, at least 1.
        mean: ``(P, K)`` mean prediction.
    """

    moment: Indices
    batch: Indices
    domain: Indices
    label: Indices
    count: Indices
    mean: Array


@dataclass(frozen=True, eq=False)
class Trajectory:
    """T moments of a training with M domains, K classes and D features; statistics are those of training samples.

    Attributes:
        step: ``(T,)`` training steps, ascending.
        cell_counts: ``(M, K)`` training samples.
        feature_means: ``(T, M, K, D)``, NaN for empty cells.
        feature_scatter: ``(T, M, K)`` mean squared distance to the cell mean, 0 for cells of one sample.
        prediction_means: ``(T, M, K, K)`` means of the softmax outputs: the prediction prototypes.
        prediction_scatter: ``(T, M, K)``.
        head_weight: ``(T, K, D)``.
        head_bias: ``(T, K)``.
        target_errors: ``(T, K)`` share of each class misclassified in the held-out domain, NaN without samples.
        validation_errors: ``(T, K)``.
        batches: per-batch prototypes.
        moving_prototypes: ``(T, M, K, K)`` their moving averages, NaN for cells that no recorded batch holds.
        gradients: recorded anchor gradients by the name of the contrast, each with the arrays ``norm``, ``label``,
            ``batch``, ``weight`` and ``moment``, ``(A,)`` each.
    """

    step: Indices
    cell_counts: Indices
    feature_means: Array
    feature_scatter: Array
    prediction_means: Array
    prediction_scatter: Array
    head_weight: Array
    head_bias: Array
    target_errors: Array
    validation_errors: Array
    batches: BatchPrototypes
    moving_prototypes: Array
    gradients: Mapping[str, Mapping[str, NDArray[Any]]]

    @property
    def class_counts(self) -> Indices:
        """``(K,)`` training samples per class."""
        return np.asarray(self.cell_counts.sum(axis=0), dtype=np.int64)

    @property
    def sources(self) -> Indices:
        """Domains with training samples."""
        return np.flatnonzero(self.cell_counts.sum(axis=1)).astype(np.int64)

    def class_means(self, of: str = "features") -> Array:
        """``(T, K, V)`` means of ``features`` or ``predictions`` over all training samples of a class; NaN if none."""
        means = self.feature_means if of == "features" else self.prediction_means
        return self._over_domains(np.moveaxis(means, 2, 1))

    def class_scatter(self, of: str = "features") -> Array:
        """``(T, K)`` mean squared distance of a class's samples to the class mean; NaN without samples.

        Within cells plus between them: ``sum_d n_dk (s_dk + ||m_dk - m_k||^2) / n_k``.
        """
        means = self.feature_means if of == "features" else self.prediction_means
        within = self.feature_scatter if of == "features" else self.prediction_scatter
        apart = ((means - self.class_means(of)[:, None]) ** 2).sum(axis=-1)
        return self._over_domains(np.moveaxis(within + apart, 2, 1)[..., None])[..., 0]

    def _over_domains(self, values: Array) -> Array:
        """``(T, K, V)`` means of ``(T, K, M, V)`` by the cells' samples."""
        counts = self.cell_counts.T[..., None].astype(np.float64)
        sums = np.where(counts > 0, values * counts, 0.0).sum(axis=2)
        total = counts.sum(axis=1)
        return np.asarray(np.where(total > 0, sums / np.maximum(total, 1.0), np.nan), dtype=np.float64)


def read_trajectory(artifact: Artifact) -> Trajectory | None:
    """The trajectory recorded in an artifact's probes; None where there is none.

    Raises:
        DataError: arrays are missing, of the wrong shape, or hold what they cannot.
    """
    found = {
        name.removeprefix(PREFIX): np.asarray(values)
        for name, values in artifact.probes.items()
        if name.startswith(PREFIX)
    }
    if not found:
        return None
    step = _take(found, "step", (None,), whole=True)
    moments, classes = len(step), artifact.num_classes
    if moments < 2 or (np.diff(step) <= 0).any():
        raise DataError(f"Expected two or more ascending steps in {PREFIX}step, got {step.tolist()}.")
    counts = _take(found, "cell_counts", (None, classes), whole=True)
    domains = len(counts)
    cells = (moments, domains, classes)
    features = _take(found, "feature_means", (*cells, None))
    read = Trajectory(
        step=step,
        cell_counts=counts,
        feature_means=features,
        feature_scatter=_take(found, "feature_scatter", cells),
        prediction_means=_take(found, "prediction_means", (*cells, classes)),
        prediction_scatter=_take(found, "prediction_scatter", cells),
        head_weight=_take(found, "head_weight", (moments, classes, features.shape[-1])),
        head_bias=_take(found, "head_bias", (moments, classes)),
        target_errors=_take(found, "target_errors", (moments, classes)),
        validation_errors=_take(found, "validation_errors", (moments, classes)),
        batches=_batches(found, moments, domains, classes),
        moving_prototypes=_take(found, "moving_prototypes", (*cells, classes)),
        gradients=_gradients(found, moments, classes),
    )
    filled = counts > 0
    for name in ("feature_means", "feature_scatter", "prediction_means", "prediction_scatter"):
        if not np.isfinite(getattr(read, name)[:, filled]).all():
            raise DataError(f"Expected numbers in {PREFIX}{name} for every cell with training samples, got NaN.")
    return read


def _take(found: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], *, whole: bool = False) -> Any:
    """An array of this shape (None: any length), as float64, or int64 numbers of zero or more."""
    if name not in found:
        raise DataError(f"Expected a probe array {PREFIX}{name} beside the others; extract the run again.")
    values = found[name]
    if values.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, values.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise DataError(f"Expected {PREFIX}{name} of shape ({wanted}), got {values.shape}.")
    if whole:
        if values.dtype.kind not in "iu" or (values.size and values.min() < 0):
            raise DataError(f"Expected whole numbers of zero or more in {PREFIX}{name}.")
        return values.astype(np.int64)
    if values.dtype.kind not in "fiu" or np.isinf(values).any():
        raise DataError(f"Expected finite numbers or NaN in {PREFIX}{name}.")
    return values.astype(np.float64)


def _batches(found: Mapping[str, NDArray[Any]], moments: int, domains: int, classes: int) -> BatchPrototypes:
    mean = _take(found, "batch_prototypes/mean", (None, classes))
    parts = {
        name: _take(found, f"batch_prototypes/{name}", (len(mean),), whole=True)
        for name in ("step", "batch", "domain", "class", "count")
    }
    for name, size in (("step", moments), ("domain", domains), ("class", classes)):
        if len(mean) and parts[name].max() >= size:
            raise DataError(f"Expected positions below {size} in {PREFIX}batch_prototypes/{name}.")
    if not np.isfinite(mean).all() or (parts["count"] < 1).any():
        raise DataError(f"Expected finite means of one or more samples under {PREFIX}batch_prototypes.")
    return BatchPrototypes(
        moment=parts["step"],
        batch=parts["batch"],
        domain=parts["domain"],
        label=parts["class"],
        count=parts["count"],
        mean=mean,
    )


def _gradients(found: Mapping[str, NDArray[Any]], moments: int, classes: int) -> dict[str, dict[str, NDArray[Any]]]:
    forms = dict.fromkeys(name.split("/")[1] for name in found if name.startswith(GRADIENTS) and name.count("/") > 1)
    read: dict[str, dict[str, NDArray[Any]]] = {}
    for form in forms:
        where = f"{GRADIENTS}{form}"
        norm = _take(found, f"{where}/norm", (None,))
        read[form] = {"norm": norm, "weight": _take(found, f"{where}/weight", (len(norm),))}
        for name, size in (("label", classes), ("batch", None), ("moment", moments)):
            read[form][name] = _take(found, f"{where}/{name}", (len(norm),), whole=True)
            if size is not None and len(norm) and read[form][name].max() >= size:
                raise DataError(f"Expected positions below {size} in {PREFIX}{where}/{name}.")
    return read
