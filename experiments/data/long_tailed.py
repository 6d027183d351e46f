"""Sets of one training and one test split as catalogues of two domains, ``train`` and ``test``.

The test split is the held-out target; everything downstream reads such a set like any other.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.data.catalogue import Catalogue
from experiments.data.folders import folders_in, images_in, read_tree
from experiments.data.names import TEST, TRAIN, same_name
from experiments.data.randomness import named_generator
from geometry.errors import DataError

TEST_NAMES = (TEST, "val", "valid", "validation")  # the first one that is there is the test split
TEST_SHARE = 0.2
DIVISION_SEED = 0  # a test split belongs to the data set, so every run has the same


def is_long_tailed(domains: Sequence[str]) -> bool:
    """Whether these are the domains of a set of one training and one test split."""
    return set(domains) == {TRAIN, TEST}


def targets(domains: Sequence[str]) -> tuple[str, ...]:
    """The domains that may be held out: all, but of a training and a test split the test split alone."""
    return (TEST,) if is_long_tailed(domains) else tuple(domains)


def require_sources(name: str, domains: Sequence[str]) -> None:
    """Refuse a data set of one domain: held out, it leaves nothing to train on.

    Raises:
        DataError: there is one domain.
    """
    if len(domains) == 1:
        raise DataError(
            f"{name} has one domain, {domains[0]!r}; holding it out leaves nothing to train on. "
            f"For one domain give the folder of its classes (root/<class>/<image>) or root/{{train,test}}."
        )


def comes_in_order(catalogue: Catalogue) -> bool:
    """Whether the training images have a folder of their own, so that somebody chose and numbered them."""
    first = {TRAIN: set(), TEST: set()}
    for path, domain in zip(catalogue.paths, catalogue.domain, strict=True):
        first[catalogue.domains[domain]].add(path.split("/")[0])
    return all(same_name(folder, TRAIN) for folder in first[TRAIN]) and not first[TRAIN] & first[TEST]


def read_two_splits(root: Path, name: str, *, allow_missing: bool = False) -> Catalogue | None:
    """A tree ``root/{train,test}/<class>/<image>`` or ``root/<class>/<image>``; None where the tree is another.

    Without a folder ``test``, one called val is the test split; beside ``test`` it is passed over. Without either,
    a test split is taken off (:func:`divide`).

    Raises:
        DataError: no class folder, a class without images in one of the splits, a class too small to divide.
    """
    found = folders_in(root) if root.is_dir() else []
    train = [folder for folder in found if same_name(folder, TRAIN)]
    test = [folder for known in TEST_NAMES for folder in found if same_name(folder, known)]
    if train and test and len(train) + len(test) == len(found):
        tree = read_tree(root, name=name, expected_domains=[train[0], test[0]], allow_missing=allow_missing)
        domain = (np.array(tree.domains)[tree.domain] == test[0]).astype(np.int64)
        return in_catalogue_order(replace(tree, domains=(TRAIN, TEST), domain=domain))
    if any(images_in(root / folder) for folder in found) and not any(folders_in(root / folder) for folder in found):
        whole = Path(root).absolute()
        return divide(replace(read_tree(whole.parent, expected_domains=[whole.name]), name=name))
    return None


def in_catalogue_order(catalogue: Catalogue) -> Catalogue:
    """The catalogue domain by domain, class by class, files in the order they have."""
    return catalogue.select(np.lexsort((catalogue.label, catalogue.domain)))


def divide(catalogue: Catalogue, share: float = TEST_SHARE) -> Catalogue:
    """Take a balanced test split off a set of one domain: the same number of images of every class (ours).

    They are drawn first, before any imbalance: ``share`` of the smallest class (at least 1), by a generator that
    belongs to the class's name. No run's seed has a part in it, so all runs have the same test split.

    Args:
        catalogue: of one domain.
        share: of the smallest class, in (0, 1).

    Raises:
        DataError: a class of fewer than two images (named).
    """
    sizes = catalogue.sizes[0]
    if sizes.min() < 2:
        raise DataError(
            f"Expected two images or more of every class, to test and to train; {catalogue.name} has {sizes.min()} of "
            f"class {catalogue.classes[int(sizes.argmin())]!r}. Make a folder train and a folder test of your own."
        )
    tested = max(1, int(np.floor(share * sizes.min() + 1e-9)))
    domain = np.zeros(len(catalogue), dtype=np.int64)
    for k, cls in enumerate(catalogue.classes):
        domain[named_generator(DIVISION_SEED, "test split", cls).permutation(catalogue.indices(0, k))[:tested]] = 1
    return in_catalogue_order(replace(catalogue, domains=(TRAIN, TEST), domain=domain))
