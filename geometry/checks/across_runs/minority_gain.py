"""Check across runs: is a remedy's gain on rare classes real?"""

from collections.abc import Sequence

import numpy as np

from geometry.checks.across_runs.pairing import RULE, Pair, by_setting, by_variant, corrected, gain
from geometry.checks.across_runs.summary import RunSummary
from geometry.checks.verdict import Claim, Verdict, undecided, verdict

NAME = "minority_gain"
BASELINES = ("erm", "balanced_softmax")
BESIDE = ("target_balanced_accuracy", "target_many", "target_medium", "target_ece", "few_margin")


def claim_about(better: str, than: str, setting: str) -> Claim:
    """The claim for one algorithm, baseline and setting."""
    return Claim(
        check=NAME,
        sentence=f"{better} classifies few-shot classes of the held-out domain better than {than} ({setting}).",
        source="the claim of every method for imbalanced domain generalization; the test is ours",
        rule=f"Gain in mean accuracy over few-shot classes of the target. {RULE}",
        subject=f"{better} over {than}, {setting}",
    )


def minority_gain(runs: Sequence[RunSummary], *, rng: np.random.Generator, level: float = 0.95) -> tuple[Verdict, ...]:
    """Judge the gain of every algorithm over ERM and over balanced softmax on few-shot classes of the target.

    The family that Holm's correction runs over is every algorithm, baseline and setting at once. ``details`` holds
    the paired differences of the other accuracies, of the calibration error and of the minority margin too, so that
    a gain that is paid for by others is seen.

    Args:
        runs: of several algorithms; those of ``erm`` and ``balanced_softmax`` are the baselines.
        rng: source of randomness.
        level: nominal coverage, and one minus the family-wise error.

    Returns:
        One verdict for each algorithm, baseline and setting; one undecided verdict where there is no baseline.
    """
    gains, beside = [], []
    for setting, members in by_setting(runs):
        variants = by_variant(members)
        for baseline in (name for name in BASELINES if name in variants):
            for name in (name for name in variants if name != baseline):
                pair = Pair((name, baseline), setting, variants[name], variants[baseline])
                gains.append(gain("target_few", pair, rng=rng, level=level))
                beside.append({each: gain(each, pair, rng=rng, level=level) for each in BESIDE})
    if not gains:
        return (undecided(claim_about("an algorithm", "erm", "no setting"), _missing(runs), level=level),)
    return tuple(
        verdict(
            claim_about(one.better, one.than, one.setting),
            one.verdict(level),
            one.interval,
            _note(
                one.note(), others["target_balanced_accuracy"].interval.estimate, others["target_ece"].test.difference
            ),
            {"gain": one, "beside": others},
        )
        for one, others in zip(corrected(gains), beside, strict=True)
    )


def _note(found: str, balanced: float, calibration: float) -> str:
    return f"{found}; balanced accuracy {balanced:+.3f}, calibration error {calibration:+.3f}"


def _missing(runs: Sequence[RunSummary]) -> str:
    return f"needs runs of {' or '.join(BASELINES)} and of another algorithm, got {len(runs)} runs of others or of one"
