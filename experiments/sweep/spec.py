"""The spec of a sweep: what its YAML file says, every word of it checked before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from experiments.config import ModelConfig, OptimConfig
from experiments.data_config import DataConfig
from experiments.sweep.plain_yaml import read_yaml
from experiments.sweep.ranges import parse_range
from experiments.sweep.setting_options import require_setting_options
from geometry.errors import DataError, TailgeomError, UsageError

KEEP = ("checkpoint", "logits", "splits", "gradients")
AXES = ("dataset", "setting", "held_out", "seed")
SPEC_KEYS = (
    "name", "datasets", "algorithms", "seeds", "draws", "draws_differ_by", "draw_seed", "search", "chosen_from",
    "train", "model", "keep", "probes", "resources",
)  # fmt: skip
SETTING_KEYS = ("setting", "setting_options", "validation", "shots", "labels")
DATA_KEYS = ("dataset", "data", "validation", "image_size", "allow_missing", "skip_broken", "shots", "labels")
DATASET_KEYS = (*DATA_KEYS, "features", "settings", "held_out")
VARIANT_KEYS = ("algorithm", "name", "options", "train", "search")
MODEL_KEYS = tuple(f.name for f in fields(ModelConfig))
TRAIN_KEYS = tuple(f.name for f in fields(OptimConfig) if f.name not in ("algorithm", "options"))
SEARCHED_IN_TRAINING = tuple(
    name for name in TRAIN_KEYS if name not in ("checkpoint_every", "log_every", "snapshots", "device")
)


@dataclass(frozen=True)
class Source:
    """A data set of the grid, or the features of one.

    Attributes:
        data: fields of :class:`experiments.data_config.DataConfig` that all its runs share.
        features: an artifact with the features of all its images; None for images.
        settings: fields of ``DataConfig`` of one imbalance setting each.
        held_out: target domains; empty for all.
    """

    data: Mapping[str, Any]
    features: Path | None
    settings: tuple[Mapping[str, Any], ...]
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """An algorithm of the grid with options of its own.

    Attributes:
        name: what tables call it; the algorithm's own name by default.
        algorithm: its name.
        options: those that are not the algorithm's defaults.
        train: fields of :class:`experiments.config.OptimConfig` that differ from the spec's.
        search: ranges by parameter; None takes a parameter out of the search.
    """

    name: str
    algorithm: str
    options: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """A grid of runs: data sets x settings x held-out domains x variants x draws x seeds.

    Attributes:
        name: of the sweep.
        sources: the data.
        variants: the algorithms.
        seeds: of splits, initialisation, batches.
        draws: hyper-parameter draws; number 0 is the defaults.
        draws_differ_by: along which of :data:`AXES` draws differ; along the others they are the same.
        draw_seed: of the draws.
        search: ranges that all variants share.
        chosen_from: the directory of a finished search; every run then has the hyper-parameters that were best there on
            source validation for its data set, setting, held-out domain and variant, and there is one draw.
        train: training options that all variants share.
        model: fields of :class:`experiments.config.ModelConfig`.
        keep: what stays in a run's directory beside its numbers, out of :data:`KEEP`; ``gradients`` are more numbers,
            :func:`experiments.sweep.gradients.gradient_shares`.
        probes: measured on every trained model, for ``tailgeom check``, beside those that extraction always makes.
        cpus: cores that a job needs on a cluster.
        gpus: GPUs that a job needs on a cluster; a fraction shares one.
    """

    name: str
    sources: tuple[Source, ...]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    draws: int = 1
    draws_differ_by: tuple[str, ...] = ("dataset", "seed")
    draw_seed: int = 0
    search: Mapping[str, Any] = field(default_factory=dict)
    chosen_from: Path | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    keep: tuple[str, ...] = ("checkpoint", "logits")
    probes: tuple[str, ...] = ()
    cpus: float = 1.0
    gpus: float = 0.0


def read_spec(path: Path) -> Spec:
    """The spec in a YAML file.

    Raises:
        DataError: no such file, or no YAML.
        UsageError: an unknown key or name, or a value of the wrong form; the key is named.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise DataError(f"Cannot read the spec {path}: {reason}.") from error
    try:
        given = read_yaml(text)
    except yaml.YAMLError as error:
        raise DataError(f"Expected YAML in {path}: {' '.join(str(error).split())}.") from error
    try:
        return parse_spec(given, name=Path(path).stem)
    except TailgeomError as error:
        raise type(error)(f"{path}: {error}") from error


def parse_spec(given: Any, name: str = "sweep") -> Spec:
    """A spec from the plain values of its file; ``name`` is used where it has none.

    Raises:
        UsageError: as :func:`read_spec`.
    """
    _require_keys("the spec", given, SPEC_KEYS)
    train = _fields("train", given.get("train", {}), OptimConfig, TRAIN_KEYS)
    model = _fields("model", given.get("model", {}), ModelConfig, MODEL_KEYS)
    resources = given.get("resources", {})
    if "chosen_from" in given and given.get("draws", 1) != 1:
        raise UsageError("Expected draws or chosen_from, which has one draw, got both.")
    if "chosen_from" in given and "search" in given:
        raise UsageError("Expected search or chosen_from, whose ranges are those of its search, got both.")
    _require_keys("resources", resources, ("cpus", "gpus"))
    variants = tuple(_variant(entry) for entry in _list("algorithms", given.get("algorithms")))
    names = [variant.name for variant in variants]
    if twice := [known for known in names if names.count(known) > 1]:
        raise UsageError(f"Expected every algorithm under a name of its own, got {twice[0]!r} twice; add name: to one.")
    return Spec(
        name=_word("name", given.get("name", name)),
        sources=tuple(_source(entry) for entry in _list("datasets", given.get("datasets"))),
        variants=variants,
        seeds=_seeds(given.get("seeds", 1)),
        draws=_whole("draws", given.get("draws", 1), 1),
        draws_differ_by=_names("draws_differ_by", given.get("draws_differ_by", ["dataset", "seed"]), AXES),
        draw_seed=_whole("draw_seed", given.get("draw_seed", 0), 0),
        search=_search("search", given.get("search", {})),
        chosen_from=Path(_word("chosen_from", given["chosen_from"])) if "chosen_from" in given else None,
        train=train,
        model=model,
        keep=_names("keep", given.get("keep", ["checkpoint", "logits"]), KEEP),
        probes=tuple(_word("probes", probe) for probe in _list("probes", given["probes"])) if "probes" in given else (),
        cpus=_amount("resources: cpus", resources.get("cpus", 1)),
        gpus=_amount("resources: gpus", resources.get("gpus", 0)),
    )


