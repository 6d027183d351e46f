"""``tailgeom measure``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isnan
from pathlib import Path
from typing import Any

from experiments.cli.analysis import Table
from experiments.cli.study_analysis import StudyAnalysis
from geometry.artifact import Artifact
from geometry.errors import UsageError
from geometry.labelled import UNLABELLED
from geometry.prototypes import PrototypeRow, prototype_report, prototype_space
from geometry.pseudo_labels import THRESHOLD, PseudoLabelRow, pseudo_label_quality

ALL = "all"
MOST_LISTED = 6
ROWS = {"pseudo_labels": PseudoLabelRow, "prototypes": PrototypeRow}


@dataclass(frozen=True)
class Measured:
    """A collapse report, one of the pseudo-labels of unlabelled training samples, and one of a loss's prototypes."""

    collapse: Any
    pseudo_labels: Any = None
    prototypes: Any = None


@dataclass(frozen=True)
class Measure(StudyAnalysis):
    """Measure neural collapse and minority collapse: NC1 to NC4, CDNV, GNC2, minority cosines, ranks.

    Every metric stands balanced (each class counts alike) and pooled (each sample counts alike), over all classes,
    per shot group and per domain, with a bootstrap interval over samples. Classes that are absent or have one sample
    are left out where they carry nothing, and counted. Of the split `unlabelled` (training with --labels) it also says
    how good the model's pseudo-labels are, by class and shot group, against the labels that training did not see. Of a
    model whose loss has prototypes (BCL, ECL) it says how near they are to class means, classifier rows and simplex.

    With several runs, or the ROOT of a sweep (all its finished runs): balanced metrics of each by shot group, averaged
    over held-out domains and seeds, with paired differences from a baseline.

    Example::

        tailgeom measure runs/demo/ndcl
        tailgeom measure --features my_features.npz --json
        tailgeom measure runs/fixmatch --split unlabelled
        tailgeom measure ROOT --baseline erm --out results

    Attributes:
        split: which samples: train, validation, source_test, target, unlabelled or all (default: train, where there is
            one).
        threshold: with --split unlabelled, the probability from which a pseudo-label is kept.
        resamples: bootstrap resamples behind each interval.
        seed: seed of the resampling, and of a study's tests.
        baseline: of a study, the row that the others are compared with.
        test: of a study: sign-flip (exact permutation test), t or wilcoxon.
    """

    split: str = ""
    threshold: float = THRESHOLD
    resamples: int = 200
    seed: int = 0
    baseline: str = ""
    test: str = "sign-flip"

    name = "measure"
    of_study = ("baseline", "test")
    header = ("metric", "weighting", "group", "domain", "estimate", "low", "high", "n", "note")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold != THRESHOLD and self.split != UNLABELLED:
            raise UsageError("Expected --split unlabelled beside --threshold, which is that of pseudo-labels.")

    def study(self) -> int:
        """Measure the runs."""
        from experiments.cli.measure_study import run_study

        return run_study(self)

    def analyse(self, artifact: Artifact) -> Any:
        """The collapse report, and those of pseudo-labels and prototypes where there are any."""
        from geometry.collapse import measure

        predicted = self.split == UNLABELLED and artifact.logits is not None
        quality = pseudo_label_quality(artifact, threshold=self.threshold) if predicted else None
        collapse = measure(artifact, split=self.split or None, resamples=self.resamples, seed=self.seed)
        found = None if prototype_space(artifact) is None else prototype_report(artifact, split=self.split or None)
        return Measured(collapse, quality, found)

    def settings(self) -> dict[str, Any]:
        """The options that decide the numbers."""
        found = super().settings()
        return found if self.split == UNLABELLED else {k: v for k, v in found.items() if k != "threshold"}

    def contents(self, result: Any) -> dict[str, Any]:
        """The collapse report as plain values, with the other beside it where there is one."""
        from geometry.atomic import plain

        more = {name: getattr(result, name) for name in ROWS}
        found = {name: plain(report) for name, report in more.items() if report is not None}
        return dict(plain(result.collapse)) | found

    def more_tables(self, result: Any) -> Mapping[str, Table]:
        """Pseudo-labels and prototypes by group and class."""
        found = {name: getattr(result, name) for name in ROWS}
        return {name: row_table(report, ROWS[name]) for name, report in found.items() if report is not None}

    def table(self, result: Any) -> list[Sequence[Any]]:
        """One row a metric, weighting, group and domain."""
        return list(result.collapse.rows())

    def payload(self, artifact: Artifact, result: Any) -> dict[str, Any]:
        """The result, and of pseudo-labels what names and orders the classes in their figure."""
        whole = super().payload(artifact, result)
        if result.pseudo_labels is None:
            return whole
        more = {"class_counts": artifact.class_counts.tolist(), "shots": artifact.shots}
        return whole | {"pseudo_labels": whole["pseudo_labels"] | more}

    def draw(self, directory: Path, payload: dict[str, Any]) -> None:
        """The figure of the pseudo-labels, where there are any."""
        if "pseudo_labels" not in payload:
            return
        from figures import pseudo_labels, style

        found = payload["pseudo_labels"]
        figure = pseudo_labels.figure(
            {self.label: found}, class_names=list(found["classes"]), counts=found["class_counts"], shots=found["shots"]
        )
        style.save(figure, directory / "measure_pseudo_labels")

    def show(self, result: Any) -> None:
        """Print the balanced metrics over all domains; the rest is in --json and --out."""
        from experiments.cli.output import print_table

        collapse, quality = result.collapse, result.pseudo_labels
        rows = [row for row in collapse.rows() if row.domain == "all" and row.weighting in ("balanced", "none")]
        columns = ("metric", "group", "estimate", "low", "high", "n")
        print_table(self.command_line(), columns, [[getattr(row, name) for name in columns] for row in rows])
        for sentence in blanks(collapse):
            print(sentence)
        nc1 = collapse.overall.balanced.nc1
        print(f"NC1 was computed at rank {nc1.rank:.0f} of {nc1.rank_expected}; samples: {collapse.split}.")
        print(
            "In --json and --out too: pooled weighting, every domain, geometry across domains, how intervals were made."
        )
        if quality is None and self.split == UNLABELLED:
            print("No pseudo-labels: the artifact has no logits.")
        if quality is not None:
            print()
            print_table("pseudo-labels", *row_table(quality, PseudoLabelRow))
            none = quality.groups["all"].n_kept == 0
            kept = "none is kept" if none else f"of the kept {quality.kept_total_variation:.3f}"
            print(
                f"Kept: a probability of {quality.threshold:g} or more. Total variation of the pseudo-labels' classes "
                f"from the true ones: {quality.total_variation:.3f}, {kept}."
            )
        if result.prototypes is not None:
            print()
            print_table(f"prototypes in {result.prototypes.space}", *row_table(result.prototypes, PrototypeRow))
            print(
                "Cosines of prototypes with the means of their classes and with classifier rows; mean deviation of the"
            )
            print("angles between them from the simplex's cosine -1/(K - 1).")


