"""Learned class vectors against every theory: which one fits best?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.class_vectors import available, learned_vectors
from geometry.compare import Comparison, against
from geometry.errors import DataError, UsageError
from geometry.labelled import has_unlabelled, labelled_counts
from geometry.layer_peeled import CLASSIFIER_ENERGY, FEATURE_ENERGY
from geometry.optimum.certificate import UncertifiedError
from geometry.optimum.solve import Optimum, solve
from geometry.targets import Target, chosen_targets, contrastive, known_targets, layer_peeled_targets

Array = NDArray[np.float64]
LABELLED_ALONE = "Targets are for the labelled training samples; what pseudo-labels add is in none of them."
SAME = 1e-6  # relative error between two targets that count as one


@dataclass(frozen=True, eq=False)
class TheoryFit:
    """Learned class vectors against every theory.

    Attributes:
        optimum: the contrastive program's optimum for the classes with training samples; None if it was not asked for.
        classes: names of those classes.
        comparisons: one per representation and target.
        verdicts: for each representation, which theory fits best, in one sentence.
        notes: targets that were left out, and why.
    """

    optimum: Optimum | None
    classes: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]

    def best(self, of: str = "features") -> Comparison:
        """The target with the least Gram error.

        Raises:
            UsageError: ``of`` was not compared.
        """
        fits = [comparison for comparison in self.comparisons if comparison.of == of]
        if not fits:
            raise UsageError(f"No comparison of {of!r} was made.")
        return min(fits, key=lambda comparison: comparison.gram_error.estimate)

    def rows(self) -> list[tuple[object, ...]]:
        """One row per comparison, under ``SUMMARY_HEADER``."""
        return [comparison.summary() for comparison in self.comparisons]


def compare_to_optimum(
    artifact: Artifact,
    *,
    tau: float = 1.0,
    q: float | str = 1.0,
    method: str = "auto",
    of: Sequence[str] | None = None,
    centre: bool = True,
    split: str | None = None,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
    targets: Sequence[str] | None = None,
    feature_energy: float = FEATURE_ENERGY,
    classifier_energy: float = CLASSIFIER_ENERGY,
    **settings: Any,
) -> TheoryFit:
    """Compare class vectors with the contrastive optimum and with every other target that speaks about them.

    Targets are made for the classes that have training samples, from their training counts, and each is centred as
    the learned vectors are. Where some training samples had no label, counts are of those that had one.

    Args:
        artifact: the representation.
        tau: temperature of the contrastive program.
        q: weight of its negatives, or ``"plain"``.
        method: its solver.
        of: representations; all that the artifact holds by default.
        centre: subtract the balanced mean of the class vectors.
        split: which samples; the training split by default.
        resamples: bootstrap redraws.
        level: nominal coverage of the intervals.
        seed: of the bootstrap.
        targets: names of targets; these are then compared with every representation.
        feature_energy: E_H of the layer-peeled model.
        classifier_energy: E_W of the layer-peeled model.
        **settings: loss, negatives, collisions and the like of :func:`geometry.optimum.solve`.

    Raises:
        DataError: fewer than two classes have training samples, or a part is missing.
        UsageError: unknown representation, target, split or settings.
        UncertifiedError: the contrastive optimum could not be certified.
    """
    counts = labelled_counts(artifact).sum(axis=0) if has_unlabelled(artifact) else artifact.class_counts
    trained = counts > 0
    if trained.sum() < 2:
        raise DataError(f"Expected at least two classes with training samples, got {int(trained.sum())}.")
    shares = counts[trained].astype(np.float64)
    peeled = {target.name: target for target in layer_peeled_targets(feature_energy, classifier_energy)}
    everything = (contrastive(), *(peeled.get(target.name, target) for target in known_targets()))
    chosen = everything if targets is None else chosen_targets(targets, everything)
    optimum = solve(shares, tau=tau, q=q, method=method, **settings) if everything[0] in chosen else None
    made: dict[str, Array] = {} if optimum is None else {everything[0].name: optimum.gram}
    fits, notes = [], [LABELLED_ALONE] if has_unlabelled(artifact) else []
    for part in of or available(artifact):
        learned = learned_vectors(
            artifact, of=part, among=trained, centre=centre, split=split, resamples=resamples, seed=seed
        )
        for target in chosen:
            if targets is None and (part not in target.of or (centre and target.raw)):
                continue
            if targets is None and len(np.unique(shares)) > target.most_groups:
                notes.append(_left_out(target, len(np.unique(shares))))
                continue
            try:
                gram = made[target.name] if target.name in made else made.setdefault(target.name, target(shares))
            except UncertifiedError as error:
                notes.append(f"Left out {target.name}: {error}")
                continue
            whole = np.full((len(counts), len(counts)), np.nan)
            whole[np.ix_(trained, trained)] = gram
            fits.append(against(learned, whole, name=target.name, source=target.source, level=level))
    names = tuple(name for name, seen in zip(artifact.class_names, trained, strict=True) if seen)
    parts = dict.fromkeys(fit.of for fit in fits)
    verdicts = tuple(verdict([fit for fit in fits if fit.of == part]) for part in parts)
    return TheoryFit(optimum, names, tuple(fits), verdicts, tuple(dict.fromkeys(notes)))


def verdict(fits: Sequence[Comparison]) -> str:
    """Which of several comparisons of the same vectors fits best, in one sentence that says how sure that is."""
    best = min(fits, key=lambda fit: fit.gram_error.estimate)
    twins = [fit for fit in fits if fit is not best and _same(fit, best)]
    names = " and ".join(fit.target for fit in (best, *twins))
    error = best.gram_error
    ends = f" [{error.low:.3f}, {error.high:.3f}]" if np.isfinite(error.low) else ""
    fit_best = "coincide here and fit best" if twins else "fits best"
    text = f"{best.of}: {names} {fit_best} (Gram error {error.estimate:.3f}{ends})"
    others = [fit for fit in fits if fit is not best and fit not in twins]
    if not others:
        return text + "."
    if not ends:
        return text + "; without intervals nothing says how surely."
    rivals = [fit.target for fit in others if not fit.gram_error.low > error.high]
    if not rivals:
        return text + "; no other interval overlaps its own."
    return text + f"; the intervals overlap with {', '.join(rivals)}, so that these are not told apart."


def _same(first: Comparison, second: Comparison) -> bool:
    if first.classes != second.classes:
        return False
    return bool(np.linalg.norm(first.optimal - second.optimal) <= SAME * np.linalg.norm(second.optimal))


def _left_out(target: Target, groups: int) -> str:
    return (
        f"Left out {target.name}: {groups} different training counts would take it long; ask for it with --targets "
        f"{target.name.replace(' ', '-')}."
    )
