"""Imbalance: the table of training images per source domain and class, and how imbalanced it is."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.atomic import write_csv
from geometry.errors import DataError, UsageError

HEADER = ("domain", "class", "count")


@dataclass(frozen=True, eq=False)
class CountTable:
    """How many training images every source domain gives to every class.

    Attributes:
        setting: name of the setting that made the table; ``counts`` for one read from a file.
        domains: names of the M_s source domains.
        classes: names of the K classes.
        counts: ``(M_s, K)`` images; zero where a domain has none of a class.
        seed: what the setting drew from (recorded even where nothing is drawn).
        parameters: the setting's parameters, defaults included.
    """

    setting: str
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.domains), len(self.classes))
        if self.counts.shape != shape:
            raise DataError(f"Expected a table of counts of shape {shape}, got {self.counts.shape}.")
        if self.counts.min(initial=0) < 0:
            domain, label = np.argwhere(self.counts < 0)[0]
            raise DataError(
                f"Expected counts of zero or more, got {self.counts[domain, label]} for "
                f"domain {self.domains[domain]!r}, class {self.classes[label]!r}."
            )
        if self.counts.sum() == 0:
            raise DataError("Expected at least one training image, the table of counts is empty or all zero.")

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """``(domain, class, count)`` of every cell, domain by domain."""
        for domain, counts in zip(self.domains, self.counts.tolist(), strict=True):
            for name, count in zip(self.classes, counts, strict=True):
                yield domain, name, count

    def to_csv(self, path: Path) -> None:
        """Write the long form ``domain,class,count`` that :func:`read_counts` reads back."""
        write_csv(Path(path), HEADER, self.rows())

    def require_available(self, sizes: ArrayLike, validation: int) -> None:
        """Insist that every cell has the images asked of it.

        A cell is asked for its training count and ``validation`` images; one the data set lacks altogether
        (size 0) is asked for its training count alone, which must then be zero.

        Args:
            sizes: ``(M_s, K)`` images of the source domains.
            validation: validation images per cell.

        Raises:
            DataError: naming the first cell that has too few.
        """
        available = np.asarray(sizes, dtype=np.int64)
        asked = self.counts + np.where(available > 0, validation, 0)
        for domain, label in np.argwhere(asked > available):
            raise DataError(
                f"Setting {self.setting} asks for {asked[domain, label]} images of domain {self.domains[domain]!r}, "
                f"class {self.classes[label]!r} ({self.counts[domain, label]} to train, "
                f"{asked[domain, label] - self.counts[domain, label]} to validate); "
                f"the data set has {available[domain, label]}."
            )


@dataclass(frozen=True, eq=False)
class ImbalanceRatio:
    """Largest over smallest class, among the classes that are present.

    Attributes:
        pooled: ratio of the class counts summed over domains; NaN without any image.
        per_domain: ``(M_s,)`` ratio inside each domain; NaN for a domain without any image.
        absent: classes with no image in any domain.
        absent_cells: domain-class cells with no image.
    """

    pooled: float
    per_domain: NDArray[np.float64]
    absent: int
    absent_cells: int


def imbalance_ratio(counts: ArrayLike) -> ImbalanceRatio:
    """max_k n_k / min_k n_k over the present classes, pooled and inside every domain.

    Args:
        counts: ``(M_s, K)`` images.

    >>> imbalance_ratio([[30, 3], [10, 1]]).pooled
    10.0
    """
    table = np.atleast_2d(np.asarray(counts, dtype=np.int64))
    pooled = table.sum(axis=0)
    per_domain = np.array([_ratio(row) for row in table])
    return ImbalanceRatio(_ratio(pooled), per_domain, int((pooled == 0).sum()), int((table == 0).sum()))


def _ratio(counts: NDArray[np.int64]) -> float:
    present = counts[counts > 0]
    return float(present.max() / present.min()) if present.size else math.nan


def read_counts(
    path: Path, *, domains: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> CountTable:
    """Read a table of counts from CSV in long form, one cell a line under the header ``domain,class,count``.

    Args:
        path: the file.
        domains: source domains of the data set, in its order; without them, those of the file in order of
            appearance.
        classes: classes of the data set, in its order; without them, those of the file.

    Returns:
        A table whose setting is ``counts``. A cell that no line names is refused, so that a forgotten line never
        turns into a silent zero.

    Raises:
        DataError: a missing or empty file, another header, a count that is negative, fractional, NaN, empty or
            text, a cell named twice or not at all, a domain or class the data set does not have.
    """
    cells: dict[tuple[str, str], int] = {}
    for line, domain, name, text in _lines(Path(path)):
        if (domain, name) in cells:
            raise DataError(f"Line {line} of {path} names domain {domain!r}, class {name!r} a second time.")
        cells[domain, name] = _count(text, f"line {line} of {path}")
    rows = tuple(domains) if domains is not None else tuple(dict.fromkeys(domain for domain, _ in cells))
    columns = tuple(classes) if classes is not None else tuple(dict.fromkeys(name for _, name in cells))
    for domain, name in cells:
        if domain not in rows:
            raise DataError(f"Unknown domain {domain!r} in {path}; the source domains are {', '.join(rows)}.")
        if name not in columns:
            raise DataError(f"Unknown class {name!r} in {path}; the classes are {', '.join(columns)}.")
    missing = [(domain, name) for domain in rows for name in columns if (domain, name) not in cells]
    if missing:
        domain, name = missing[0]
        raise DataError(
            f"Expected a count for every cell, {path} has none for domain {domain!r}, class {name!r}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; write 0 where there is nothing to train."
        )
    counts = np.array([[cells[domain, name] for name in columns] for domain in rows], dtype=np.int64)
    return CountTable("counts", rows, columns, counts, parameters={"file": Path(path).name})


def _lines(path: Path) -> Iterator[tuple[int, str, str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, [cell.strip() for cell in row]) for number, row in enumerate(csv.reader(file), 1)]
    except FileNotFoundError as error:
        raise DataError(f"Expected a table of counts at {path}, found no file.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read {path} as CSV: {error}.") from error
    rows = [(number, row) for number, row in rows if any(row)]
    if not rows:
        raise DataError(f"Expected a table of counts in {path}, the file is empty.")
    if tuple(cell.lower() for cell in rows[0][1]) != HEADER:
        raise DataError(f"Expected the header {','.join(HEADER)} in {path}, got {','.join(rows[0][1])}.")
    if len(rows) == 1:
        raise DataError(f"Expected counts under the header of {path}, found none.")
    for number, row in rows[1:]:
        if len(row) != len(HEADER):
            raise DataError(f"Expected {','.join(HEADER)} in line {number} of {path}, got {len(row)} values.")
        yield number, row[0], row[1], row[2]


def _count(text: str, where: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0 and value == int(value)):
        raise DataError(f"Expected a whole number of zero or more in {where}, got {text!r}.")
    return int(value)


def require_whole(value: int, what: str) -> int:
    """``value`` as an int of zero or more.

    Raises:
        UsageError: it is negative, fractional or no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise UsageError(f"Expected {what} of zero or more, got {value!r}.")
    return int(value)
