"""From a configuration to a catalogue and its split, the same for images and for the features of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.data.catalogue import Catalogue
from experiments.data.datasets import open_dataset
from experiments.data.decode import decode
from experiments.data.imbalance import CountTable, read_counts
from experiments.data.long_tailed import comes_in_order, is_long_tailed, require_sources
from experiments.data.names import TEST, long_tailed
from experiments.data.protocols import long_tailed_protocol, protocol, shot_thresholds
from experiments.data.settings import make_counts
from experiments.data.splits import Split, make_split
from experiments.data_config import DataConfig, is_table
from experiments.inputs import Progress
from experiments.named_values import Value
from geometry.errors import UsageError
from geometry.shots import ShotThresholds

DIGITS_SIZE, PHOTOGRAPH_SIZE = 28, 224


def split_catalogue(catalogue: Catalogue, config: DataConfig) -> tuple[Split, ShotThresholds]:
    """The split of a catalogue under a setting or a table of counts, and its shot thresholds.

    A set of one training and one test split is used as :func:`experiments.data.protocols.long_tailed_protocol` says:
    all of the test split is the target, no run's seed has a part in the split, and with ``--validation N`` classes of
    more than N + 1 training images give N of them.

    Raises:
        UsageError: an unknown domain, setting or parameter, or no held-out domain.
        DataError: one domain alone, a cell with too few images, a table of counts that does not fit.
    """
    config = config.filled()
    require_sources(catalogue.name, catalogue.domains)
    held_out_name = config.test_domain or (TEST if is_long_tailed(catalogue.domains) else "")
    if not held_out_name:
        raise UsageError(f"Name the held-out domain after --test-domain; it is one of {', '.join(catalogue.domains)}.")
    held_out = catalogue.domain_position(held_out_name)
    sources = [m for m in range(len(catalogue.domains)) if m != held_out]
    names = [catalogue.domains[m] for m in sources]
    setting = Path(config.setting).stem if is_table(config.setting) else config.setting
    two_splits = is_long_tailed(catalogue.domains) and held_out_name == TEST
    published = long_tailed_protocol(catalogue.name, setting) if two_splits else protocol(catalogue.name, setting)
    validation = config.validation or published.validation
    if is_table(config.setting):
        if config.setting_options:
            raise UsageError(f"The counts in {config.setting} have no parameters; leave out --setting-options.")
        table = read_counts(Path(config.setting), domains=names, classes=catalogue.classes, ignore=(held_out_name,))
    else:
        table = make_counts(
            setting,
            catalogue.sizes[sources],
            names,
            catalogue.classes,
            validation=0 if two_splits else validation,
            seed=config.seed,
            **(dict(published.parameters) | numbers(config.setting_parameters)),
        )
    if two_splits:
        table, reserved = reserve_validation(table, validation)
        split = make_split(
            catalogue,
            table,
            held_out_name,
            validation=reserved,
            labels=config.labels,
            in_order=comes_in_order(catalogue),
            whole_target=True,
        )
    else:
        split = make_split(
            catalogue, table, held_out_name, validation=validation, seed=config.seed, labels=config.labels
        )
    if config.shots is not None:
        return split, ShotThresholds(*config.shots)
    if two_splits and published.shots is not None:
        return split, published.shots
    return split, shot_thresholds(catalogue.name, setting, held_out_name, table.counts)


def reserve_validation(table: CountTable, validation: int) -> tuple[CountTable, NDArray[np.int64]]:
    """Take validation images out of the training counts, where classes are not tiny.

    Args:
        table: training counts.
        validation: images that every cell of more than ``validation + 1`` gives.

    Returns:
        What is left to train on, and ``(M_s, K)`` validation images; the table's parameters say both.
    """
    reserved = np.where(table.counts > validation + 1, validation, 0)
    told = {"validation": validation, "classes that validate": int((reserved > 0).sum())} if validation else {}
    parameters = {**table.parameters, **told}
    return replace(table, counts=table.counts - reserved, parameters=parameters), reserved


def image_size(catalogue: Catalogue, config: DataConfig) -> int:
    """Pixels a side: the configured ones, else the data set's own."""
    known = long_tailed(catalogue.name)
    usual = known.image_size if known else DIGITS_SIZE if catalogue.name == "digits" else PHOTOGRAPH_SIZE
    return config.image_size or usual


def numbers(parameters: Mapping[str, Value]) -> dict[str, float]:
    """Setting parameters, all of which are numbers or switches.

    Raises:
        UsageError: one is a word.
    """
    for name, value in parameters.items():
        if isinstance(value, str):
            raise UsageError(f"Expected a number for {name} after --setting-options, got {value!r}.")
    return {name: value for name, value in parameters.items() if not isinstance(value, str)}


def open_catalogue(config: DataConfig, progress: Progress | None) -> tuple[Catalogue, tuple[str, ...]]:
    """The catalogue of the configured data set, and the broken files left out of it where that is asked for."""
    catalogue = open_dataset(config.dataset_name, config.data, allow_missing=config.allow_missing)
    if not config.skip_broken:
        return catalogue, ()
    # Broken files are found before splitting, so that counts and splits are those of the images that remain.
    found = decode(catalogue, size=1, skip_broken=True, progress=progress)
    return (catalogue.select(found.kept) if found.broken else catalogue), found.broken
