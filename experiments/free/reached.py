"""The geometry that free vectors have reached: collapse, angles, rank, and how far from each target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.free.objectives import Objective
from experiments.free.spaces import LayerPeeled, Logits, UnitVectors
from geometry.alignment import cosines, gram_error
from geometry.collapse import class_statistics, nc1
from geometry.frames import orthogonal_frame, seli_embeddings, simplex_etf
from geometry.layer_peeled import layer_peeled
from geometry.optimum import solve
from geometry.optimum.resolution import distinct_vectors, matrix_rank

Array = NDArray[np.float64]

DIRECTED = 1e-6  # of the samples' length: a shorter class mean has the direction of what the descent left


@dataclass(frozen=True, eq=False)
class Geometry:
    """Class means and the samples around them.

    Attributes:
        gram: ``(C, C)`` cosines of the class means; of predictions and of features of the layer-peeled model, around
            their mean. NaN where a mean has no direction (shorter than 1e-6 of the samples).
        lengths: ``(C,)`` lengths of the (centred) class means.
        cosine_mean: mean over pairs of classes; -1/(C - 1) for the simplex.
        cosine_std: population standard deviation over pairs; 0 for the simplex.
        deviation: largest ``|cos + 1/(C - 1)|``.
        spread: largest distance of a sample from its class mean, over the root mean square length of the samples.
        nc1: ``tr(Sigma_W pinv(Sigma_B)) / C`` of classes with two samples or more, balanced.
        rank: eigenvalues of the Gram matrix above 1e-6; None where it is not defined.
        distinct: distinct class directions; None where one is not defined.
    """

    gram: Array
    lengths: Array
    cosine_mean: float
    cosine_std: float
    deviation: float
    spread: float
    nc1: float
    rank: int | None
    distinct: int | None


def geometry_of(vectors: Array, labels: NDArray[np.int64], *, centred: bool) -> Geometry:
    """The geometry of labelled vectors.

    Args:
        vectors: ``(N, D)``.
        labels: ``(N,)`` classes 0..C-1, each with a sample.
        centred: take the balanced mean off the class means.
    """
    statistics = class_statistics(vectors, labels)
    means = np.asarray(statistics.means, dtype=np.float64)
    residual = np.linalg.norm(vectors - means[labels], axis=1).max()
    scale = np.sqrt((vectors**2).sum(axis=1).mean())
    if centred:
        means = means - means.mean(axis=0)
    lengths = np.linalg.norm(means, axis=1)
    directed = np.where(lengths[:, None] > DIRECTED * scale, means, 0.0)
    gram = cosines(directed @ directed.T)
    defined = bool(np.isfinite(gram).all())
    pairs = gram[np.triu_indices(len(gram), 1)]
    return Geometry(
        gram=gram,
        lengths=np.asarray(lengths, dtype=np.float64),
        cosine_mean=float(pairs.mean()),
        cosine_std=float(pairs.std()),
        deviation=float(np.abs(pairs + 1.0 / (len(gram) - 1)).max()),
        spread=float(residual / scale),
        nc1=float(nc1(statistics).value),
        rank=matrix_rank(gram) if defined else None,
        distinct=distinct_vectors(gram) if defined else None,
    )


@dataclass(frozen=True)
class Program:
    """The convex program's word on the same loss.

    Attributes:
        name: of the program.
        value: its certified least loss.
        gap: (loss reached - least loss) / least loss, by the loss's own constant where that is arbitrary.
        gram_difference: largest entry of the difference of the two Gram matrices; NaN where the optimum is not unique.
    """

    name: str
    value: float
    gap: float
    gram_difference: float


def target_errors(goal: Objective, counts: tuple[int, ...], geometry: Geometry) -> dict[str, float]:
    """Relative Gram error of the class means against every target, ``|| G/|G| - G*/|G*| ||``; NaN if undefined.

    Targets: the simplex ETF, the orthogonal frame (not for centred means: centred, it is the ETF), the SELI embeddings,
    the layer-peeled model's features for losses of logits, and otherwise the contrastive program's optimum at the
    loss's temperature: SupCon's for SupCon, its own for a program's loss, InfoNCE's (Q = 1, many negatives) for others.
    """
    size, centred = len(counts), goal.space.centred
    targets = {"etf": simplex_etf(size), "seli": cosines(seli_embeddings(counts), centre=centred)}
    if not centred:
        targets["orthogonal"] = orthogonal_frame(size)
    if isinstance(goal.space, LayerPeeled):
        space = goal.space
        peeled = layer_peeled(
            counts,
            feature_energy=space.feature_energy,
            classifier_energy=space.classifier_energy,
            require_certificate=False,
        )
        targets["layer-peeled"] = cosines(peeled.embeddings, centre=True)
    elif "tau" in goal.options:
        targets["optimum"] = cosines(_program_gram(goal, counts), centre=centred)
    errors = {}
    for name, target in targets.items():
        defined = bool(np.isfinite(target).all() and np.isfinite(geometry.gram).all())
        errors[name] = gram_error(geometry.gram, target) if defined else float("nan")
    return errors


def program_check(goal: Objective, counts: tuple[int, ...], value: float, geometry: Geometry) -> Program | None:
    """The convex program's least loss beside the one reached; None where no program is known for the loss."""
    options = goal.options
    if goal.name == "ce" and isinstance(goal.space, LayerPeeled):
        peeled = layer_peeled(
            counts,
            feature_energy=options["feature_energy"],
            classifier_energy=options["classifier_energy"],
            require_certificate=False,
        )
        difference = np.abs(geometry.gram - cosines(peeled.embeddings, centre=True)).max()
        return Program("layer-peeled model", peeled.value, (value - peeled.value) / peeled.value, float(difference))
    settings = program_settings(goal)
    if settings is None or not isinstance(goal.space, UnitVectors):
        return None
    optimum = solve(counts, **settings, require_certificate=False)
    value -= program_shift(goal, counts)
    unique = settings["loss"] not in ("hinge", "linear")
    difference = float(np.abs(geometry.gram - optimum.gram).max()) if unique else float("nan")
    gap = (value - optimum.value) / (abs(optimum.value) or 1.0)
    return Program(f"convex program, {settings['loss']}", optimum.value, gap, difference)


