"""Reading, checking and writing the two files of an artifact."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.atomic import plain, read_json, recover_directory, replacing_directory
from geometry.errors import DataError
from geometry.shots import ShotThresholds

Arrays = dict[str, NDArray[Any]]
FORMAT = "tailgeom-artifact/1"
OPTIONAL = ("logits", "domains", "split", "head_weight", "head_bias", "train_counts")
KNOWN = ("features", "labels", *OPTIONAL)
PROBE = "probe/"


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the manifest at ``path`` (a directory, ``.npz`` or ``.safetensors``)."""
    recover_directory(path)
    if not path.exists():
        raise DataError(f"Expected an artifact at {path}, found nothing there.")
    if path.is_dir():
        manifest = read_json(path / "manifest.json")
        if not isinstance(manifest, dict) or not str(manifest.get("format", "")).startswith("tailgeom-artifact/"):
            raise DataError(f'Expected "format": "tailgeom-artifact/1" in {path / "manifest.json"}.')
        return _read_safetensors(path / "arrays.safetensors"), manifest
    if path.suffix == ".npz":
        return _read_npz(path), {}
    if path.suffix == ".safetensors":
        return _read_safetensors(path), {}
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
    except (OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"Cannot read {path} as .npz: {error}.") from error


def _read_safetensors(path: Path) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        raise DataError(f"Expected arrays at {path}, found no file.")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(
            f"Cannot read {path} as safetensors ({error}); a pickled or truncated file is never loaded."
        ) from error


def parse(arrays: Arrays, manifest: dict[str, Any], path: str) -> dict[str, Any]:
    """The fields of an artifact from raw arrays and manifest, names filled in where none are given."""
    for name in ("features", "labels"):
        if name not in arrays:
            raise DataError(f"Expected an array named {name!r} in {path}, found {sorted(arrays) or 'none'}.")
    labels = _integers(arrays["labels"], "labels")
    domains = _integers(arrays["domains"], "domains") if "domains" in arrays else np.zeros(len(labels), np.int64)
    split = _integers(arrays["split"], "split") if "split" in arrays else np.zeros(len(labels), np.int64)
    counts = arrays.get("train_counts", manifest.get("train_counts"))
    classes = manifest.get("classes") or [str(k) for k in range(_num_classes(arrays, labels))]
    names = manifest.get("domains") or _numbered(domains, "domain")
    splits = manifest.get("splits") or _numbered(split, "split")
    thresholds = manifest.get("shot_thresholds")
    try:
        return {
            "features": arrays["features"],
            "labels": labels,
            "class_names": tuple(map(str, classes)),
            "logits": arrays.get("logits"),
            "domains": domains,
            "domain_names": tuple(map(str, names)),
            "split": split,
            "split_names": tuple(map(str, splits)),
            "head_weight": arrays.get("head_weight"),
            "head_bias": arrays.get("head_bias"),
            "train_counts": None if counts is None else _integers(np.asarray(counts), "train_counts"),
            "held_out": manifest.get("held_out"),
            "shot_thresholds": None if thresholds is None else ShotThresholds(**thresholds),
            "sample_ids": tuple(map(str, manifest.get("sample_ids") or ())),
            "probes": {key.removeprefix(PROBE): value for key, value in arrays.items() if key.startswith(PROBE)},
            "provenance": manifest.get("provenance") or {},
        }
    except (TypeError, AttributeError) as error:
        raise DataError(f"The manifest of {path} is not of the documented form: {error}.") from error


def _num_classes(arrays: Arrays, labels: NDArray[np.int64]) -> int:
    if "logits" in arrays and arrays["logits"].ndim == 2:
        return int(arrays["logits"].shape[1])
    if "head_weight" in arrays:
        return int(arrays["head_weight"].shape[0])
    return int(labels.max()) + 1 if labels.size else 0


def _numbered(codes: NDArray[np.int64], what: str) -> list[str]:
    top = int(codes.max()) if codes.size else 0
    return ["all"] if top <= 0 else [f"{what}{index}" for index in range(top + 1)]


def _integers(values: NDArray[Any], name: str) -> NDArray[np.int64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected integers in `{name}`, got {np.asarray(values).dtype}.") from error
    if not np.all(np.isfinite(numbers)) or np.any(numbers != np.round(numbers)):
        raise DataError(f"Expected integers in `{name}`, got fractions, NaN or infinities.")
    return numbers.astype(np.int64)


def check(fields: Mapping[str, Any]) -> None:
    """Raise :class:`DataError` unless shapes agree, numbers are finite and codes are in range."""
    if fields["features"].ndim != 2 or fields["labels"].ndim != 1 or len(fields["labels"]) == 0:
        raise DataError(
            "Expected features (N, D) and labels (N,) with N >= 1, "
            f"got {fields['features'].shape} and {fields['labels'].shape}."
        )
    n, d = fields["features"].shape
    k, m = len(fields["class_names"]), len(fields["domain_names"])
    expected = {
        "labels": (n,), "domains": (n,), "split": (n,), "logits": (n, k),
        "head_weight": (k, d), "head_bias": (k,), "train_counts": (m, k),
    }  # fmt: skip
    for name, shape in expected.items():
        value = fields[name]
        if value is not None and value.shape != shape:
            raise DataError(
                f"Expected `{name}` of shape {shape}, got {value.shape} (N={n}, D={d}, K={k}, domains={m})."
            )
    for name in ("features", "logits", "head_weight", "head_bias"):
        value = fields[name]
        if value is None:
            continue
        if not np.issubdtype(value.dtype, np.number) or np.iscomplexobj(value):
            raise DataError(f"Expected real numbers in `{name}`, got {value.dtype}.")
        bad = ~np.isfinite(value.reshape(len(value), -1)).all(axis=1)
        if bad.any():
            raise DataError(
                f"`{name}` has NaN or infinity in {int(bad.sum())} rows, the first is row {int(bad.argmax())}."
            )
    for name, size in (("labels", k), ("domains", m), ("split", len(fields["split_names"]))):
        value = fields[name]
        if value.min() < 0 or value.max() >= size:
            raise DataError(f"Expected `{name}` in 0..{size - 1}, got values from {value.min()} to {value.max()}.")
    if fields["train_counts"] is not None and fields["train_counts"].min(initial=0) < 0:
        raise DataError("Expected `train_counts` of zero or more, got a negative count.")
    if fields["held_out"] is not None and fields["held_out"] not in fields["domain_names"]:
        raise DataError(f"Held-out domain {fields['held_out']!r} is not among {', '.join(fields['domain_names'])}.")
    if fields["sample_ids"] and len(fields["sample_ids"]) != n:
        raise DataError(f"Expected {n} sample ids, got {len(fields['sample_ids'])}.")


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
    from safetensors.numpy import save_file

    with replacing_directory(path) as directory:
        save_file(
            {name: np.ascontiguousarray(value) for name, value in arrays.items()},
            directory / "arrays.safetensors",
        )
        (directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
