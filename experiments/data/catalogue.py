"""The catalogue: what images a data set has, in which domain and class; the one interface of every data set."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Catalogue:
    """N images of K classes in M domains, by path; no pixel is read.

    Attributes:
        name: the data set's name.
        root: the folder the paths start from.
        domains: M names.
        classes: K names.
        paths: N paths below ``root``, ``domain/class/file``; also the ids of the samples.
        domain: ``(N,)`` integers in ``0..M-1``.
        label: ``(N,)`` integers in ``0..K-1``.
    """

    name: str
    root: Path
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    domain: NDArray[np.int64]
    label: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.paths)
        for what, value, size in (("domain", self.domain, len(self.domains)), ("label", self.label, len(self.classes))):
            if value.shape != (n,):
                raise DataError(f"Expected a {what} for each of {n} images, got shape {value.shape}.")
            if n and (value.min() < 0 or value.max() >= size):
                raise DataError(f"Expected `{what}` in 0..{size - 1}, got {value.min()} to {value.max()}.")

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """``(M, K)`` images per domain and class."""
        cells = np.bincount(self._cell, minlength=len(self.domains) * len(self.classes))
        return cells.reshape(len(self.domains), len(self.classes)).astype(np.int64)

    @cached_property
    def _cell(self) -> NDArray[np.int64]:
        return self.domain * len(self.classes) + self.label

    @cached_property
    def _by_cell(self) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        starts = np.concatenate([[0], np.cumsum(self.sizes.ravel())])
        return np.argsort(self._cell, kind="stable"), starts

    def indices(self, domain: int, label: int) -> NDArray[np.intp]:
        """The images of one cell, in catalogue order; empty where the domain has none of the class."""
        order, starts = self._by_cell
        cell = domain * len(self.classes) + label
        return order[starts[cell] : starts[cell + 1]]

    def domain_position(self, name: str) -> int:
        """The number of a domain.

        Raises:
            UsageError: there is no such domain; the known ones are listed.
        """
        if name not in self.domains:
            raise UsageError(f"Unknown domain {name!r}; {self.name} has {', '.join(self.domains)}.")
        return self.domains.index(name)

    def select(self, index: ArrayLike) -> "Catalogue":
        """The catalogue of the images at ``index``, in that order; domains and classes stay as they are."""
        kept = np.asarray(index, dtype=np.intp)
        return replace(self, paths=tuple(self.paths[i] for i in kept), domain=self.domain[kept], label=self.label[kept])
