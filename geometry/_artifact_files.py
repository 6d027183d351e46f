"""Reading and writing the two files of an artifact."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.atomic import plain, read_directory, read_json, replacing_directory
from geometry.errors import DataError, UsageError
from geometry.shots import ShotThresholds

Arrays = dict[str, NDArray[Any]]
FORMAT = "tailgeom-artifact/1"
OPTIONAL = ("projections", "logits", "domains", "split", "head_weight", "head_bias", "train_counts")
FILES = ("arrays.safetensors", "manifest.json")
MOST_NAMES = 100_000  # a label beyond is an id, not a class
LARGEST_INTEGER = 2**40
PROBE = "probe/"


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the manifest at ``path`` (a directory, ``.npz`` or ``.safetensors``)."""
    return read_directory(path, _read)


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    if not path.exists():
        raise DataError(f"Expected an artifact at {path}, found nothing there.")
    if path.is_dir():
        manifest = read_json(path / "manifest.json")
        found = manifest.get("format") if isinstance(manifest, dict) else None
        if found != FORMAT:
            newer = isinstance(found, str) and found.startswith(FORMAT.partition("/")[0])
            given = f", got {found!r}: the artifact was written by another version" if newer else ""
            raise DataError(f'Expected "format": "{FORMAT}" in {path / "manifest.json"}{given}.')
        return read_safetensors(path / "arrays.safetensors"), manifest
    if path.suffix == ".npz":
        return _read_npz(path), {}
    if path.suffix == ".safetensors":
        return read_safetensors(path), {}
    raise DataError(f"Expected an artifact directory, .npz or .safetensors, got {path}.")


def _read_npz(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            arrays = {}
            for name in names:
                try:
                    arrays[name] = archive[name]
                except ValueError as error:
                    raise DataError(
                        f"Array {name!r} in {path} is a pickle, which is never loaded; save numbers only."
                    ) from error
            return arrays
    except DataError:
        raise
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, TypeError, NotImplementedError) as error:
        raise DataError(f"Cannot read {path} as .npz (numpy.savez of plain arrays).") from error


