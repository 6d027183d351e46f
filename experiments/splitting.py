"""From a configuration to a catalogue and its split, the same for images and for the features of them."""

from collections.abc import Mapping
from pathlib import Path

from experiments.config import DataConfig, Value, is_table
from experiments.data.catalogue import Catalogue
from experiments.data.datasets import open_dataset
from experiments.data.decode import decode
from experiments.data.imbalance import read_counts
from experiments.data.protocols import protocol, shot_thresholds
from experiments.data.settings import make_counts
from experiments.data.splits import Split, make_split
from experiments.inputs import Progress
from geometry.errors import UsageError
from geometry.shots import ShotThresholds

DIGITS_SIZE, PHOTOGRAPH_SIZE = 28, 224


def split_catalogue(catalogue: Catalogue, config: DataConfig) -> tuple[Split, ShotThresholds]:
    """The split of a catalogue under a setting or a table of counts, and its shot thresholds.

    Raises:
        UsageError: an unknown domain, setting or parameter, or no held-out domain.
        DataError: a cell with too few images, a table of counts that does not fit.
    """
    config = config.filled()
    if not config.test_domain:
        raise UsageError(f"Name the held-out domain after --test-domain; it is one of {', '.join(catalogue.domains)}.")
    held_out = catalogue.domain_position(config.test_domain)
    sources = [m for m in range(len(catalogue.domains)) if m != held_out]
    names = [catalogue.domains[m] for m in sources]
    setting = Path(config.setting).stem if is_table(config.setting) else config.setting
    published = protocol(catalogue.name, setting)
    validation = config.validation or published.validation
    if is_table(config.setting):
        if config.setting_options:
            raise UsageError(f"The counts in {config.setting} have no parameters; leave out --setting-options.")
        table = read_counts(
            Path(config.setting), domains=names, classes=catalogue.classes, ignore=(config.test_domain,)
        )
    else:
        table = make_counts(
            setting,
            catalogue.sizes[sources],
            names,
            catalogue.classes,
            validation=validation,
            seed=config.seed,
            **(dict(published.parameters) | numbers(config.setting_parameters)),
        )
    split = make_split(catalogue, table, config.test_domain, validation=validation, seed=config.seed)
    if config.shots is not None:
        return split, ShotThresholds(*config.shots)
    return split, shot_thresholds(catalogue.name, setting, config.test_domain, table.counts)


def image_size(catalogue: Catalogue, config: DataConfig) -> int:
    """Pixels a side: the configured ones, else the data set's own."""
    return config.image_size or (DIGITS_SIZE if catalogue.name == "digits" else PHOTOGRAPH_SIZE)


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
    catalogue = open_dataset(config.dataset, config.data, allow_missing=config.allow_missing)
    if not config.skip_broken:
        return catalogue, ()
    # Broken files are found before splitting, so that counts and splits are those of the images that remain.
    found = decode(catalogue, size=1, skip_broken=True, progress=progress)
    return (catalogue.select(found.kept) if found.broken else catalogue), found.broken
