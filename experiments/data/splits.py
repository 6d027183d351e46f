"""Splits: which image trains, validates, tests; a pure function of names, counts and a seed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.data.catalogue import Catalogue
from experiments.data.imbalance import CountTable, require_whole
from experiments.data.randomness import named_generator
from geometry.artifact import SPLITS
from geometry.atomic import write_csv
from geometry.errors import DataError

UNLABELLED = "unlabelled"
PARTS = (*SPLITS, "target_unused", UNLABELLED)
TARGET_SHARE = 0.8
# A table wider than this in a terminal says less than its summary.
WIDEST_TABLE = 12


@dataclass(frozen=True, eq=False)
class Split:
    """One part for every image of a catalogue.

    Attributes:
        catalogue: the data set.
        table: training counts of the source domains.
        held_out: the domain no training image comes from, or None when every domain is a source.
        validation: validation images per source domain and class, at most.
        seed: of the shuffles.
        part: ``(N,)`` integers into :data:`PARTS`.
    """

    catalogue: Catalogue
    table: CountTable
    held_out: str | None
    validation: int
    seed: int
    part: NDArray[np.int64]

    def indices(self, part: str, domain: str | None = None) -> NDArray[np.intp]:
        """Catalogue indices of one part (of one domain), in catalogue order."""
        chosen = self.part == PARTS.index(part)
        if domain is not None:
            chosen &= self.catalogue.domain == self.catalogue.domain_position(domain)
        return np.flatnonzero(chosen)

    def counts(self, part: str) -> NDArray[np.int64]:
        """``(M, K)`` images of one part per domain and class."""
        return self.catalogue.select(self.indices(part)).sizes

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the M_s source domains, in catalogue order."""
        return tuple(name for name in self.catalogue.domains if name != self.held_out)

    @property
    def sizes(self) -> dict[str, int]:
        """Images in every part; unlabelled ones only where there are some."""
        found = {name: int((self.part == code).sum()) for code, name in enumerate(PARTS)}
        return {name: size for name, size in found.items() if size or name != UNLABELLED}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the assignment: every id with its part, in catalogue order."""
        state = hashlib.sha256()
        for path, code in zip(self.catalogue.paths, self.part, strict=True):
            state.update(f"{path}\t{PARTS[code]}\n".encode())
        return state.hexdigest()

    def save_csv(self, path: Path) -> None:
        """Write ``id,domain,class,split``, one image a line."""
        data = self.catalogue
        rows = (
            (name, data.domains[domain], data.classes[label], PARTS[code])
            for name, domain, label, code in zip(data.paths, data.domain, data.label, self.part, strict=True)
        )
        write_csv(Path(path), ("id", "domain", "class", "split"), rows)

    def to_manifest(self) -> dict[str, Any]:
        """What identifies the split: data set, setting, seed, sizes and the digest of the assignment."""
        return {
            "dataset": self.catalogue.name,
            "setting": self.table.setting,
            "setting_seed": self.table.seed,
            "setting_parameters": dict(self.table.parameters),
            "held_out": self.held_out,
            "validation": self.validation,
            "seed": self.seed,
            "sizes": self.sizes,
            "sha256": self.digest,
        }

    def format_table(self) -> str:
        """The counts of every domain and part as text, class by class or, for many classes, summarised."""
        wide = len(self.catalogue.classes) > WIDEST_TABLE
        columns = ("classes", "min", "median", "max") if wide else self.catalogue.classes
        lines: list[Sequence[Any]] = [("domain", "split", *columns, "total")]
        for part in PARTS:
            for domain, counts in zip(self.catalogue.domains, self.counts(part), strict=True):
                if counts.sum() == 0:
                    continue
                present = counts[counts > 0]
                summary = (present.size, present.min(), f"{np.median(present):g}", present.max())
                lines.append((domain, part, *(summary if wide else counts), counts.sum()))
        cells = [[str(cell) for cell in line] for line in lines]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                text.ljust(width) if column < 2 else text.rjust(width)
                for column, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in cells
        )


def make_split(
    catalogue: Catalogue,
    table: CountTable,
    held_out: str | None,
    *,
    validation: int | NDArray[np.int64],
    seed: int = 0,
    labels: int = 0,
    in_order: bool = False,
    whole_target: bool = False,
) -> Split:
    """Give every image its part.

    In each source cell (domain, class) the images are shuffled by a generator that belongs to (seed, domain, class):
    the first n of the count table train, the next ``validation`` validate, the rest test. In each class of the held-out
    domain 80 % are the target and 20 % (rounded down) are kept unused, as in DomainBed. A cell's shuffle depends on its
    own names and files alone.

    Args:
        catalogue: the data set.
        table: training counts; its domains are the catalogue's without ``held_out``, in any order.
        held_out: the target domain, or None.
        validation: validation images per source cell, or ``(M_s, K)`` of them.
        seed: of the shuffles.
        labels: training images per source cell that keep their label, at most; the others are the part ``unlabelled``.
            0 labels them all.
        in_order: take every source cell's images in catalogue order, so that smaller counts give nested subsets.
        whole_target: the held-out domain is a test split that somebody published; all of it is the target.

    Raises:
        UsageError: the held-out domain does not exist, a negative number of validation images.
        DataError: the table is of other domains or classes, or asks for more images than a cell has (named).
    """
    if not isinstance(validation, np.ndarray):
        require_whole(validation, "a number of validation images")
    reserved = np.broadcast_to(np.asarray(validation, dtype=np.int64), table.counts.shape)
    target = None if held_out is None else catalogue.domain_position(held_out)
    sources = [m for m in range(len(catalogue.domains)) if m != target]
    names = [catalogue.domains[m] for m in sources]
    if sorted(table.domains) != sorted(names):
        raise DataError(
            f"Expected counts for the source domains {', '.join(names) or 'none'}, the table has "
            f"{', '.join(table.domains)}."
        )
    if table.classes != catalogue.classes:
        raise DataError("Expected counts for the classes of the data set in its order, the table has others.")
    table.require_available(catalogue.sizes[[catalogue.domains.index(name) for name in table.domains]], reserved)
    train, validate, source_test, to_target, unused, unlabelled = range(len(PARTS))
    part = np.full(len(catalogue), source_test, dtype=np.int64)
    for m, domain in enumerate(catalogue.domains):
        for k, cls in enumerate(catalogue.classes):
            cell = catalogue.indices(m, k)
            shuffled = named_generator(seed, "split", domain, cls).permutation(cell)
            if m == target:
                unused_count = 0 if whole_target else int(np.floor((1.0 - TARGET_SHARE) * cell.size + 1e-9))
                part[shuffled[unused_count:]] = to_target
                part[shuffled[:unused_count]] = unused
            else:
                row = table.domains.index(domain)
                n, more = table.counts[row, k], reserved[row, k]
                taken = cell if in_order else shuffled
                part[taken[:n]] = unlabelled if labels else train
                part[taken[: min(n, labels)]] = train
                part[taken[n : n + more]] = validate
    return Split(catalogue, table, held_out, int(reserved.max(initial=0)), int(seed), part)
