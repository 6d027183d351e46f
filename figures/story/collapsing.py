"""Chapter: neural collapse and minority collapse."""

from collections.abc import Sequence

from figures import collapse
from figures.report import Section, Table
from figures.story.desk import Desk, Payload

COLLAPSE_METRICS = {
    "nc1": "NC1: within / between scatter",
    "cdnv": "CDNV: pairwise variance / distance",
    "means_max_equiangularity": "NC2: |cos + 1/(K−1)| of class means",
    "nc3_frobenius": "NC3: head against class means",
    "nc4": "NC4: head agrees with nearest mean",
    "means_cosine": "mean cosine of class-mean pairs",
}


def collapsing(desk: Desk) -> Section:
    """Metrics with intervals, and the rank NC1 was computed at."""
    models = {}
    for name, payload in desk.result("measure").items():
        groups = payload["overall"]["balanced"]["groups"]
        models[name] = {
            metric: {
                group: groups[group]["metrics"].get(metric)
                for group in ("all", "many", "medium", "few")
                if group in groups
            }
            for metric in COLLAPSE_METRICS
        }
    simplex = _simplex_cosine([model["overall"] for model in desk.result("measure").values()])
    panel = desk.panel(
        "collapse",
        collapse.figure(
            models,
            labels=COLLAPSE_METRICS,
            log=("nc1", "cdnv"),
            references={"nc4": 1.0} | ({} if simplex is None else {"means_cosine": simplex}),
        ),
        "Balanced collapse metrics on the training samples, over all classes and per shot group; dotted: "
        "full collapse.",
        desk.command("measure"),
        "Dot plot of neural-collapse metrics with intervals",
    )
    rows = []
    for name, payload in desk.result("measure").items():
        whole = payload["overall"]["balanced"]
        minority = whole["groups"].get("minority", {}).get("metrics", {})
        rows.append(
            [
                name,
                whole["groups"]["all"]["metrics"]["nc1"],
                whole["nc1"]["trace_ratio"],
                f"{_whole(whole['nc1']['rank'])} of {_whole(whole['nc1']['rank_expected'])}",
                whole["nc1"]["smallest_kept"],
                minority.get("means_cosine"),
                minority.get("means_merged_share"),
            ]
        )
    table = Table(
        "NC1 with the rank it was computed at. A rank below K − 1 or a minority cosine near 1 is minority collapse. "
        f"Minority: {next(iter(desk.result('measure').values()))['minority']['rule']}.",
        [
            "model",
            "NC1",
            "trace ratio",
            "rank",
            "smallest kept / largest eigenvalue",
            "minority cosine",
            "merged minority pairs",
        ],
        rows,
        desk.command("measure"),
    )
    text = (
        "Neural collapse: samples of a class shrink to their mean, and class means spread into a simplex. "
        "Intervals are "
        "bootstrap intervals over samples, corrected for the bias of resampling, which is why an estimate "
        "can lie at their edge."
    )
    return Section("Neural collapse and minority collapse", [text], [panel], [table])


def _simplex_cosine(scopes: Sequence[Payload]) -> float | None:
    """-1/(K - 1) for the K classes that were measured; None where models differ in them, or K is one."""
    sizes = {len(scope["balanced"]["groups"]["all"]["classes"]) for scope in scopes}
    size = sizes.pop()
    return None if sizes or size < 2 else -1 / (size - 1)


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
