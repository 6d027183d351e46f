"""Check across runs: is prediction space the better one to align and contrast in?"""

from collections.abc import Sequence

import numpy as np

from geometry.checks.across_runs.pairing import RULE, Pair, by_setting, by_variant, corrected, gain
from geometry.checks.across_runs.summary import RunSummary
from geometry.checks.verdict import Claim, Verdict, undecided, verdict

NAME = "prediction_space"
SPACES = ("contrast_space", "alignment_space")
JUDGED = {
    "target_balanced_accuracy": ("raises balanced accuracy on the held-out domain", False),
    "target_few": ("raises accuracy on its few-shot classes", False),
    "discrepancy_sources": ("brings the posteriors of the sources together", True),
    "discrepancy_target": ("brings those of target and sources together", True),
    "feature_nc1": ("collapses features more (smaller NC1)", True),
    "prediction_nc1": ("collapses predictions more (smaller NC1)", True),
}


def claim_about(outcome: str, than: str, setting: str) -> Claim:
    """The claim for one outcome, other space and setting."""
    return Claim(
        check=NAME,
        sentence=f"Contrast and alignment of predictions, rather than of {than}, {JUDGED[outcome][0]} ({setting}).",
        source="design of NDCL (arXiv 2601.21999); the test is ours",
        rule=f"Gain in {outcome}. {RULE}",
        subject=f"{outcome}, over {than}, {setting}",
    )


def prediction_space(
    runs: Sequence[RunSummary], *, rng: np.random.Generator, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Judge training in prediction space against training in feature (or projection) space, paired over seeds.

    Runs are matched where nothing but ``contrast_space`` and ``alignment_space`` differs. On a frozen backbone a term
    on features moves nothing, so there the comparison is with no such term at all.

    Args:
        runs: of one algorithm in both spaces.
        rng: source of randomness.
        level: nominal coverage, and one minus the family-wise error over all verdicts given.

    Returns:
        One verdict for each outcome, pair of spaces and setting; one undecided verdict where no runs match.
    """
    gains = []
    for setting, members in by_setting(runs):
        variants = by_variant(run for run in members if "contrast_space" in run.options)
        for name, ours in variants.items():
            one = next(iter(ours.values()))
            if set(_spaces(one)) != {"predictions"}:
                continue
            for other, theirs in variants.items():
                two = next(iter(theirs.values()))
                if other == name or "predictions" in _spaces(two) or _without_spaces(one) != _without_spaces(two):
                    continue
                pair = Pair((name, other), setting, ours, theirs)
                gains += [
                    gain(outcome, pair, rng=rng, lower_is_better=smaller, level=level)
                    for outcome, (_, smaller) in JUDGED.items()
                ]
    if not gains:
        reason = "needs runs that differ in contrast_space and alignment_space alone"
        return (undecided(claim_about("target_balanced_accuracy", "features", "no setting"), reason, level=level),)
    return tuple(
        verdict(
            claim_about(one.outcome, one.than, one.setting), one.verdict(level), one.interval, one.note(), {"gain": one}
        )
        for one in corrected(gains)
    )


def _spaces(run: RunSummary) -> list[str]:
    return [str(run.options[name]) for name in SPACES if name in run.options]


def _without_spaces(run: RunSummary) -> tuple[object, ...]:
    kept = sorted((name, value) for name, value in run.options.items() if name not in SPACES)
    return run.algorithm, repr(kept), run.rest
