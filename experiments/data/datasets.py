"""Data sets by name: the embedded digits, the DomainBed benchmarks, any image tree."""

from dataclasses import dataclass
from pathlib import Path

from experiments.data.catalogue import Catalogue
from experiments.data.digits import digits
from experiments.data.folders import read_tree, same_name
from geometry.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """Where DomainBed keeps a benchmark.

    Attributes:
        folder: name of the data set's folder.
        domains: names of its domain folders.
    """

    folder: str
    domains: tuple[str, ...]


LAYOUTS: dict[str, Layout] = {
    "PACS": Layout("PACS", ("art_painting", "cartoon", "photo", "sketch")),
    "VLCS": Layout("VLCS", ("Caltech101", "LabelMe", "SUN09", "VOC2007")),
    "OfficeHome": Layout("office_home", ("Art", "Clipart", "Product", "Real World")),
    "TerraIncognita": Layout("terra_incognita", ("location_100", "location_38", "location_43", "location_46")),
    "DomainNet": Layout("domain_net", ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")),
}
KNOWN = ("digits", *LAYOUTS)


def open_dataset(name: str, root: Path | None = None, *, allow_missing: bool = False) -> Catalogue:
    """The catalogue of a data set.

    Args:
        name: ``digits`` (embedded, needs no root), a benchmark of :data:`LAYOUTS` (capitals make no difference), or
            any other name for a tree ``root/<domain>/<class>/<image>`` of your own.
        root: the data set's folder or the folder above it.
        allow_missing: accept a domain that lacks a class (see :func:`experiments.data.folders.read_tree`).

    Raises:
        UsageError: an unknown name without a root, a benchmark without a root.
        DataError: what :func:`experiments.data.folders.read_tree` refuses.
    """
    known = next((other for other in KNOWN if same_name(other, name)), None)
    if root is None:
        if known == "digits":
            return digits()
        if known is None:
            raise UsageError(f"Unknown data set {name!r}; known are {', '.join(KNOWN)}. For another, name its folder.")
        raise UsageError(f"{known} does not ship with tailgeom; name the folder that holds {LAYOUTS[known].folder}/.")
    if known is None or known == "digits":
        return read_tree(root, name=known or name, allow_missing=allow_missing)
    layout = LAYOUTS[known]
    inner = Path(root) / layout.folder
    return read_tree(
        inner if inner.is_dir() else Path(root),
        name=known,
        expected_domains=layout.domains,
        allow_missing=allow_missing,
    )
