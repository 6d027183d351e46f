"""Image folders: ``root/<domain>/<class>/<image>`` trees, listed without opening an image."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.data.catalogue import Catalogue
from experiments.data.names import same_name
from geometry.errors import DataError

MOST_NAMED = 5
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def read_tree(
    root: Path,
    *,
    name: str | None = None,
    expected_domains: Sequence[str] | None = None,
    allow_missing: bool = False,
) -> Catalogue:
    """List a tree ``root/<domain>/<class>/<image>``.

    Domains, classes and files come in sorted order, which is the order (and the label numbers) of torchvision's
    ``ImageFolder`` on every domain. Hidden entries and files without an image's extension are passed over.

    Args:
        root: the folder that holds the domains.
        name: the data set's name; the folder's own without one.
        expected_domains: the domains to read, and no others (capitals, blanks, ``_`` and ``-`` make no difference);
            without them, every folder is a domain.
        allow_missing: accept a domain that has no image of some class (its cell is then of size 0).

    Raises:
        DataError: a missing, empty or unreadable root, an expected domain that is missing, a domain without
            images, a domain that lacks a class other domains have.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"Expected a data folder at {root}, found {'a file' if root.exists() else 'nothing there'}.")
    domains = folders_in(root)
    if expected_domains is not None:
        domains = _matching(domains, expected_domains, root)
    if not domains:
        raise DataError(f"Expected images as <domain>/<class>/<image> under {root}, found no folder there.")
    files = {domain: {cls: images_in(root / domain / cls) for cls in folders_in(root / domain)} for domain in domains}
    classes = tuple(sorted({cls for cells in files.values() for cls, images in cells.items() if images}))
    if not classes:
        raise DataError(
            f"Expected images ({', '.join(EXTENSIONS)}) as <domain>/<class>/<image> under {root}, found folders but "
            f"no image of these kinds."
        )
    _require_classes(files, classes, root, allow_missing)
    paths, domain_numbers, labels = [], [], []
    for d, domain in enumerate(domains):
        for k, cls in enumerate(classes):
            for file in files[domain].get(cls, ()):
                paths.append(f"{domain}/{cls}/{file}")
                domain_numbers.append(d)
                labels.append(k)
    return Catalogue(
        name or root.resolve().name,
        root,
        tuple(domains),
        classes,
        tuple(paths),
        np.array(domain_numbers, dtype=np.int64),
        np.array(labels, dtype=np.int64),
    )


@dataclass(frozen=True)
class PassedOver:
    """What a tree holds below its domains that no catalogue lists.

    Attributes:
        empty: class folders without a single image, ``domain/class``.
        others: files in class folders by their ending, where that is none of :data:`EXTENSIONS`.
    """

    empty: tuple[str, ...]
    others: Mapping[str, int]

    def words(self) -> str:
        """What a person should know of it, in one sentence; nothing where nothing was passed over.

        >>> PassedOver(("clip/new",), {".gif": 1}).words()
        'Passed over: 1 class folder without images (clip/new); 1 file of another kind (.gif).'
        """
        said = []
        if self.empty:
            named = ", ".join(self.empty[:MOST_NAMED]) + (", ..." if len(self.empty) > MOST_NAMED else "")
            said.append(f"{len(self.empty)} class folder{'s' * (len(self.empty) > 1)} without images ({named})")
        if count := sum(self.others.values()):
            kinds = ", ".join(self.others)
            said.append(
                f"{count} file{'s' * (count > 1)} of {'other kinds' if count > 1 else 'another kind'} ({kinds})"
            )
        return f"Passed over: {'; '.join(said)}." if said else ""


def passed_over(catalogue: Catalogue) -> PassedOver:
    """What the folders that a catalogue was listed from hold beside its images; nothing where it is no tree.

    Class folders are those beside the ones with images, so that a tree of one domain is looked through as well.
    """
    beside = {str(Path(path).parent.parent) for path in catalogue.paths}
    empty, others = [], Counter[str]()
    for domain in sorted(beside) if catalogue.root.is_dir() else ():
        folder = catalogue.root / domain
        for name in folders_in(folder) if folder.is_dir() else ():
            if not images_in(folder / name):
                empty.append((Path(domain) / name).as_posix())
            for file in _entries(folder / name, directories=False):
                if not file.lower().endswith(EXTENSIONS):
                    others[Path(file).suffix.lower() or "without ending"] += 1
    return PassedOver(tuple(empty), dict(sorted(others.items())))


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out."""
    return _entries(folder, directories=True)


def images_in(folder: Path) -> list[str]:
    """Names of the files in a folder that have an image's ending, sorted, hidden ones left out."""
    return [file for file in _entries(folder, directories=False) if file.lower().endswith(EXTENSIONS)]


def _entries(folder: Path, *, directories: bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir() == directories
            )
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder}: {error.strerror or error}.") from error


def _matching(found: list[str], expected: Sequence[str], root: Path) -> list[str]:
    chosen = []
    for domain in expected:
        matches = [folder for folder in found if same_name(folder, domain)]
        if not matches:
            raise DataError(
                f"Expected a domain folder {domain!r} in {root}, found {', '.join(found) or 'no folder at all'}."
            )
        chosen.append(matches[0])
    return sorted(chosen)


def _require_classes(
    files: dict[str, dict[str, list[str]]], classes: tuple[str, ...], root: Path, allow_missing: bool
) -> None:
    for domain, cells in files.items():
        present = [cls for cls in classes if cells.get(cls)]
        if not present:
            raise DataError(
                f"Domain folder {root / domain} holds no image ({', '.join(EXTENSIONS)}) in any class folder."
            )
        lacking = [cls for cls in classes if not cells.get(cls)]
        if lacking and not allow_missing:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise DataError(
                f"Domain {domain!r} has no image of class {lacking[0]!r}{more}, which other domains in {root} have. "
                f"Restore the folder, or give --allow-missing (in a sweep allow_missing: true) if the data set is like "
                f"that."
            )
