"""Chapter: learned against optimal geometry."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figures import angles, gram, plane
from figures.report import Section, Table
from figures.story.desk import Desk, Payload


def _comparison(payload: Payload, of: str, target: str = "optimum") -> Payload | None:
    return next((c for c in payload["comparisons"] if c["of"] == of and c["target"] == target), None)


def _angles(entry: Payload) -> dict[str, Any]:
    parts = {part: entry[part] for part in ("learned", "optimal", "groups")}
    return {**parts, "rms": entry["blocks"][0]["rms"]}


def _among(values: Any, classes: Sequence[str], names: Sequence[str], axes: int) -> NDArray[np.float64]:
    """An array over the classes of one model as one over the classes of all, NaN where the model lacks a class.

    >>> _among([1.0, 2.0], ["cat", "owl"], ["cat", "dog", "owl"], axes=1)
    array([ 1., nan,  2.])
    """
    given = np.array(values, dtype=np.float64)
    whole = np.full((len(names),) * axes + given.shape[axes:], np.nan)
    whole[np.ix_(*[[names.index(name) for name in classes]] * axes)] = given
    return whole


def optimal(desk: Desk) -> Section:
    """Gram matrices, the plane, and the distance to every theory."""
    panels = []
    results = desk.result("compare")
    for of in ("features", "projections", "predictions"):
        found = {name: entry for name, payload in results.items() if (entry := _comparison(payload, of)) is not None}
        if not found:
            continue
        # One model may lack a class that another has.
        held = {name for entry in found.values() for name in entry["classes"]}
        names = [name for name in desk.study.classes if name in held]
        grams = {
            name: {part: _among(entry[part], entry["classes"], names, axes=2) for part in ("learned", "optimal")}
            for name, entry in found.items()
        }
        points = {
            name: [_among(points, entry["classes"], names, axes=1) for points in entry["plane"]["points"]]
            for name, entry in found.items()
        }
        panels.append(
            desk.panel(
                f"gram_{of}",
                gram.figure(
                    {name: grams[name] | {"error": entry["gram_error"]} for name, entry in found.items()},
                    class_names=names,
                    label="cosine of centred class means",
                ),
                f"Class means of {of}, centred and scaled to unit length: learned, optimal for the training counts, "
                "difference.",
                desk.command("compare"),
                f"Gram matrices of {of}: learned, optimal, difference",
            )
        )
        positions = [list(desk.study.classes).index(name) for name in names]
        panels.append(
            desk.panel(
                f"plane_{of}",
                plane.figure(
                    {
                        name: {
                            "learned": points[name][0],
                            "optimal": points[name][1],
                            "share": entry["plane"]["shares"][0],
                        }
                        for name, entry in found.items()
                    },
                    class_names=names,
                    shots=None if desk.study.shots is None else [desk.study.shots[k] for k in positions],
                ),
                f"The same class means of {of} in the plane that keeps most of both sets, learned rotated onto "
                "optimal.",
                desk.command("compare"),
                f"Learned and optimal class means of {of} in the plane",
            )
        )
        panels.append(
            desk.panel(
                f"angles_{of}",
                angles.figure({name: _angles(entry) for name, entry in found.items()}, reference="optimum"),
                f"Angles between the class means of {of}, one point a pair of classes: on the diagonal where the "
                "learned angle is the optimal one. Groups: " + next(iter(found.values()))["grouping"] + ".",
                desk.command("compare"),
                f"Learned over optimal angles between class means of {of}",
            )
        )
    rows = [
        [name, c["of"], c["target"], c["gram_error"], c["relative_error"], c["alignment"], c["procrustes"]]
        for name, payload in results.items()
        for c in payload["comparisons"]
    ]
    table = Table(
        "How far the learned geometry is from each theory (0: equal). The Gram error compares Gram matrices "
        "of unit norm.",
        ["model", "of", "theory", "Gram error", "relative error", "kernel alignment", "Procrustes residual"],
        rows,
        desk.command("compare"),
    )
    fits = [f"{name}, {sentence}" for name, payload in results.items() for sentence in payload["verdicts"]]
    optimum = next(iter(results.values()))["optimum"]
    text = (
        f"The optimum solves a convex program for the training counts ({optimum['loss']}, temperature "
        f"{optimum['tau']:g}); its "
        f"loss is certified within a relative {optimum['relative_gap']:.1e} of the least one. It has rank "
        f"{optimum['rank']} and "
        f"{optimum['distinct']} distinct class vectors. The program is derived independently (ours)."
    )
    return Section(
        "Learned against optimal geometry", [text, "Which theory fits best: " + " ".join(fits)], panels, [table]
    )
