"""What the parts of an artifact must have in common: shapes, finite numbers, codes in range, an untrained target."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from geometry.errors import DataError

TRAIN = "train"
LARGEST, SMALLEST = 1e100, 1e-100  # squares and products of what lies between are exact enough in float64


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
    projections = fields["projections"]
    if projections is not None and (projections.ndim != 2 or len(projections) != n or not projections.shape[1]):
        raise DataError(f"Expected `projections` of shape (N, P) with N={n} and P >= 1, got {projections.shape}.")
    for name in ("features", "projections", "logits", "head_weight", "head_bias"):
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
        largest = float(np.abs(value).max(initial=0))
        if largest > LARGEST or 0 < largest < SMALLEST:
            raise DataError(
                f"Expected numbers between {SMALLEST:g} and {LARGEST:g} in `{name}`, the largest is {largest:.3g}; "
                "rescale them."
            )
    for name, size in (("labels", k), ("domains", m), ("split", len(fields["split_names"]))):
        value = fields[name]
        if value.min() < 0 or value.max() >= size:
            raise DataError(f"Expected `{name}` in 0..{size - 1}, got values from {value.min()} to {value.max()}.")
    if fields["train_counts"] is not None and fields["train_counts"].min(initial=0) < 0:
        raise DataError("Expected `train_counts` of zero or more, got a negative count.")
    _require_untrained(fields)
    if fields["sample_ids"] and len(fields["sample_ids"]) != n:
        raise DataError(f"Expected {n} sample ids, got {len(fields['sample_ids'])}.")


def _require_untrained(fields: Mapping[str, Any]) -> None:
    """Raise :class:`DataError` unless the held-out domain is one of the domains and holds no training sample."""
    name, splits = fields["held_out"], fields["split_names"]
    if name is None:
        return
    if name not in fields["domain_names"]:
        raise DataError(f"Held-out domain {name!r} is not among {', '.join(fields['domain_names'])}.")
    m = fields["domain_names"].index(name)
    here = fields["domains"] == m
    if fields["train_counts"] is not None:
        held = int(fields["train_counts"][m].sum())
        found = f"its row of train_counts holds {held} training samples;"
    elif TRAIN in splits:
        held = int((here & (fields["split"] == splits.index(TRAIN))).sum())
        found = f"{held} of its samples are in the split {TRAIN}; put them into another split,"
    else:  # one split is of the sources' training samples and the target; there must be both
        held = int(len(splits) == 1 and here.all())
        found = "all samples are of it, and no split says which were trained on;"
    if held:
        raise DataError(f"held_out is {name!r}, but {found} name another domain or leave held_out out.")
