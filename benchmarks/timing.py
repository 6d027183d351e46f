"""Timing two ways of doing one thing, in turn, so that a machine's drift meets both alike."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from experiments.cli.output import print_table


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(ours: Callable[[], Any], other: Callable[[], Any], *, rounds: int = 5) -> tuple[float, float, float]:
    """Median seconds of ours and of the other, and the median of other / ours, pair by pair, after one warm-up."""
    ours()
    other()
    pairs = [(seconds_of(ours), seconds_of(other)) for _ in range(rounds)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b / a for a, b in pairs)


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table."""
    print_table(title, header, rows)
