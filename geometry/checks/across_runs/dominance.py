"""Check across runs: what does dominance of negatives do, all else being equal?"""

from collections.abc import Sequence

import numpy as np

from geometry.checks.across_runs.pairing import RULE, Pair, by_setting, by_variant, corrected, gain
from geometry.checks.across_runs.summary import RunSummary
from geometry.checks.verdict import Claim, Verdict, undecided, verdict

NAME = "dominance"
RIVALS = ("infonce", "supcon")
SHARED = ("tau", "rho", "mixing", "contrast_space", "anchor_reduction", "negatives")
# outcome -> (what the claim says of it, whether smaller is better)
JUDGED = {
    "few_margin": ("widens the margins of few-shot classes", False),
    "target_few_margin": ("widens their margins on the held-out domain", False),
    "prediction_nc1": ("collapses predictions more (smaller NC1)", True),
    "predictions_to_simplex": ("brings predictions nearer to the simplex", True),
    "predictions_to_optimum": ("brings predictions nearer to the contrastive optimum", True),
}


def claim_about(outcome: str, than: str, setting: str) -> Claim:
    """The claim for one outcome, rival and setting."""
    return Claim(
        check=NAME,
        sentence=f"Negatives that dominate, rather than sit in the denominator as in {than} with the same negatives, "
        f"{JUDGED[outcome][0]} ({setting}).",
        source="reading of NDCL (arXiv 2601.21999); the test is ours",
        rule=f"Gain in {outcome}. {RULE}",
        subject=f"{outcome}, over {than}, {setting}",
    )


def dominance(runs: Sequence[RunSummary], *, rng: np.random.Generator, level: float = 0.95) -> tuple[Verdict, ...]:
    """Judge NDCL's contrast against InfoNCE's and SupCon's on the same negatives, weight, space and temperature.

    Runs are matched where nothing but the place of the negatives differs: NDCL without alignment (``beta`` 0) and with
    plain cross-entropy (``classification`` cross_entropy), its rival with the same ``negatives``, ``tau``, ``rho``,
    ``mixing``, ``contrast_space``, ``anchor_reduction`` and weight. Others are left out, since their terms differ too.

    Args:
        runs: of NDCL, InfoNCE and SupCon.
        rng: source of randomness.
        level: nominal coverage, and one minus the family-wise error over all verdicts given.

    Returns:
        One verdict for each outcome, rival and setting; one undecided verdict where no runs match.
    """
    gains = []
    for setting, members in by_setting(runs):
        dominant = by_variant(run for run in members if _bare(run))
        for name, ours in dominant.items():
            one = next(iter(ours.values()))
            rivals = by_variant(run for run in members if _matches(run, one))
            for rival, theirs in rivals.items():
                pair = Pair((name, rival), setting, ours, theirs)
                gains += [
                    gain(outcome, pair, rng=rng, lower_is_better=smaller, level=level)
                    for outcome, (_, smaller) in JUDGED.items()
                ]
    if not gains:
        reason = (
            "needs runs of ndcl with beta=0 and classification=cross_entropy, and of infonce or supcon with the same "
            "negatives, tau and anchor_reduction"
        )
        return (undecided(claim_about("few_margin", "InfoNCE", "no setting"), reason, level=level),)
    return tuple(
        verdict(
            claim_about(one.outcome, one.than, one.setting), one.verdict(level), one.interval, one.note(), {"gain": one}
        )
        for one in corrected(gains)
    )


def _bare(run: RunSummary) -> bool:
    return (
        run.algorithm == "ndcl"
        and run.options.get("beta") == 0
        and run.options.get("classification") == "cross_entropy"
        and run.options.get("alpha", 0) > 0
    )


def _matches(run: RunSummary, ours: RunSummary) -> bool:
    return (
        run.algorithm in RIVALS
        and run.rest == ours.rest
        and run.options.get("weight") == ours.options["alpha"]
        and run.options.get("classification") == "cross_entropy"
        and all(run.options.get(name) == ours.options.get(name) for name in SHARED)
    )