def read_safetensors(path: Path) -> Arrays:
    """The arrays of a safetensors file, every failure in one sentence."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        raise DataError(f"Expected arrays at {path}, found no file.")
    try:
        return dict(load_file(path))
    except (TypeError, AttributeError) as error:  # a dtype that numpy has no name for: bfloat16, the float8 kinds
        raise DataError(f"Cannot read {path} ({error}); save float16, float32 or float64.") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(
            f"Cannot read {path} as safetensors ({error}); a pickled or truncated file is never loaded."
        ) from error


def parse(arrays: Arrays, manifest: dict[str, Any], path: str) -> dict[str, Any]:
    """The fields of an artifact from raw arrays and manifest, names filled in where none are given."""
    for name in ("features", "labels"):
        if name not in arrays:
            raise DataError(f"Expected an array named {name!r} in {path}, found {sorted(arrays) or 'none'}.")
    labels = _codes(arrays["labels"], "labels")
    domains = _codes(arrays["domains"], "domains") if "domains" in arrays else np.zeros(len(labels), np.int64)
    split = _codes(arrays["split"], "split") if "split" in arrays else np.zeros(len(labels), np.int64)
    counts = arrays.get("train_counts", manifest.get("train_counts"))
    classes = _names(manifest, "classes", path) or [str(k) for k in range(_num_classes(arrays, labels))]
    names = _names(manifest, "domains", path) or _numbered(domains, "domain")
    splits = _names(manifest, "splits", path) or _numbered(split, "split")
    try:
        return {
            "features": arrays["features"],
            "labels": labels,
            "class_names": tuple(classes),
            "logits": arrays.get("logits"),
            "domains": domains,
            "domain_names": tuple(names),
            "split": split,
            "split_names": tuple(splits),
            "head_weight": arrays.get("head_weight"),
            "head_bias": arrays.get("head_bias"),
            "train_counts": None if counts is None else _integers(counts, "train_counts"),
            "held_out": manifest.get("held_out"),
            "shot_thresholds": _thresholds(manifest, path),
            "sample_ids": tuple(_names(manifest, "sample_ids", path)),
            "probes": {key.removeprefix(PROBE): value for key, value in arrays.items() if key.startswith(PROBE)},
            "provenance": _provenance(manifest, path),
            "projections": arrays.get("projections"),
        }
    except (TypeError, AttributeError) as error:
        raise DataError(f"The manifest of {path} is not of the documented form: {error}.") from error


def _num_classes(arrays: Arrays, labels: NDArray[np.int64]) -> int:
    if "logits" in arrays and arrays["logits"].ndim == 2:
        return int(arrays["logits"].shape[1])
    if "head_weight" in arrays and arrays["head_weight"].ndim == 2:
        return int(arrays["head_weight"].shape[0])
    top = int(labels.max()) if labels.size else -1
    _require_few(top, "label")
    return top + 1


def _require_few(top: int, what: str) -> None:
    if top >= MOST_NAMES:
        raise DataError(f"Expected each {what} to be a number from 0 on, got one as large as {top}; number them anew.")


def _numbered(codes: NDArray[np.int64], what: str) -> list[str]:
    top = int(codes.max()) if codes.size else 0
    _require_few(top, what)
    return ["all"] if top <= 0 else [f"{what}{index}" for index in range(top + 1)]


def _names(manifest: Mapping[str, Any], key: str, path: str) -> list[str]:
    names = manifest.get(key)
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"Expected a list of strings under {key!r} in the manifest of {path}.")
    if len(set(names)) < len(names) or not all(names) or any(_surrogates(name) for name in names):
        raise DataError(f"Expected distinct, non-empty names under {key!r} in the manifest of {path}.")
    return names


def _surrogates(name: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def _provenance(manifest: Mapping[str, Any], path: str) -> dict[str, Any]:
    given = manifest.get("provenance") or {}
    parts = ("data", "versions", "hardware", "run", "frozen")
    if not isinstance(given, dict) or not all(isinstance(given.get(part) or {}, dict) for part in parts):
        raise DataError(f"Expected named values under 'provenance' in the manifest of {path}.")
    return {name: value for name, value in given.items() if value is not None}


def _thresholds(manifest: Mapping[str, Any], path: str) -> ShotThresholds | None:
    given = manifest.get("shot_thresholds")
    if given is None:
        return None
    numbers = isinstance(given, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in given.values()
    )
    if not numbers or set(given) != {"many", "few"}:
        raise DataError(f"Expected two numbers, many and few, under 'shot_thresholds' in the manifest of {path}.")
    try:
        return ShotThresholds(**given)
    except UsageError as error:
        raise DataError(f"The manifest of {path} is not of the documented form: {error}") from error


def _codes(values: NDArray[Any], name: str) -> NDArray[np.int64]:
    codes = _integers(values, name)
    if codes.ndim != 1:
        raise DataError(f"Expected `{name}` of shape (N,), one integer per sample, got {codes.shape}.")
    return codes


def _integers(values: Any, name: str) -> NDArray[np.int64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        found = str(values.dtype) if isinstance(values, np.ndarray) else "something else or rows of unequal length"
        raise DataError(f"Expected integers in `{name}`, got {found}.") from error
    if not np.all(np.isfinite(numbers)) or np.any(numbers != np.round(numbers)):
        raise DataError(f"Expected integers in `{name}`, got fractions, NaN or infinities.")
    if np.abs(numbers).max(initial=0) > LARGEST_INTEGER:
        raise DataError(f"Expected integers below 2^40 in `{name}`, got {np.abs(numbers).max():.3g}.")
    return numbers.astype(np.int64)


def pack(fields: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the manifest that represent an artifact on disk."""
    arrays: Arrays = {"features": fields["features"], "labels": fields["labels"]}
    for name in OPTIONAL:
        value = fields[name]
        if value is not None and name != "train_counts":
            arrays[name] = value
    arrays |= {PROBE + name: value for name, value in fields["probes"].items()}
    thresholds = fields["shot_thresholds"]
    manifest = {
        "format": FORMAT,
        "classes": list(fields["class_names"]),
        "domains": list(fields["domain_names"]),
        "splits": list(fields["split_names"]),
        "held_out": fields["held_out"],
        "train_counts": None if fields["train_counts"] is None else fields["train_counts"].tolist(),
        "shot_thresholds": None if thresholds is None else {"many": thresholds.many, "few": thresholds.few},
        "provenance": plain(fields["provenance"]),
        "sample_ids": list(fields["sample_ids"]),
    }
    return arrays, manifest


def write(arrays: Arrays, manifest: dict[str, Any], path: Path) -> None:
    """Write both files into a directory that appears whole or not at all."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with replacing_directory(path, FILES) as directory:
        try:
            save_file(
                {name: np.ascontiguousarray(value) for name, value in arrays.items()},
                directory / "arrays.safetensors",
            )
        except SafetensorError as error:  # a full disk among others, told as what it is
            raise OSError(str(error)) from error
        (directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
