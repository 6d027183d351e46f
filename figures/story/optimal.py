"""Chapter: learned against optimal geometry."""

from figures import gram, plane
from figures.report import Section, Table
from figures.story.desk import Desk, Payload


def _comparison(payload: Payload, of: str, target: str = "optimum") -> Payload | None:
    return next((c for c in payload["comparisons"] if c["of"] == of and c["target"] == target), None)


def optimal(desk: Desk) -> Section:
    """Gram matrices, the plane, and the distance to every theory."""
    panels = []
    results = desk.result("compare")
    for of in ("features", "predictions"):
        found = {name: entry for name, payload in results.items() if (entry := _comparison(payload, of)) is not None}
        if not found:
            continue
        names = next(iter(found.values()))["classes"]
        panels.append(
            desk.panel(
                f"gram_{of}",
                gram.figure(
                    {
                        name: {"learned": entry["learned"], "optimal": entry["optimal"], "error": entry["gram_error"]}
                        for name, entry in found.items()
                    },
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
                            "learned": entry["plane"]["points"][0],
                            "optimal": entry["plane"]["points"][1],
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
    optimum = next(iter(results.values()))["optimum"]
    text = (
        f"The optimum solves a convex program for the training counts ({optimum['loss']}, temperature "
        f"{optimum['tau']:g}); its "
        f"loss is certified within a relative {optimum['relative_gap']:.1e} of the least one. It has rank "
        f"{optimum['rank']} and "
        f"{optimum['distinct']} distinct class vectors. The program is derived independently (ours)."
    )
    return Section("Learned against optimal geometry", [text], panels, [table])
