"""One run in numbers that can be compared between algorithms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geometry.alignment import cosines, gram_error
from geometry.artifact import Artifact
from geometry.bound.margin import score_margin
from geometry.bound.posterior import prototypes
from geometry.bound.prior import total_variation
from geometry.class_vectors import learned_vectors
from geometry.classification import Evaluation, evaluate
from geometry.collapse.equilibrium import equilibrium
from geometry.collapse.moments import class_statistics
from geometry.collapse.variability import nc1
from geometry.defined import mean_defined
from geometry.errors import DataError
from geometry.frames import simplex_etf
from geometry.optimum.solve import solve
from geometry.shots import group_masks

Array = NDArray[np.float64]
UNSEEN = "source_test"
TARGET = "target"

# name -> what it is; which sign is better is a claim's business
OUTCOMES: Mapping[str, str] = {
    "target_accuracy": "accuracy on the held-out domain",
    "target_balanced_accuracy": "mean class accuracy on the held-out domain",
    "target_many": "the same over many-shot classes",
    "target_medium": "over medium-shot classes",
    "target_few": "over few-shot classes",
    "target_ece": "expected calibration error on the held-out domain",
    "source_balanced_accuracy": "mean class accuracy on unseen source samples",
    "source_few": "the same over few-shot classes",
    "few_margin": "mean over few-shot classes of the median of p_y - max p_j, unseen source samples",
    "target_few_margin": "the same on the held-out domain",
    "margin_slope": "slope of the median margin of a class over log10 of its training count, unseen source samples",
    "discrepancy_sources": "largest total variation between prediction prototypes of two sources, mean over classes",
    "discrepancy_target": "total variation between prototypes of target and pooled sources, mean over classes",
    "feature_nc1": "tr(Sigma_W) / tr(Sigma_B) of the features, training samples, balanced",
    "prediction_nc1": "the same of the predictions",
    "features_to_simplex": "Gram error of centred class means of features to the simplex, training samples",
    "predictions_to_simplex": "the same of the predictions",
    "feature_fc": "feature collapse FC (our reading of ECL's), training samples, balanced",
    "feature_ms": "mean spacing MS (our reading): standard deviation of the cosines between centred class means",
    "feature_sd": "self-duality SD (our reading): distance of classifier rows and centred class means over their norms",
    "features_to_optimum": "Gram error of the features to the contrastive optimum for the training counts (tau 1, q 1)",
    "predictions_to_optimum": "the same of the predictions",
    "few_cosine": "mean cosine between class means of predictions of two few-shot classes, centred, training samples",
}


class Place(NamedTuple):
    """What runs have to share to be paired: data and their split."""

    dataset: str
    setting: str
    held_out: str
    seed: int


@dataclass(frozen=True)
class RunSummary:
    """One run.

    Attributes:
        place: what it is paired on.
        algorithm: its name.
        options: every option of the algorithm.
        rest: everything else that was configured (backbone, optimiser, steps), as text.
        outcomes: numbers under the names of :data:`OUTCOMES`; NaN where undefined.
        variant: name that a study gave it; empty for the algorithm's.
    """

    place: Place
    algorithm: str
    options: Mapping[str, Any]
    rest: str
    outcomes: Mapping[str, float]
    variant: str = ""

    @property
    def name(self) -> str:
        """What to call it in a table."""
        return self.variant or self.algorithm


def summarise(artifact: Artifact, *, variant: str = "") -> RunSummary:
    """The numbers of a run, and what it has to share with another to be paired.

    Args:
        artifact: extracted from a run: its provenance holds the configuration.
        variant: a name of its own.

    Raises:
        DataError: no run made the artifact, or it has no logits.
    """
    configured, data = artifact.provenance.get("run") or {}, artifact.provenance.get("data") or {}
    try:
        optim, seed = dict(configured["optim"]), int(configured["data"]["seed"])
        options, algorithm = dict(optim.pop("options")), str(optim.pop("algorithm"))
        setting = " ".join([str(data["setting"]), *map(str, configured["data"].get("setting_options") or ())])
        place = Place(str(data["dataset"]), setting, str(artifact.held_out), seed)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "Expected an artifact that `tailgeom extract` made of a run; its provenance holds no configuration."
        ) from error
    rest = repr(sorted(optim.items())) + repr(sorted((configured.get("model") or {}).items()))
    return RunSummary(place, algorithm, options, rest, outcomes(artifact), variant)


def outcomes(artifact: Artifact) -> dict[str, float]:
    """The numbers of :data:`OUTCOMES`; NaN for a split, a group or a class that is not there.

    Raises:
        DataError: the artifact has no logits.
    """
    artifact.require("logits")
    found = dict.fromkeys(OUTCOMES, float("nan"))
    groups = {} if artifact.shots is None else group_masks(artifact.shots)
    few = groups.get("few", np.zeros(artifact.num_classes, dtype=bool))
    target, unseen = _part(artifact, TARGET), _part(artifact, UNSEEN)
    if target is not None:
        rated = _rated(target, groups)
        found |= {
            "target_accuracy": rated.accuracy,
            "target_balanced_accuracy": rated.balanced_accuracy,
            "target_many": rated.many,
            "target_medium": rated.medium,
            "target_few": rated.few,
            "target_ece": rated.ece,
            "target_few_margin": float(mean_defined(class_margins(target)[few])),
        }
    if unseen is not None:
        rated, margins = _rated(unseen, groups), class_margins(unseen)
        found |= {
            "source_balanced_accuracy": rated.balanced_accuracy,
            "source_few": rated.few,
            "few_margin": float(mean_defined(margins[few])),
            "margin_slope": _slope(artifact.class_counts, margins),
        }
        found |= _discrepancies(unseen, target)
    trained = _part(artifact, artifact.default_split())
    return found if trained is None else found | _collapse(trained, few)


def class_margins(artifact: Artifact) -> Array:
    """``(K,)`` median of ``p_y - max_{j != y} p_j`` in each class, in [-1, 1]; NaN for an absent one."""
    margins = score_margin(artifact.probabilities(), artifact.labels)
    medians = np.full(artifact.num_classes, np.nan)
    for k in np.unique(artifact.labels):
        medians[k] = np.median(margins[artifact.labels == k])
    return medians


def _part(artifact: Artifact, split: str) -> Artifact | None:
    if split != "all" and split not in artifact.split_names:
        return None
    try:
        return artifact.select(split)
    except DataError:
        return None


def _rated(part: Artifact, groups: Mapping[str, NDArray[np.bool_]]) -> Evaluation:
    assert part.logits is not None
    return evaluate(part.logits, part.labels, groups)


def _slope(counts: NDArray[np.int64], margins: Array) -> float:
    known = np.isfinite(margins) & (counts > 0)
    x = np.log10(counts[known].astype(np.float64))
    if x.size < 3 or np.ptp(x) == 0:
        return float("nan")
    x = x - x.mean()
    return float(x @ margins[known] / (x @ x))


def _discrepancies(unseen: Artifact, target: Artifact | None) -> dict[str, float]:
    means = prototypes(unseen.probabilities(), unseen.labels, unseen.domains, unseen.num_domains)  # (M, K, K)
    gaps = total_variation(means[:, None], means[None])  # (M, M, K)
    known = np.isfinite(gaps) & ~np.eye(len(gaps), dtype=bool)[:, :, None]
    widest = np.where(known, gaps, -np.inf).max(axis=(0, 1))
    found = {"discrepancy_sources": float(mean_defined(np.where(np.isfinite(widest), widest, np.nan)))}
    if target is None:
        return found
    sides = np.repeat([0, 1], [len(unseen.labels), len(target.labels)])
    both = np.concatenate([unseen.probabilities(), target.probabilities()])
    pooled = prototypes(both, np.concatenate([unseen.labels, target.labels]), sides, 2)
    return found | {"discrepancy_target": float(mean_defined(total_variation(pooled[0], pooled[1])))}


def _collapse(trained: Artifact, few: NDArray[np.bool_]) -> dict[str, float]:
    shares = trained.class_counts.astype(np.float64)
    held = (shares > 0) & np.isin(np.arange(trained.num_classes), trained.labels)
    found: dict[str, float] = {}
    if held.sum() < 2:
        return found
    optimum = solve(shares[held], tau=1.0, q=1.0).gram
    goals = {"simplex": simplex_etf(int(held.sum())), "optimum": optimum}
    for of in ("features", "predictions"):
        values = trained.probabilities() if of == "predictions" else trained.features
        statistics = class_statistics(values, trained.labels, trained.num_classes)
        found[f"{of.removesuffix('s')}_nc1"] = float(nc1(statistics).trace_ratio)
        if of == "features":
            ideal = equilibrium(statistics, trained.head_weight)
            found |= {"feature_fc": float(ideal.fc), "feature_ms": float(ideal.ms), "feature_sd": float(ideal.sd)}
        gram = learned_vectors(trained, of=of, among=held, split="all", resamples=0).gram
        for name, goal in goals.items():
            found[f"{of}_to_{name}"] = gram_error(gram, cosines(goal, centre=True))
        if of == "predictions":
            pairs = np.flatnonzero(few[held])
            first, second = np.triu_indices(len(pairs), 1)
            found["few_cosine"] = float(mean_defined(gram[pairs[first], pairs[second]]))
    return found
