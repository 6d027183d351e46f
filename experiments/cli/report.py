"""``tailgeom report``."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import OptionalPath
from experiments.cli.analysis import Analysis, find_artifact, model_label
from experiments.cli.bound import Bound
from experiments.cli.check import Check
from experiments.cli.compare import Compare
from experiments.cli.measure import Measure
from experiments.cli.words import command_line, flags, joined
from experiments.config import EMBEDDINGS
from experiments.data_config import data_config
from geometry.artifact import Artifact, load
from geometry.errors import DataError, UsageError

EMBEDDED_SAMPLES = 1000


@dataclass(frozen=True)
class Report:
    """Analyse one or more models side by side and write figures and one self-contained HTML report.

    Runs measure, compare, bound and check on each (their results are kept in RUN/results, or in OUT/results/NAME where
    that cannot be written, and used again while the artifact stays the same), draws every figure as PDF and PNG, and
    joins them with the command behind every panel.

    Example::

        tailgeom report runs/demo/erm runs/demo/ndcl --out runs/demo

    Attributes:
        runs: run directories with an artifact, or artifacts, of the same classes.
        out: where report.html and figures/ go (default: beside the first run).
        tau: temperature of the contrastive program.
        embedding: umap or pca.
        seed: of resampling, cross-fitting and embedding.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")] = ()
    out: OptionalPath = None
    tau: float = 1.0
    embedding: str = "umap"
    seed: int = 0

    def run(self) -> int:
        """Analyse, draw, write, and print where the report is."""
        print(self.write())
        return 0

    def write(self) -> Path:
        """The path of the finished report."""
        from experiments.cli.output import progress_bar
        from figures.story import Model, write_report

        if not self.runs:
            raise UsageError("Expected one run or more: tailgeom report RUN [RUN ...].")
        if len(set(self.runs)) < len(self.runs):
            raise UsageError("Expected every run once; the same one is named twice.")
        if self.embedding not in EMBEDDINGS:
            raise UsageError(f"Unknown embedding {self.embedding!r}; known: {', '.join(EMBEDDINGS)}.")
        out = self.out or self.runs[0].parent
        artifacts = {
            name: load(find_artifact(run, "report")) for name, run in zip(self._names(), self.runs, strict=True)
        }
        first = next(iter(artifacts.values()))
        if any(artifact.class_names != first.class_names for artifact in artifacts.values()):
            raise DataError("Expected models of the same classes in one report; write one report each.")
        models: dict[str, Model] = {}
        with progress_bar("report") as update:
            total = 4 * len(self.runs) + 1
            for (name, artifact), run in zip(artifacts.items(), self.runs, strict=True):
                results: dict[str, Any] = {}
                for command in self.commands(run):
                    update(4 * len(models) + len(results), total, f"{name}: {command.name}")
                    results[command.name] = result_of(command, artifact, run, out / "results" / slug(name))
                results |= pseudo_labels(artifact, run)
                models[name] = Model(results=results, metrics=_metrics(run), **_samples(artifact, self.seed))
            update(total - 1, total, "figures")
            return write_report(models, self.study(artifacts, out), out)

    def study(self, artifacts: Mapping[str, Artifact], out: Path) -> Any:
        """What the models share, read from the first artifact, and which of them it is not true of."""
        from figures.story import Study
        from geometry.labelled import has_unlabelled, labelled_counts

        artifact = next(iter(artifacts.values()))
        made_by = dict(artifact.provenance)
        data = dict(made_by.get("data", {}))
        origin = f"{data.get('dataset', 'features')}"
        if data.get("setting"):
            origin += f", {data['setting']}"
        if artifact.held_out:
            origin += f", held-out domain {artifact.held_out}"
        if dict(data.get("source", {})).get("labels"):
            origin += f", {data['source']['labels']} labels a class and source domain"
        return Study(
            title="Tailgeom report",
            classes=artifact.class_names,
            domains=artifact.domain_names,
            counts=artifact.training_counts,
            held_out=artifact.held_out,
            shots=artifact.shots,
            origin=origin,
            provenance=provenance_rows(made_by),
            commands={
                "report": command_line("report", *self.runs, *flags(self, leave_out=("runs",))),
                "data": data_command(artifact),
                "train": joined([train_command(run) for run in self.runs]),
                "contact_sheet": command_line("data inspect", "--contact-sheet", out / "figures" / "contact_sheet"),
            },
            contact_sheet=out / "figures" / "contact_sheet.png",
            others=tuple(other for other, them in artifacts.items() if not _same_training(artifact, them)),
            labelled=int(labelled_counts(artifact).sum()) if has_unlabelled(artifact) else None,
            embedding=self.embedding,
            seed=self.seed,
        )

    def commands(self, run: Path) -> tuple[Analysis, ...]:
        """The four analyses of a run."""
        return (
            Measure(artifact=run, seed=self.seed),
            Compare(artifact=run, tau=self.tau, seed=self.seed),
            Bound(artifact=run, seed=self.seed),
            Check(artifact=run, seed=self.seed),
        )

    def _names(self) -> list[str]:
        names = [model_label(run) for run in self.runs]
        return names if len(set(names)) == len(names) else [str(run) for run in self.runs]


