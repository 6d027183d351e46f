"""Targets: where theories say class vectors should sit, all behind one interface.

A target is a name, a source and a function from class counts to a Gram matrix of any scale. One of your own takes a
line, and from then on :func:`geometry.theory_fit.compare_to_optimum` holds learned vectors against it too::

    from geometry.targets import Target, register

    register(Target("sqrt frame", "my thesis", lambda counts: np.diag(counts**0.5)))

Theories with settings of their own come from a function: :func:`contrastive`, :func:`layer_peeled_targets`,
:func:`ridge_targets`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.frames import orthogonal_frame, seli_classifiers, seli_embeddings, simplex_etf
from geometry.layer_peeled import (
    CLASSIFIER_ENERGY,
    FEATURE_ENERGY,
    PeeledOptimum,
    layer_peeled,
    ridge_cross_entropy,
)

Array = NDArray[np.float64]

SAMPLES = ("features", "projections", "predictions")
HEAD = ("head",)
EVERYTHING = (*SAMPLES, *HEAD)
LPM_GROUPS = 200  # distinct counts; 345 take a minute


@dataclass(frozen=True)
class Target:
    """What one theory says about K class vectors.

    Attributes:
        name: in words; a hyphen or an underscore may stand for a space when it is asked for.
        source: the paper, or ``ours``.
        gram: ``(K,)`` positive class counts to a ``(K, K)`` Gram matrix of any scale.
        of: the representations that the theory speaks about, out of ``features``, ``projections``, ``predictions`` and
            ``head``.
        raw: the theory places class vectors about the origin, not only about their mean: compare it only without
            centring (centred, the orthogonal frame is the simplex).
        most_groups: distinct counts up to which it takes seconds; beyond, it is left out unless asked for by name.
    """

    name: str
    source: str
    gram: Callable[[Array], Array]
    of: tuple[str, ...] = EVERYTHING
    raw: bool = False
    most_groups: float = float("inf")

    def __call__(self, counts: Sequence[float] | NDArray[Any]) -> Array:
        """The Gram matrix for these counts.

        Raises:
            UsageError: counts that are not positive, or the function gave no ``(K, K)`` matrix.
        """
        values = np.asarray(counts, dtype=np.float64)
        if values.ndim != 1 or not (np.isfinite(values).all() and (values > 0).all()):
            raise UsageError("Expected one positive count per class for a target; drop the classes that never occur.")
        gram = np.asarray(self.gram(values), dtype=np.float64)
        if gram.shape != (len(values), len(values)):
            raise UsageError(
                f"Expected the target {self.name!r} to give a ({len(values)}, {len(values)}) matrix, got {gram.shape}."
            )
        return gram


def contrastive(name: str = "optimum", *, source: str = "ours", **settings: Any) -> Target:
    """The contrastive program's certified optimum, under any settings of :func:`geometry.optimum.solve`.

    >>> contrastive(loss="supcon", tau=0.1)([30, 30, 30]).tolist()
    [[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]]
    """

    def gram(counts: Array) -> Array:
        from geometry.optimum.solve import solve

        return solve(counts, **settings).gram

    return Target(name, source, gram)


def layer_peeled_targets(
    feature_energy: float = FEATURE_ENERGY, classifier_energy: float = CLASSIFIER_ENERGY
) -> tuple[Target, Target]:
    """Classifiers and embeddings of the layer-peeled model with these energies E_H and E_W (solved once for both)."""

    def solved(counts: Array) -> PeeledOptimum:
        return _layer_peeled(tuple(counts.tolist()), feature_energy, classifier_energy)

    source = "Fang et al. 2021 (solver ours)"
    return (
        Target("lpm classifiers", source, lambda counts: solved(counts).classifiers, HEAD, most_groups=LPM_GROUPS),
        Target("lpm embeddings", source, lambda counts: solved(counts).embeddings, SAMPLES, most_groups=LPM_GROUPS),
    )


def ridge_targets(classifier_decay: float, feature_decay: float) -> tuple[Target, Target]:
    """Classifiers and embeddings of cross-entropy with a ridge on both (the unconstrained-features model)."""

    def solved(counts: Array) -> PeeledOptimum:
        return _ridge(tuple(counts.tolist()), classifier_decay, feature_decay)

    source = "unconstrained-features model (solver ours)"
    return (
        Target("ridge classifiers", source, lambda counts: solved(counts).classifiers, HEAD),
        Target("ridge embeddings", source, lambda counts: solved(counts).embeddings, SAMPLES),
    )


@lru_cache(maxsize=16)
def _layer_peeled(counts: tuple[float, ...], feature_energy: float, classifier_energy: float) -> PeeledOptimum:
    return layer_peeled(counts, feature_energy=feature_energy, classifier_energy=classifier_energy)


@lru_cache(maxsize=16)
def _ridge(counts: tuple[float, ...], classifier_decay: float, feature_decay: float) -> PeeledOptimum:
    return ridge_cross_entropy(counts, classifier_decay=classifier_decay, feature_decay=feature_decay)


_KNOWN: dict[str, Target] = {
    target.name: target
    for target in (
        Target("etf", "Papyan, Han and Donoho 2020", lambda counts: simplex_etf(len(counts))),
        Target("orthogonal frame", "Kini et al. 2023", lambda counts: orthogonal_frame(len(counts)), raw=True),
        Target("seli classifiers", "Thrampoulidis et al. 2022", seli_classifiers, HEAD),
        Target("seli embeddings", "Thrampoulidis et al. 2022", seli_embeddings, SAMPLES),
        *layer_peeled_targets(),
    )
}


def register(target: Target) -> None:
    """Make a target known by its name; one of the same name is replaced."""
    _KNOWN[target.name] = target


def forget(name: str) -> None:
    """Make a target unknown again.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in _KNOWN:
        raise UsageError(f"Expected the name of a known target, got {name!r}; known: {', '.join(_KNOWN)}.")
    del _KNOWN[name]


def known_targets() -> tuple[Target, ...]:
    """Every target that needs no settings, in the order of comparison."""
    return tuple(_KNOWN.values())


def chosen_targets(names: Sequence[str], among: Sequence[Target]) -> tuple[Target, ...]:
    """The targets of these names, in the order of the names.

    Raises:
        UsageError: an unknown name.
    """
    by_name = {_hyphenated(target.name): target for target in among}
    words = list(dict.fromkeys(map(_hyphenated, names)))
    for word in words:
        if word not in by_name:
            raise UsageError(f"Unknown target {word!r}; known: {', '.join(by_name)}.")
    return tuple(by_name[word] for word in words)


def _hyphenated(name: str) -> str:
    return name.strip().lower().replace(" ", "-").replace("_", "-")