def _source(given: Any) -> Source:
    given = {"dataset": given} if isinstance(given, str) else given
    _require_keys("datasets", given, DATASET_KEYS)
    if "dataset" not in given:
        raise UsageError("Expected dataset: NAME in every entry of datasets.")
    features, held_out = given.get("features"), given.get("held_out", "all")
    data = _fields("datasets", {key: given[key] for key in DATA_KEYS if key in given}, DataConfig, DATA_KEYS)
    found = _list("settings", given.get("settings"))
    entries = [{"setting": entry} if isinstance(entry, str) else entry for entry in found]
    for entry in entries:
        _require_keys("settings", entry, SETTING_KEYS)
        if "setting" not in entry:
            raise UsageError("Expected setting: NAME in every entry of settings.")
    settings = tuple(_fields("settings", entry, DataConfig, SETTING_KEYS) for entry in entries)
    for setting in settings:
        require_setting_options(setting["setting"], setting.get("setting_options", ()))
    return Source(
        data=data,
        features=None if features is None else Path(_word("features", features)),
        settings=settings,
        held_out=() if held_out == "all" else tuple(_word("held_out", name) for name in _list("held_out", held_out)),
    )


def _variant(given: Any) -> Variant:
    given = {"algorithm": given} if isinstance(given, str) else given
    _require_keys("algorithms", given, VARIANT_KEYS)
    if "algorithm" not in given:
        raise UsageError("Expected algorithm: NAME in every entry of algorithms.")
    algorithm = _word("algorithm", given["algorithm"])
    options = given.get("options", {})
    if not isinstance(options, Mapping):
        raise UsageError(f"Expected the options of {algorithm} as name: value, got {options!r}.")
    return Variant(
        name=_word("name", given.get("name", algorithm)),
        algorithm=algorithm,
        options=dict(options),
        train=_fields(f"train of {algorithm}", given.get("train", {}), OptimConfig, TRAIN_KEYS),
        search=_search(f"search of {algorithm}", given.get("search", {})),
    )


def _search(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise UsageError(f"Expected {where} as parameter: range, got {given!r}.")
    return {str(name): None if found is None else parse_range(str(name), found) for name, found in given.items()}


def _fields(where: str, given: Any, kind: type[Any], known: Sequence[str]) -> dict[str, Any]:
    """Values of a configuration's fields, of the fields' own types, accepted by the configuration."""
    _require_keys(where, given, known)
    defaults = {f.name: f.default for f in fields(kind)}
    found = {name: _typed(f"{where}: {name}", value, defaults[name]) for name, value in given.items()}
    kind(**found)
    return found


def _typed(where: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise UsageError(f"Expected true or false for {where}, got {value!r}.")
    if isinstance(default, int | float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and (isinstance(default, float) or float(value).is_integer()):
            return type(default)(value)
        raise UsageError(f"Expected a {'whole ' if isinstance(default, int) else ''}number for {where}, got {value!r}.")
    if where.endswith(": setting_options") and isinstance(value, Mapping):
        return tuple(f"{name}={option}" for name, option in value.items())
    if where.endswith(": shots") and isinstance(value, list) and len(value) == 2:
        return tuple(_typed(where, end, 0.0) for end in value)
    if where.endswith(": data"):
        return Path(_word(where, value))
    return _word(where, value)


def _require_keys(where: str, given: Any, known: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise UsageError(f"Expected a mapping with {', '.join(known)} in {where}, got {given!r}.")
    if unknown := [str(key) for key in given if key not in known]:
        raise UsageError(f"Unknown key {unknown[0]!r} in {where}; known: {', '.join(known)}.")


def _list(where: str, given: Any) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise UsageError(f"Expected a list of one or more under {where}, got {given!r}.")
    return given


def _names(where: str, given: Any, known: Sequence[str]) -> tuple[str, ...]:
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or any(name not in known for name in given):
        raise UsageError(f"Expected {where} as a list out of {', '.join(known)}, got {given!r}.")
    return tuple(given)


def _word(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"Expected a word for {where}, got {value!r}.")
    return value


def _whole(where: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"Expected a whole number of {least} or more for {where}, got {value!r}.")
    return value


def _amount(where: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise UsageError(f"Expected a number of 0 or more for {where}, got {value!r}.")
    return float(value)


def _seeds(given: Any) -> tuple[int, ...]:
    """A number of seeds, from 0 on, or the seeds themselves."""
    if not isinstance(given, list):
        return tuple(range(_whole("seeds", given, 1)))
    found = tuple(_whole("seeds", seed, 0) for seed in _list("seeds", given))
    if len(set(found)) < len(found):
        raise UsageError(f"Expected every seed once, got {given!r}.")
    return found
