"""Check: do synthesised hard negatives lie near the boundary of the class they are made for, and outside it?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.checks.batch_jackknife import jackknife_interval, leave_one_out
from geometry.checks.hard_negative_records import KINDS, PREFIX, Samples, read_samples
from geometry.checks.nearer import Nearer
from geometry.checks.verdict import Claim, Verdict, decide, undecided, verdict
from geometry.defined import ratio
from geometry.errors import DataError
from geometry.intervals import Interval, undefined
from geometry.shots import group_masks

Array = NDArray[np.float64]

NAMES = {"random": "random mixups", "real": "real samples", "plain": "plain hard negatives"}
NEGATIVES = "are negatives"
NEARLY = 0.9  # share of the positive above which a mixed sample is nearly the positive itself
FEWEST_BATCHES = 20
FEWEST_SAMPLES = 50
COMPONENTS = 20  # of the features kept for a picture
SOURCE = "hard negatives of NDCL (arXiv 2601.21999); the test is ours"


@dataclass(frozen=True, eq=False)
class KindSummary:
    """One kind of samples.

    Attributes:
        samples: how many.
        outside: share on the other side of the boundary, ``p_k <= max_j p_j``.
        margin: mean of p_k less the largest other probability.
        logit_margin: the same of logits.
        nearness: median of the distance without sign.
        quantiles: ``(101,)`` percentiles 0..100 of the signed distance.
    """

    samples: int
    outside: float
    margin: float
    logit_margin: float
    nearness: float
    quantiles: Array


def hard_negatives(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    r"""Judge recorded hard negatives by their exact distance to the boundary of the class k they are made for.

    Three verdicts on nearness: the number is the probability that a synthesised negative lies nearer to the boundary
    of its class k, on either side, than a sample of the other kind that belongs to the same k,

    .. math:: \frac{\sum_k m_k \Pr[\,|d_{syn}| < |d_{other}|\,] + \frac12 \Pr[\,=\,]}{\sum_k m_k}

    with :math:`m_k` synthesised negatives of k that have such samples to compare with (0.5: no nearer). One verdict on
    their being negatives: the share of them on the other side of k's boundary, where the model would not call them k.
    The release draws one mixing coefficient a batch, so batches are the unit of the intervals, which leave one out at a
    time (:func:`geometry.checks.batch_jackknife.jackknife_interval`).

    Args:
        artifact: with a linear head and the probe arrays ``hard_negative/{kind,logits,label,coefficient,batch}``,
            and, for a picture, ``{feature,feature_index}``.
        rng: not used; nothing is drawn.
        resamples: not used.
        level: nominal coverage.

    Returns:
        Four verdicts: nearer than random mixups, real samples and plain hard negatives; are negatives. ``details`` hold
        ``groups``, the number by shot group; the last one's ``nearly``, the share mixed with a coefficient above 0.9,
        ``nearly_outside`` and ``others_outside``, the share on the other side among these and the rest, and
        ``outside_by_coefficient``; the first one's ``kinds`` (:class:`KindSummary`) and, where features are recorded,
        ``picture``.

    Raises:
        DataError: arrays are missing, of unequal length, or hold impossible values.
    """
    recorded = any(name.startswith(PREFIX) for name in artifact.probes)
    if not recorded or artifact.head_weight is None:
        reason = f"no probe arrays named {PREFIX}... are recorded (extract with the probe hard_negatives)"
        if recorded:
            reason = "an exact distance needs the weights of a linear head"
        return tuple(undecided(claim, reason, level=level) for claim in (*map(claim_nearer, NAMES), claim_negative()))
    samples = read_samples(artifact)
    everyone = np.ones(artifact.num_classes, dtype=bool)
    masks = {"all": everyone} | ({} if artifact.shots is None else group_masks(artifact.shots))
    verdicts = [_nearer(samples, kind, masks, level) for kind in NAMES]
    verdicts[0] = verdicts[0][0], {**verdicts[0][1], "kinds": _kinds(samples), **_picture(artifact, samples)}
    return (
        *(
            _verdict(claim_nearer(kind), number, details, samples, kind)
            for kind, (number, details) in zip(NAMES, verdicts, strict=True)
        ),
        _verdict(claim_negative(), *_negative(samples, masks, level), samples, "synthesised"),
    )


def claim_nearer(kind: str) -> Claim:
    """The claim about one kind of other samples."""
    return Claim(
        check="hard_negatives",
        subject=f"nearer than {NAMES[kind]}",
        sentence=f"Synthesised hard negatives lie nearer to the boundary of their class than {NAMES[kind]}.",
        source=SOURCE,
        rule=f"Probability that a synthesised negative is nearer, on either side, than a sample of the other kind for "
        f"the same class, by exact distance in feature space: holds if its interval over batches lies above 0.5, does "
        f"not hold if it lies below, undecided otherwise or with fewer than {FEWEST_BATCHES} batches or "
        f"{FEWEST_SAMPLES} samples of either kind.",
    )


def claim_negative() -> Claim:
    """The claim that hard negatives are negatives."""
    return Claim(
        check="hard_negatives",
        subject=NEGATIVES,
        sentence="Most synthesised hard negatives lie on the other side of the boundary of their class.",
        source=SOURCE,
        rule=f"Share of synthesised negatives that the model does not give to the class they are made for: holds if "
        f"its interval over batches lies above 0.5, does not hold if it lies below, undecided otherwise or with fewer "
        f"than {FEWEST_BATCHES} batches or {FEWEST_SAMPLES} of them.",
    )


def _nearer(
    samples: Samples, kind: str, masks: Mapping[str, NDArray[np.bool_]], level: float
) -> tuple[Interval, dict[str, Any]]:
    compare = Nearer(
        np.abs(samples.distance), samples.label, samples.batch, samples.of("synthesised"), samples.of(kind)
    )
    batches = int(samples.batch.max()) + 1
    here, without = compare.by_class(np.ones(batches)), compare.by_class(leave_one_out(batches))
    groups = {}
    for name, mask in masks.items():
        inside = mask[compare.classes]
        estimate = float(ratio(here[0, inside].sum(), here[1, inside].sum()))
        groups[name] = jackknife_interval(
            estimate,
            np.asarray(ratio(without[:, 0, inside].sum(axis=1), without[:, 1, inside].sum(axis=1))),
            carrying=min(samples.batches_of(k, mask) for k in ("synthesised", kind)),
            n=int(here[1, inside].sum()),
            level=level,
        )
    return groups["all"], {"groups": groups}


def _negative(
    samples: Samples, masks: Mapping[str, NDArray[np.bool_]], level: float
) -> tuple[Interval, dict[str, Any]]:
    made, batches = samples.of("synthesised"), int(samples.batch.max()) + 1
    outside, nearly = samples.logit_margin <= 0, samples.coefficient > NEARLY

    def share(what: NDArray[np.bool_], among: NDArray[np.bool_]) -> Interval:
        n = int(among.sum())
        if n == 0:
            return undefined(0, "no such sample", level)
        hits, every = (
            np.bincount(samples.batch[mask], minlength=batches).astype(np.float64) for mask in (what & among, among)
        )
        without = np.asarray(ratio(hits.sum() - hits, every.sum() - every))
        carrying = int(np.sum(every > 0))
        return jackknife_interval(float(hits.sum() / every.sum()), without, carrying=carrying, n=n, level=level)

    groups = {name: share(outside, made & mask[samples.label]) for name, mask in masks.items()}
    edges = np.linspace(0.0, 1.0, 11)
    bins = np.minimum((samples.coefficient * 10).astype(np.int64), 9)
    details = {
        "groups": groups,
        "nearly": share(nearly, made),
        "nearly_groups": {name: share(nearly, made & mask[samples.label]) for name, mask in masks.items()},
        "nearly_outside": share(outside, made & nearly),
        "others_outside": share(outside, made & ~nearly),
        "outside_by_coefficient": {
            "edges": edges,
            "share": [share(outside, made & (bins == b)) for b in range(10)],
            "negatives": np.bincount(bins[made], minlength=10),
        },
    }
    return groups["all"], details


def _kinds(samples: Samples) -> dict[str, KindSummary]:
    found = {}
    for kind in KINDS:
        mine = samples.of(kind)
        if not mine.any():
            continue
        distance = samples.distance[mine]
        found[kind] = KindSummary(
            samples=int(mine.sum()),
            outside=float(np.mean(samples.logit_margin[mine] <= 0)),
            margin=float(samples.margin[mine].mean()),
            logit_margin=float(samples.logit_margin[mine].mean()),
            nearness=float(np.percentile(np.abs(distance), 50, method="inverted_cdf")),
            quantiles=np.percentile(distance, np.arange(101), method="inverted_cdf"),
        )
    return found


def _picture(artifact: Artifact, samples: Samples) -> dict[str, Any]:
    """Principal components of the kept features, enough of them for any other embedding; nothing without features."""
    features, index = (artifact.probes.get(f"{PREFIX}{part}") for part in ("feature", "feature_index"))
    if features is None or index is None or len(features) < 2:
        return {}
    if features.ndim != 2 or index.shape != (len(features),) or index.min() < 0 or index.max() >= len(samples.kind):
        raise DataError(f"Expected features (F, D) and their F places under {PREFIX}feature and feature_index.")
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    kept = min(COMPONENTS, values.size)
    signs = np.where(right[np.arange(kept), np.abs(right[:kept]).argmax(axis=1)] < 0, -1.0, 1.0)
    return {
        "picture": {
            "components": (left[:, :kept] * values[:kept]) * signs,
            "variance": np.asarray(ratio(values[:kept] ** 2, np.sum(values**2))),
            "kind": samples.kind[index],
            "label": samples.label[index],
            "coefficient": samples.coefficient[index],
        }
    }


def _verdict(claim: Claim, number: Interval, details: dict[str, Any], samples: Samples, kind: str) -> Verdict:
    made, other = samples.of("synthesised"), samples.of(kind)
    batches = int(np.unique(samples.batch[made]).size)
    enough = batches >= FEWEST_BATCHES and min(int(made.sum()), int(other.sum())) >= FEWEST_SAMPLES
    median = {name: np.percentile(np.abs(samples.distance[mask]), 50, method="inverted_cdf") if mask.any() else np.nan
              for name, mask in (("synthesised", made), (kind, other))}  # fmt: skip
    note = f"{int(made.sum())} synthesised negatives in {batches} batches"
    if kind == "synthesised":
        nearly = details["nearly"].estimate
        note += f"; {100 * nearly:.0f}% are mixed with more than {NEARLY:g} of the positive" if made.any() else ""
        for name, text in (("nearly_outside", "of these"), ("others_outside", "of the others")):
            if np.isfinite(details[name].estimate):
                note += f"; {text} {100 * details[name].estimate:.0f}% lie on the other side"
    elif other.any() and made.any():
        note += f"; median distance without sign {median['synthesised']:.3g} against {median[kind]:.3g}"
    if not enough:
        note += "; too few to decide"
    return verdict(claim, decide(number, 0.5, enough=enough), number, note, details)
