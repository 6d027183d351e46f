"""The training losses as functions of free vectors, by name and options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.free.classified import DEFAULTS, equilibrium
from experiments.free.mixed import mixed_plan
from experiments.free.population import NAMES as POPULATION
from experiments.free.population import population_loss
from experiments.free.repelling import DEFAULTS as REPELLING
from experiments.free.repelling import repelling
from experiments.free.spaces import LayerPeeled, Logits, Space, UnitVectors
from geometry.errors import UsageError

Labels = NDArray[np.int64]
Options = Mapping[str, Any]
Value = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Objective:
    """A loss on a space of free vectors.

    Attributes:
        name: of the loss.
        options: every option of it, with its value.
        space: where the vectors live.
        value: ``(P,)`` point to the loss.
    """

    name: str
    options: Options
    space: Space
    value: Value


@dataclass(frozen=True)
class Kind:
    """A loss by name.

    Attributes:
        text: what it is.
        defaults: its options and their defaults; ``tau`` and ``anchor_reduction`` where it has them.
        build: ``(labels, dimension, options)`` to a space and a loss on it.
    """

    text: str
    defaults: Options
    build: Callable[[Labels, int, Options], tuple[Space, Value]]


def objective(name: str, counts: tuple[int, ...], *, dimension: int, options: Options) -> Objective:
    """The loss called ``name`` on free vectors of ``counts`` samples a class.

    Args:
        name: a key of :data:`LOSSES`.
        counts: samples of each class.
        dimension: d of feature vectors; predictions have one entry a class instead.
        options: those that are not at their defaults.

    Raises:
        UsageError: an unknown loss or option, or a value that it does not take.
    """
    if name not in LOSSES:
        raise UsageError(f"Unknown loss {name!r}; known: {', '.join(LOSSES)}.")
    kind = LOSSES[name]
    for option, value in options.items():
        if option not in kind.defaults:
            raise UsageError(f"Unknown option {option!r} of {name}; known: {', '.join(kind.defaults) or 'none'}.")
        _check_type(name, option, value, kind.defaults[option])
    chosen = dict(kind.defaults) | dict(options)
    labels = np.repeat(np.arange(len(counts)), counts)
    space, value = kind.build(labels, dimension, chosen)
    return Objective(name, chosen, space, value)


def _check_type(name: str, option: str, value: Any, default: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if option in ("q", "negatives", "prototype_share"):  # a number or a word
        return
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise UsageError(f"Expected true or false for option {option!r} of {name}, got {value!r}.")
    elif isinstance(default, float) and not number:
        raise UsageError(f"Expected a number for option {option!r} of {name}, got {value!r}.")
    elif isinstance(default, str) and not isinstance(value, str):
        raise UsageError(f"Expected a word for option {option!r} of {name}, got {value!r}.")


def _population(name: str) -> Callable[[Labels, int, Options], tuple[Space, Value]]:
    def build(labels: Labels, dimension: int, options: Options) -> tuple[Space, Value]:
        settings = dict(options)
        if "negatives" in settings and settings["negatives"] == "inf":
            settings["negatives"] = None
        space = UnitVectors(labels, dimension)
        loss = population_loss(name, labels, **settings)
        return space, lambda point: loss(space.samples(point))

    return build


def _contrast(call: Callable[..., Tensor]) -> Callable[[Labels, int, Options], tuple[Space, Value]]:
    """A contrastive loss of the project on unit vectors, or on the predictions of free logits."""

    def build(labels: Labels, dimension: int, options: Options) -> tuple[Space, Value]:
        settings = dict(options)
        where, radius = settings.pop("space"), settings.pop("radius")
        if where not in ("vectors", "predictions"):
            raise UsageError(f"Expected option 'space' to be vectors or predictions, got {where!r}.")
        targets = torch.from_numpy(labels)
        if where == "vectors":
            space: UnitVectors | Logits = UnitVectors(labels, dimension)
        else:
            space = Logits(labels, float(radius))
        plan = None
        if "negatives" in settings:
            plan = mixed_plan(labels, settings.pop("negatives"), float(settings.pop("lam")))
        if plan is None:
            return space, lambda point: call(space.samples(point), targets, **settings)
        made_for = torch.from_numpy(plan.labels)

        def value(point: Tensor) -> Tensor:
            if isinstance(space, Logits):  # the network is taken as linear between two inputs, up to its logits
                made = plan.mix(space.logits(point)).softmax(dim=1)
            else:
                made = plan.mix(space.samples(point))
            return call(space.samples(point), targets, made, made_for, **settings)

        return space, value

    return build


def _equilibrium(labels: Labels, dimension: int, options: Options) -> tuple[Space, Value]:
    """BCL's and ECL's contrast, on vectors only."""
    settings = dict(options)
    if (settings.pop("space"), settings.pop("radius"))[0] != "vectors":
        raise UsageError("A loss with prototypes is computed on vectors here; leave option 'space' at vectors.")
    return equilibrium(labels, dimension, settings)


def _classification(name: str) -> Callable[[Labels, int, Options], tuple[Space, Value]]:
    """A loss of logits: free features times free classifier rows."""

    def build(labels: Labels, dimension: int, options: Options) -> tuple[Space, Value]:
        from experiments.losses.balanced_softmax import balanced_softmax
        from experiments.losses.cross_entropy import cross_entropies
        from experiments.losses.focal import focal
        from experiments.losses.ldam import ldam, ldam_margins

        targets, counts = torch.from_numpy(labels), np.bincount(labels)
        if name == "ldam":
            unit, margins = UnitVectors(labels, dimension, True), ldam_margins(counts, max_margin=options["max_margin"])
            scale = options["scale"]
            return unit, lambda point: ldam(unit.samples(point) @ unit.classes(point).T, targets, margins, scale=scale)
        space = LayerPeeled(labels, dimension, options["feature_energy"], options["classifier_energy"])
        if name == "focal":
            return space, lambda point: focal(space.samples(point), targets, gamma=options["gamma"])
        if name == "balanced-softmax":
            return space, lambda point: balanced_softmax(
                space.samples(point), targets, torch.from_numpy(counts), strength=options["strength"]
            )
        return space, lambda point: cross_entropies(space.samples(point), targets).mean()

    return build


def _info_nce(*arguments: Tensor, **settings: Any) -> Tensor:
    from experiments.losses.info_nce import info_nce

    return info_nce(*arguments, **settings)


def _supcon(*arguments: Tensor, **settings: Any) -> Tensor:
    from experiments.losses.supcon import supcon

    return supcon(*arguments, **settings)


def _ndcl(*arguments: Tensor, **settings: Any) -> Tensor:
    from experiments.losses.ndcl import negative_dominant_contrast

    return negative_dominant_contrast(*arguments, **settings)


_SAMPLE = {"tau": 0.1, "anchor_reduction": "sample", "space": "vectors", "radius": 10.0}
_BALANCED = _SAMPLE | {"denominator": "joint"} | dict(DEFAULTS)
_NDCL = {"tau": 1.0, "anchor_reduction": "class", "space": "predictions", "radius": 10.0}
_PEELED = {"feature_energy": 5.0, "classifier_energy": 1.0}
_DRAWS = {"tau": 1.0, "collisions": False}
_POPULATION_OPTIONS: dict[str, Options] = {
    "infonce": _DRAWS | {"q": 1.0, "negatives": "inf"},
    "lme": _DRAWS | {"negatives": "inf"},
    "exp": _DRAWS,
    "hinge": _DRAWS | {"margin": 1.0},
    "quadratic": _DRAWS,
    "linear": _DRAWS,
}
_POPULATION_TEXT = "the program's loss as its exact expectation over anchors, positives and negatives"

LOSSES: dict[str, Kind] = {
    **{name: Kind(_POPULATION_TEXT, _POPULATION_OPTIONS[name], _population(name)) for name in POPULATION},
    "infonce-batch": Kind(
        "InfoNCE of every (anchor, positive) pair of the batch",
        _SAMPLE | {"q": "plain", "include_anchor": False},
        _contrast(_info_nce),
    ),
    "supcon": Kind("SupCon, an anchor's own pair left out", _SAMPLE | {"form": "out"}, _contrast(_supcon)),
    "bcl": Kind("BCL's contrast", _BALANCED | {"prototype_share": "bcl"}, _equilibrium),
    "ecl": Kind(
        "ECL's contrast, with compensation and duality its other losses",
        _BALANCED | {"prototype_share": "equal"},
        _equilibrium,
    ),
    "fixclr": Kind("FixCLR's repelling term, alone or beside cross-entropy", _SAMPLE | dict(REPELLING), repelling),
    "ndcl": Kind(
        "NDCL's contrast with its negatives in the numerator",
        _NDCL | {"dissimilarity": "exp", "aggregate": "sum", "negatives": "real", "lam": 0.5},
        _contrast(_ndcl),
    ),
    "ce": Kind("cross-entropy on the layer-peeled model", _PEELED, _classification("ce")),
    "focal": Kind("focal loss on the layer-peeled model", _PEELED | {"gamma": 2.0}, _classification("focal")),
    "balanced-softmax": Kind(
        "balanced softmax on the layer-peeled model", _PEELED | {"strength": 1.0}, _classification("balanced-softmax")
    ),
    "ldam": Kind("LDAM of cosine logits", {"max_margin": 0.5, "scale": 30.0}, _classification("ldam")),
}