def program_settings(goal: Objective) -> dict[str, object] | None:
    """Arguments of :func:`geometry.optimum.solve` for the very loss; None where it is not the program's."""
    options = dict(goal.options)
    if goal.name in ("infonce", "lme", "exp", "hinge", "quadratic", "linear"):
        options["loss"] = goal.name
        if "negatives" in options:
            options["negatives"] = None if options["negatives"] == "inf" else int(options["negatives"])
        return options
    if goal.name == "fixclr":
        plain = {"level": "sample", "domains": 1.0, "weight": 1.0, "classifier": 0.0, "anchor_reduction": "sample"}
        plain["other_domains_only"] = False  # of one domain none is left
        same = all(options[name] == word for name, word in plain.items())
        return {"loss": "lme", "tau": options["tau"]} if same else None
    whole = options.get("include_anchor") and options.get("anchor_reduction") == "sample"
    if goal.name == "infonce-batch" and whole and options["q"] != "plain":
        return {"loss": "infonce", "tau": options["tau"], "q": options["q"]}
    return None


def program_shift(goal: Objective, counts: tuple[int, ...]) -> float:
    """The loss less the program's, a constant: repelling lacks the program's attraction to the anchor itself."""
    if goal.name != "fixclr":
        return 0.0
    size = np.asarray(counts, dtype=np.float64)
    others = np.log(size.sum() - size) @ size / size.sum() if goal.options["aggregate"] == "sum" else 0.0
    return float(1.0 / goal.options["tau"] + others)


def boundary_share(goal: Objective, point: Array) -> float:
    """Share of the samples whose logits lie on the boundary of their ball; NaN where there is no ball."""
    if not isinstance(goal.space, Logits):
        return float("nan")
    slack = point.reshape(len(goal.space.labels), -1)[:, -1]
    return float((np.abs(slack) < 1e-3).mean())


def _program_gram(goal: Objective, counts: tuple[int, ...]) -> Array:
    settings = program_settings(goal) or {
        "loss": "supcon" if goal.name == "supcon" else "infonce",
        "tau": goal.options["tau"],
    }
    return solve(counts, **settings, require_certificate=False).gram  # type: ignore[arg-type]
