"""Check across runs: does a remedy level margins over class sizes?"""

from collections.abc import Sequence

import numpy as np

from geometry.checks.across_runs.pairing import RULE, Pair, by_setting, by_variant, corrected, gain
from geometry.checks.across_runs.summary import RunSummary
from geometry.checks.verdict import Claim, Verdict, undecided, verdict

NAME = "margin_remedy"
BASELINE = "erm"


def claim_about(better: str, setting: str) -> Claim:
    """The claim for one algorithm and setting."""
    return Claim(
        check=NAME,
        sentence=f"Under {better} the margins of rare classes fall short less than under {BASELINE} ({setting}).",
        source="aim of margin and weight remedies (Cao et al. 2019, LDAM; Ren et al. 2020); the test is ours",
        rule=f"Gain: by how much the slope of a class's median margin over log10 of its count is smaller. {RULE}",
        subject=f"{better} over {BASELINE}, {setting}",
    )


def margin_remedy(runs: Sequence[RunSummary], *, rng: np.random.Generator, level: float = 0.95) -> tuple[Verdict, ...]:
    """Judge by how much every algorithm flattens the slope of class margins over class sizes, against ERM.

    A slope below zero (rare classes with the larger margins, which the ``n^(-1/4)`` rule asks for) counts as flatter.

    Args:
        runs: of ERM and of others.
        rng: source of randomness.
        level: nominal coverage, and one minus the family-wise error over all verdicts given.

    Returns:
        One verdict for each algorithm and setting; one undecided verdict where there are no pairs.
    """
    gains, slopes = [], []
    for setting, members in by_setting(runs):
        variants = by_variant(members)
        before = variants.pop(BASELINE, {})
        for name, after in variants.items() if before else ():
            pair = Pair((name, BASELINE), setting, after, before)
            gains.append(gain("margin_slope", pair, rng=rng, lower_is_better=True, level=level))
            values = [[run.outcomes["margin_slope"] for run in group.values()] for group in (before, after)]
            slopes.append(dict(zip(("before", "after"), values, strict=True)))
    if not gains:
        reason = f"needs runs of {BASELINE} and of another algorithm"
        return (undecided(claim_about("an algorithm", "no setting"), reason, level=level),)
    return tuple(
        verdict(
            claim_about(one.better, one.setting),
            one.verdict(level),
            one.interval,
            one.note(),
            {"gain": one, "slopes": s},
        )
        for one, s in zip(corrected(gains), slopes, strict=True)
    )
