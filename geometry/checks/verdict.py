"""Verdicts: a claim, the rule fixed before the data are seen, and what the data say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from geometry.intervals import Interval, undefined

Outcome = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Claim:
    """What a check tests.

    Attributes:
        check: name of the check.
        sentence: the claim in words.
        source: who makes it.
        rule: how the verdict follows from the number, fixed before any data are seen.
        subject: what the claim is about, where a check tests several things alike.
    """

    check: str
    sentence: str
    source: str
    rule: str
    subject: str = ""


@dataclass(frozen=True, eq=False)
class Verdict:
    """The outcome of a check on one artifact.

    Attributes:
        check: name of the check.
        claim: the claim in words.
        source: who makes it.
        rule: how the verdict follows from ``estimate``.
        verdict: ``holds``, ``does not hold`` or ``undecided``.
        estimate: the number that decides, with its interval.
        n: samples that carry it.
        note: conditions, or why nothing could be decided.
        details: secondary numbers and arrays for figures.
        subject: what the claim is about, where a check tests several things alike.
    """

    check: str
    claim: str
    source: str
    rule: str
    verdict: Outcome
    estimate: Interval
    n: int
    note: str
    details: Mapping[str, Any] = field(default_factory=dict)
    subject: str = ""


def decide(estimate: Interval, threshold: float, *, enough: bool = True) -> Outcome:
    """``holds`` above the threshold, ``does not hold`` below it, ``undecided`` when the interval touches it.

    Args:
        estimate: a number with its interval; one without bounds decides nothing.
        threshold: value that the whole interval has to clear.
        enough: whether there are enough samples to decide at all.

    >>> decide(Interval(0.7, 0.6, 0.8, 0.95, 100, "bootstrap"), 0.5)
    'holds'
    """
    if enough and estimate.low > threshold:
        return "holds"
    if enough and estimate.high < threshold:
        return "does not hold"
    return "undecided"


def verdict(
    claim: Claim, outcome: Outcome, estimate: Interval, note: str, details: Mapping[str, Any] | None = None
) -> Verdict:
    """A :class:`Verdict` on a claim."""
    return Verdict(
        check=claim.check,
        claim=claim.sentence,
        source=claim.source,
        rule=claim.rule,
        verdict=outcome,
        estimate=estimate,
        n=estimate.n,
        note=note,
        details=details or {},
        subject=claim.subject,
    )


def undecided(claim: Claim, reason: str, *, n: int = 0, level: float = 0.95) -> Verdict:
    """The verdict on a claim that the data cannot speak to, with the reason."""
    return verdict(claim, "undecided", undefined(n, reason, level), reason)