def pseudo_labels(artifact: Artifact, run: Path) -> dict[str, Any]:
    """How good the pseudo-labels of an artifact are, under the run's own threshold, where it has unlabelled samples."""
    from geometry.atomic import plain
    from geometry.labelled import has_unlabelled
    from geometry.pseudo_labels import THRESHOLD, pseudo_label_quality

    if not has_unlabelled(artifact) or artifact.logits is None:
        return {}
    trained = dict(dict(artifact.provenance.get("run", {})).get("optim", {}))
    threshold = float(dict(trained.get("options", {})).get("threshold", THRESHOLD))
    command = Measure(artifact=run, split="unlabelled", threshold=threshold).command_line()
    return {"pseudo_labels": {"command": command, **plain(pseudo_label_quality(artifact, threshold=threshold))}}


def slug(name: str) -> str:
    """A model's name as the name of one folder.

    >>> slug("ndcl"), slug("../runs/a b")
    ('ndcl', 'runs_a b')
    """
    return "_".join(part for part in Path(name).parts if part not in ("..", ".", "/")) or "model"


def result_of(command: Analysis, artifact: Artifact, run: Path, instead: Path | None = None) -> dict[str, Any]:
    """A command's result: the saved one while artifact, settings, command and code are the same, else a fresh one.

    It is kept beside the data, or in ``instead`` (where one is given) when that place cannot be written.
    """
    from geometry.atomic import plain, read_json

    directory = run / "results" if run.is_dir() else run.with_name(f"{run.stem}-results")
    for place in filter(None, (directory, instead)):
        with suppress(DataError):  # a result that cannot be read is made again
            payload = read_json(place / f"{command.name}.json")
            if isinstance(payload, dict) and plain(command.origin(artifact)).items() <= payload.items():
                return payload
    result = command.analyse(artifact)
    payload = command.payload(artifact, result)
    try:
        command.save(directory, payload, result)
    except DataError:  # somebody else's run, or a disk that can be read alone
        if instead is None:
            raise
        command.save(instead, payload, result)
    return payload


def _same_training(first: Artifact, other: Artifact) -> bool:
    """Whether two artifacts' models had equally many training samples of every domain and class, and of each label."""
    from geometry.labelled import labelled_counts

    if first.domain_names != other.domain_names:
        return False
    counted = (
        (first.training_counts, other.training_counts),
        (labelled_counts(first), labelled_counts(other)),
    )
    return all((mine == theirs).all() for mine, theirs in counted)


def provenance_rows(made_by: dict[str, Any]) -> list[tuple[str, str]]:
    """Versions, commit, hardware and seed of an artifact as rows of text."""
    rows = [("commit", str(made_by["commit"]))] if "commit" in made_by else []
    rows += [(name, str(value)) for name, value in dict(made_by.get("versions", {})).items()]
    rows += [(name.replace("_", " "), str(value)) for name, value in dict(made_by.get("hardware", {})).items()]
    data = dict(made_by.get("data", {}))
    rows += [
        (f"data: {name.replace('_', ' ')}", str(value)) for name, value in data.items() if value not in (None, [], {})
    ]
    return rows


def train_command(run: Path) -> str:
    """The command that trained a run, every setting that is not the default written out."""
    from experiments.restoring import config_of
    from experiments.runs import RunDirectory

    if not (run / "config.yaml").exists():
        return ""
    config = config_of(RunDirectory(run))
    words = ["--out", run, *(["--features", config.features] if config.features is not None else [])]
    words += flags(config.data, config.model)  # of a run on features only what it depends on was saved
    words += flags(config.optim, leave_out=("options", "device"))
    if config.optim.options:
        words += ["--set", *(f"{name}={value}" for name, value in config.optim.options.items())]
    return command_line("train", *words)


def data_command(artifact: Artifact) -> str:
    """The command that shows the split an artifact's samples come from; empty where that is not known."""
    source = dict(artifact.provenance.get("data", {})).get("source")
    if not source:
        return ""
    return command_line("data split", *flags(data_config(source), leave_out=("image_size",)))


def _metrics(run: Path) -> Sequence[dict[str, Any]]:
    from experiments.runs import RunDirectory

    return RunDirectory(run).metrics() if run.is_dir() else []


def _samples(artifact: Artifact, seed: int) -> dict[str, Any]:
    """A seeded sample of training and target features for the embedding, each half of it."""
    import numpy as np

    rng = np.random.default_rng(seed)
    target = artifact.split == artifact.split_names.index("target") if "target" in artifact.split_names else None
    if target is None:
        chosen = np.arange(len(artifact.labels))
    else:
        source = artifact.split == artifact.split_names.index(artifact.default_split())
        halves = [np.flatnonzero(part) for part in (source, target)]
        most = EMBEDDED_SAMPLES // 2
        chosen = np.concatenate([rng.permutation(half)[:most] for half in halves])
    chosen = np.sort(rng.permutation(chosen)[:EMBEDDED_SAMPLES])
    return {
        "features": artifact.features[chosen],
        "labels": artifact.labels[chosen],
        "sample_domains": artifact.domains[chosen],
    }


COMMAND = Report
