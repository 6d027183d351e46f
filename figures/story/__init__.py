"""The story of a report: which result goes into which chapter, in what words; one file a chapter."""

from collections.abc import Mapping
from pathlib import Path

from figures.report import render
from figures.story.bound import bound, margin_curves
from figures.story.checks import checks
from figures.story.closing import making, plane_of_features
from figures.story.collapsing import collapsing
from figures.story.data import data
from figures.story.desk import Desk, Model, Study
from figures.story.optimal import optimal
from figures.story.training import errors, training
from figures.story.unlabelled import unlabelled

__all__ = ["Model", "Study", "write_report"]


def write_report(models: Mapping[str, Model], study: Study, out: Path) -> Path:
    """Draw every figure into ``out/figures`` and write ``out/report.html``.

    Args:
        models: the models by name, in display order.
        study: what they share.
        out: the folder.

    Returns:
        The path of the report.
    """
    desk = Desk(Path(out) / "figures", models, study)
    chapters = (
        *(data, training, errors, unlabelled, collapsing, optimal),
        *(margin_curves, bound, checks, plane_of_features, making),
    )
    sections = [section for section in (chapter(desk) for chapter in chapters) if section is not None]
    desk.write()  # nothing is written where a chapter cannot be
    subtitle = f"{' beside '.join(models)} · {study.origin}"
    results = {name: dict(model.results) for name, model in models.items()}
    return render(study.title, subtitle, sections, Path(out) / "report.html", results)
