import pytest

from geometry.checks.verdict import Claim, decide, undecided
from geometry.intervals import Interval, undefined


def interval(low, high):
    return Interval((low + high) / 2, low, high, 0.95, 100, "bootstrap")


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.6, 0.8, "holds"),
        (0.5, 0.8, "undecided"),
        (0.4, 0.6, "undecided"),
        (0.2, 0.5, "undecided"),
        (0.1, 0.4, "does not hold"),
    ],
)
def test_the_whole_interval_has_to_clear_the_threshold(low, high, outcome):
    assert decide(interval(low, high), 0.5) == outcome
    assert decide(interval(low, high), 0.5, enough=False) == "undecided"


def test_a_number_without_interval_decides_nothing():
    assert decide(undefined(5, "no data"), 0.5) == "undecided"


def test_undecided_keeps_the_claim_and_says_why():
    verdict = undecided(Claim("name", "It is so.", "us", "holds if ..."), "no data", n=3)
    assert (verdict.verdict, verdict.note, verdict.n, verdict.rule) == ("undecided", "no data", 3, "holds if ...")
