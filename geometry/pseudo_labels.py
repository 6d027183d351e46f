"""How good a model's pseudo-labels are: how many are right, how many are kept, how often each class is named."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.artifact import Artifact
from geometry.defined import mean_defined, ratio
from geometry.errors import DataError, UsageError
from geometry.labelled import UNLABELLED
from geometry.shots import group_masks

Array = NDArray[np.float64]
THRESHOLD = 0.95


@dataclass(frozen=True)
class PseudoLabelRow:
    """Pseudo-labels of the samples of one class, or of a group of classes; NaN where no sample says anything.

    A group's accuracies and its share kept are means over its classes that have one, so that rare classes count alike;
    in the row ``pooled`` they are over samples. Other shares are of all samples, and add up over classes.

    Attributes:
        group: all, a shot group, a class, or pooled.
        accuracy: share of the samples of the class whose pseudo-label is right.
        kept: share of them whose pseudo-label is kept.
        kept_accuracy: share of those kept that is right.
        kept_precision: share that is right of the kept pseudo-labels that name the class.
        true_share: of all samples, those of the class.
        predicted_share: of all pseudo-labels, those that name it.
        kept_predicted_share: of all kept pseudo-labels, those that name it.
        classes: with a sample.
        n: samples of the class.
        n_kept: of them with a kept pseudo-label.
        n_predicted: pseudo-labels that name the class.
        n_kept_predicted: kept ones that do.
    """

    group: str
    accuracy: float
    kept: float
    kept_accuracy: float
    kept_precision: float
    true_share: float
    predicted_share: float
    kept_predicted_share: float
    classes: int
    n: int
    n_kept: int
    n_predicted: int
    n_kept_predicted: int


@dataclass(frozen=True)
class PseudoLabelReport:
    """The pseudo-labels of one set of samples.

    Attributes:
        threshold: a pseudo-label at least this probable is kept.
        total_variation: ``1/2 sum_c |share of pseudo-labels c - share of samples c|``, in [0, 1].
        kept_total_variation: the same of the kept pseudo-labels, against all samples; NaN where none is kept.
        groups: rows of pooled, all and the shot groups, by name.
        classes: a row for every class, by name.
    """

    threshold: float
    total_variation: float
    kept_total_variation: float
    groups: Mapping[str, PseudoLabelRow]
    classes: Mapping[str, PseudoLabelRow]

    def rows(self) -> Iterator[PseudoLabelRow]:
        """Groups, then classes."""
        yield from self.groups.values()
        yield from self.classes.values()


def pseudo_label_quality(
    artifact: Artifact, *, threshold: float = THRESHOLD, split: str = UNLABELLED
) -> PseudoLabelReport:
    """The pseudo-labels that an artifact's model gives to a split whose true labels only the analyst knows.

    They are those of the model as it is extracted, on images that are not augmented; training saw those of weak views,
    and of the model as it then was. Shot groups are by all training images, with and without a label.

    Args:
        artifact: with logits.
        threshold: of FixMatch's mask.
        split: of the samples.

    Raises:
        DataError: no logits, or no sample in the split.
        UsageError: no such split, or a threshold outside [0, 1].
    """
    part = artifact.select(split=split)
    masks = group_masks(artifact.shots) if artifact.shots else {}
    return measure_pseudo_labels(part.probabilities(), part.labels, artifact.class_names, masks, threshold=threshold)


def measure_pseudo_labels(
    probabilities: ArrayLike,
    labels: ArrayLike,
    class_names: tuple[str, ...],
    groups: Mapping[str, NDArray[np.bool_]],
    *,
    threshold: float = THRESHOLD,
) -> PseudoLabelReport:
    """The quality of the pseudo-labels ``argmax_k p_k``, kept where ``max_k p_k >= threshold``.

    Args:
        probabilities: ``(N, K)`` rows that sum to one.
        labels: ``(N,)`` true classes in ``0..K-1``.
        class_names: K names.
        groups: ``(K,)`` masks of classes by name.
        threshold: in [0, 1].

    Raises:
        DataError: shapes that do not fit, probabilities that are not finite, or labels that are no class.
        UsageError: a threshold outside [0, 1].

    >>> found = measure_pseudo_labels([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]], [0, 0, 1], ("a", "b"), {}, threshold=0.65)
    >>> row = found.classes["a"]
    >>> row.accuracy, row.kept, row.kept_accuracy, row.kept_precision, round(found.total_variation, 3)
    (1.0, 0.5, 1.0, 0.5, 0.333)
    """
    p, true = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if p.ndim != 2 or p.shape != (true.size, len(class_names)) or not np.isfinite(p).all():
        raise DataError(f"Expected finite probabilities ({true.size}, {len(class_names)}), got {p.shape}.")
    if ((true < 0) | (true >= len(class_names))).any():
        raise DataError(f"Expected labels in 0..{len(class_names) - 1}, got {true.min()} to {true.max()}.")
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"Expected a threshold in [0, 1], got {threshold}.")
    pseudo, kept = p.argmax(axis=1), p.max(axis=1, initial=0.0) >= threshold
    cells = _Cells(
        n=_count(true, p.shape[1]),
        right=_count(true[pseudo == true], p.shape[1]),
        kept=_count(true[kept], p.shape[1]),
        kept_right=_count(true[kept & (pseudo == true)], p.shape[1]),
        predicted=_count(pseudo, p.shape[1]),
        kept_predicted=_count(pseudo[kept], p.shape[1]),
    )
    every = np.ones(p.shape[1], dtype=bool)
    shares = cells.shares()
    return PseudoLabelReport(
        threshold=float(threshold),
        total_variation=_total_variation(shares[1], shares[0]),
        kept_total_variation=_total_variation(shares[2], shares[0]),
        groups={"pooled": cells.pooled()} | {name: cells.row(name, m) for name, m in {"all": every, **groups}.items()},
        classes={name: cells.row(name, np.arange(len(class_names)) == k) for k, name in enumerate(class_names)},
    )


@dataclass(frozen=True, eq=False)
class _Cells:
    """Counts ``(K,)`` by true class, the last two by pseudo-label."""

    n: Array
    right: Array
    kept: Array
    kept_right: Array
    predicted: Array
    kept_predicted: Array

    def shares(self) -> list[Array]:
        """``(K,)`` of samples, of pseudo-labels, and of kept ones; NaN where there is none."""
        return [np.asarray(ratio(c, c.sum())) for c in (self.n, self.predicted, self.kept_predicted)]

    def rates(self) -> list[Array]:
        """Accuracy, share kept, accuracy of the kept, and precision of the kept."""
        pairs = ((self.right, self.n), (self.kept, self.n), (self.kept_right, self.kept))
        return [np.asarray(ratio(part, whole)) for part, whole in (*pairs, (self.kept_right, self.kept_predicted))]

    def row(self, name: str, mask: NDArray[np.bool_]) -> PseudoLabelRow:
        """Means over the classes of a mask that have a value, and sums."""
        return self._row(name, [float(mean_defined(rate[mask])) for rate in self.rates()], mask)

    def pooled(self) -> PseudoLabelRow:
        """Every sample counts alike, as if there were one class."""
        whole = _Cells(**{name: np.atleast_1d(count.sum()) for name, count in vars(self).items()})
        return self._row("pooled", [float(rate[0]) for rate in whole.rates()], np.ones(self.n.size, dtype=bool))

    def _row(self, name: str, rates: list[float], mask: NDArray[np.bool_]) -> PseudoLabelRow:
        accuracy, kept, kept_accuracy, precision = rates
        true, predicted, kept_predicted = (float(share[mask].sum()) for share in self.shares())
        return PseudoLabelRow(
            group=name,
            accuracy=accuracy,
            kept=kept,
            kept_accuracy=kept_accuracy,
            kept_precision=precision,
            true_share=true,
            predicted_share=predicted,
            kept_predicted_share=kept_predicted,
            classes=int((self.n[mask] > 0).sum()),
            n=int(self.n[mask].sum()),
            n_kept=int(self.kept[mask].sum()),
            n_predicted=int(self.predicted[mask].sum()),
            n_kept_predicted=int(self.kept_predicted[mask].sum()),
        )


def _count(codes: NDArray[np.int64], classes: int) -> Array:
    return np.bincount(codes, minlength=classes).astype(np.float64)


def _total_variation(one: Array, other: Array) -> float:
    return float(np.abs(one - other).sum() / 2)