def blanks(collapse: Any) -> list[str]:
    """What the printed table leaves out or leaves blank, with the reason: classes without samples, then metrics."""
    sentences, scope = [], collapse.overall
    for count, what in ((0, "no samples"), (1, "one sample, so no variance")):
        names = [name for name, n in zip(collapse.class_names, scope.counts, strict=True) if n == count]
        if names:
            sentences.append(f"{'Single' if count else 'Left out'}: {_listed(names)} ({what}).")
    undefined: dict[tuple[str, str], list[str]] = {}  # metric and reason -> groups
    for groups in (scope.balanced.groups, collapse.head):
        for group, measures in groups.items():
            for metric, interval in measures.metrics.items():
                if isnan(interval.estimate):
                    reason = interval.method.removeprefix("undefined: ")
                    undefined.setdefault((metric, reason), []).append(group)
    alike: dict[tuple[str, str], list[str]] = {}  # reason and groups -> metrics
    for (metric, reason), found in undefined.items():
        where = "" if ALL in found else f" of {', '.join(found)}"
        alike.setdefault((reason, where), []).append(metric)
    if alike:
        parts = [f"{_listed(_families(metrics))}{where} ({reason})" for (reason, where), metrics in alike.items()]
        sentences.append(f"Not computed: {'; '.join(parts)}.")
    return sentences


def _families(metrics: Sequence[str]) -> list[str]:
    """Names of metrics, three or more of one family as one: ``means_...``."""
    sizes = Counter(metric.partition("_")[0] for metric in metrics)
    shown = (metric if sizes[family := metric.partition("_")[0]] < 3 else f"{family}_..." for metric in metrics)
    return list(dict.fromkeys(shown))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_LISTED
    return ", ".join(names) if more < 2 else f"{', '.join(names[:MOST_LISTED])} and {more} more"


def row_table(report: Any, row: type[Any]) -> Table:
    """Names of the columns, and a row for every group and class."""
    columns = [field.name for field in fields(row)]
    return columns, [[getattr(one, name) for name in columns] for one in report.rows()]


COMMAND = Measure
