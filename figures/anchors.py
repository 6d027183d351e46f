"""What a loss of many anchors is averaged over: the names of it, in rows and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

AVERAGES = {"sample": "samples", "class": "classes"}
"""By the word of a row's ``anchors``, the plural."""


def check_anchors(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a figure of no experiment, or of anchors averaged over something else.

    Raises:
        ValueError: no row, or one with unknown ``anchors``.
    """
    if not rows:
        raise ValueError("Expected at least one experiment, got none.")
    unknown = {row["anchors"] for row in rows} - set(AVERAGES)
    if unknown:
        raise ValueError(f"Expected anchors averaged over 'sample' or 'class', got {sorted(unknown)}.")
