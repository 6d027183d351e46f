"""Numbers with their intervals: read them from JSON, print them for people."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

UNDEFINED = "–"


def interval(value: Any) -> tuple[float, float, float]:
    """Read ``(estimate, low, high)`` from what a result holds; NaN where a part is missing.

    Args:
        value: ``None``, a number, a dict with ``estimate`` and perhaps ``low``, ``high``, or three numbers.

    Raises:
        ValueError: ``value`` is none of these.

    >>> interval({"estimate": 0.5, "low": 0.4, "high": 0.6})
    (0.5, 0.4, 0.6)
    >>> interval(None)
    (nan, nan, nan)
    """
    if isinstance(value, Mapping):
        if "estimate" not in value:
            raise ValueError(f"Expected a dict with 'estimate', got the keys {sorted(value)}.")
        parts = [value["estimate"], value.get("low"), value.get("high")]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        parts = list(value)
    else:
        parts = [value, None, None]
    if len(parts) != 3:
        raise ValueError(f"Expected estimate, low and high, got {len(parts)} numbers.")
    estimate, low, high = (math.nan if part is None else float(part) for part in parts)
    return estimate, low, high


def number(estimate: float | None, low: float | None = None, high: float | None = None, *, unit: str = "") -> str:
    """Print a number as precisely as its interval warrants (its half-width to one or two digits).

    Args:
        estimate: the number; ``None`` or NaN prints as a dash.
        low: lower end; without both ends the number is printed alone, to three significant digits.
        high: upper end.
        unit: appended as it is, for example ``" %"``.

    >>> number(0.81234, 0.7951, 0.8302)
    '0.812 [0.795, 0.830]'
    >>> number(-3.2e-6, -4.1e-6, -2.0e-6)
    '(−3.2 [−4.1, −2.0]) × 10⁻⁶'
    >>> number(None), number(41.2345), number(12345)
    ('–', '41.2', '12345')
    """
    value, lower, upper = interval((estimate, low, high))
    if math.isnan(value):
        return UNDEFINED
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return _minus(_significant(value)) + unit
    largest = max(abs(value), abs(lower), abs(upper))
    if largest > 0 and not 1e-3 <= largest < 1e5:
        power = math.floor(math.log10(largest))
        factor = 10.0**power
        text = _with_interval(value / factor, lower / factor, upper / factor)
        return f"({text}) × 10{_superscript(power)}{unit}"
    return _with_interval(value, lower, upper) + unit


def _with_interval(value: float, low: float, high: float) -> str:
    half = (high - low) / 2
    # Two digits of a half-width that begins with 1 or 2, one of any other (the Particle Data Group's habit).
    places = min(4, max(0, -math.floor(math.log10(half / 3)))) if half > 0 else 3
    return _minus(f"{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]")


def _significant(value: float) -> str:
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        power = math.floor(math.log10(abs(value)))
        return f"{value / 10.0**power:.1f} × 10{_superscript(power)}"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _superscript(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
