"""What a report is told from, and where its figures are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures import style
from figures.report import Panel

Payload = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Model:
    """One model's results.

    Attributes:
        results: payload of each command: ``measure``, ``compare``, ``bound``, ``check``; and of ``pseudo_labels``, a
            report of :mod:`geometry.pseudo_labels` with its command, where training samples were unlabelled.
        metrics: rows of the run's metrics.jsonl; empty for a model trained elsewhere.
        features: ``(n, D)`` sample of features to embed.
        labels: ``(n,)`` their classes.
        sample_domains: ``(n,)`` their domains.
    """

    results: Mapping[str, Payload]
    metrics: Sequence[Mapping[str, Any]]
    features: NDArray[Any]
    labels: NDArray[Any]
    sample_domains: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Study:
    """What the models of a report share.

    Attributes:
        title: of the report.
        classes: K names.
        domains: M names.
        counts: ``(M, K)`` training images per domain and class.
        held_out: the target domain, or None.
        shots: K shot groups, or None.
        origin: one line on what the data are.
        provenance: what made the models, as (what, value) rows.
        commands: the shell command behind ``report`` and ``data``.
        contact_sheet: a picture of the data, or None.
        others: names of models that were not trained on as many images of every kind as the first one was.
        labelled: training images whose class training knew, or None where it knew that of all.
    """

    title: str
    classes: Sequence[str]
    domains: Sequence[str]
    counts: NDArray[Any]
    held_out: str | None
    shots: Sequence[str] | None
    origin: str
    provenance: Sequence[tuple[str, str]]
    commands: Mapping[str, str]
    contact_sheet: Path | None = None
    labelled: int | None = None
    others: Sequence[str] = ()
    embedding: str = "umap"
    seed: int = 0


@dataclass
class Desk:
    """Where figures are drawn: every one becomes a panel, and all are saved as PDF and PNG once the last is drawn."""

    folder: Path
    models: Mapping[str, Model]
    study: Study
    drawn: dict[str, Figure] = field(default_factory=dict)

    def panel(self, name: str, figure: Figure, caption: str, command: str, alt: str) -> Panel:
        """Keep one figure for the folder and give its panel."""
        self.drawn[name] = figure
        return Panel(self.folder / f"{name}.png", caption, command, alt)

    def write(self) -> None:
        """Write every figure into the folder."""
        for name, figure in self.drawn.items():
            style.save(figure, self.folder / name)

    def result(self, command: str) -> dict[str, Payload]:
        """One command's payload for each model."""
        return {name: model.results[command] for name, model in self.models.items()}

    def command(self, name: str) -> str:
        """The commands that made one kind of result, a line a model."""
        return "\n".join(payload["command"] for payload in self.result(name).values())
