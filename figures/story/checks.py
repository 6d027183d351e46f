"""Chapter: the verdicts."""

from figures import verdict_matrix
from figures.check_figures import could_run, figures_of
from figures.numbers import interval, number
from figures.report import Badge, Section, Table
from figures.story.desk import Desk, Payload


def checks(desk: Desk) -> Section:
    """Verdicts with the rule, the number and the figure behind each."""
    results = desk.result("check")
    every = [(name, payload, verdict) for name, payload in results.items() for verdict in payload["verdicts"]]
    ran = [entry for entry in every if could_run(entry[2])]
    badges = [
        Badge(verdict["verdict"], f"On `{name}`: {verdict['claim']}", _decided(verdict), payload["command"])
        for name, payload, verdict in ran
    ]
    rules = {verdict["rule"]: _name(verdict) for _, _, verdict in ran}
    table = Table(
        "Numbers behind the verdicts.",
        ["model", "check", "estimate", "n", "note"],
        [[name, _name(verdict), verdict["estimate"], verdict["n"], verdict["note"]] for name, _, verdict in ran],
        desk.command("check"),
    )
    paragraphs = ["Every rule was fixed before the data were seen."]
    paragraphs += [f"`{check}`: {rule}" for rule, check in rules.items()]
    left = {_name(verdict): verdict["note"] for _, _, verdict in every if not could_run(verdict)}
    paragraphs += [f"Not run: `{check}`: {reason}" for check, reason in left.items()]
    models = {name: payload["verdicts"] for name, payload in results.items()}
    drawn = figures_of(models, classes=desk.study.classes, shots=desk.study.shots, seed=desk.study.seed)
    panels = [desk.panel(one.name, one.figure, one.caption, desk.command("check"), one.alternative) for one in drawn]
    if ran:
        matrix = verdict_matrix.figure({name: [list(filter(could_run, found))] for name, found in models.items()})
        summary = "Every verdict, with the number that decides."
        panels.insert(0, desk.panel("verdict_matrix", matrix, summary, desk.command("check"), "Matrix of verdicts"))
    return Section("Do the assumptions hold?", paragraphs, panels, [table], badges)


def _name(verdict: Payload) -> str:
    return f"{verdict['check']}: {verdict['subject']}" if verdict["subject"] else str(verdict["check"])


def _decided(verdict: Payload) -> str:
    return number(*interval(verdict["estimate"]))
