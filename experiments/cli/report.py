"""``tailgeom report``."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import OptionalPath
from experiments.cli.analysis import Analysis, find_artifact
from experiments.cli.bound import Bound
from experiments.cli.check import Check
from experiments.cli.compare import Compare
from experiments.cli.measure import Measure
from geometry.artifact import Artifact, load
from geometry.errors import DataError, UsageError

EMBEDDED_SAMPLES = 1000


@dataclass(frozen=True)
class Report:
    """Analyse one or more models side by side and write figures and one self-contained HTML report.

    Runs measure, compare, bound and check on each (their results are kept in RUN/results and used again while the
    artifact stays the same), draws every figure as PDF and PNG, and joins them with the command behind every panel.

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
        if self.embedding not in ("umap", "pca"):
            raise UsageError(f"Unknown embedding {self.embedding!r}; known: umap, pca.")
        out = self.out or self.runs[0].parent
        artifacts = {name: load(find_artifact(run)) for name, run in zip(self._names(), self.runs, strict=True)}
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
                    results[command.name] = result_of(command, artifact, run)
                models[name] = Model(results=results, metrics=_metrics(run), **_samples(artifact, self.seed))
            update(total - 1, total, "figures")
            return write_report(models, self.study(first, out), out)

    def study(self, artifact: Artifact, out: Path) -> Any:
        """What the models share, read from the first artifact."""
        from figures.story import Study

        made_by = dict(artifact.provenance)
        data = dict(made_by.get("data", {}))
        origin = f"{data.get('dataset', 'features')}"
        if data.get("setting"):
            origin += f", {data['setting']}"
        if artifact.held_out:
            origin += f", held-out domain {artifact.held_out}"
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
                "report": self._command_line(),
                "data": _data_command(artifact),
                "train": "\n".join(command for run in self.runs if (command := train_command(run))),
                "contact_sheet": f"tailgeom data inspect --contact-sheet {out / 'figures' / 'contact_sheet'}",
            },
            contact_sheet=out / "figures" / "contact_sheet.png",
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
        names = [run.parent.name if run.name == "artifact" else run.stem for run in self.runs]
        return names if len(set(names)) == len(names) else [str(run) for run in self.runs]

    def _command_line(self) -> str:
        return " ".join(["tailgeom report", *map(str, self.runs)] + ([f"--out {self.out}"] if self.out else []))


def result_of(command: Analysis, artifact: Artifact, run: Path) -> dict[str, Any]:
    """A command's result: the saved one while artifact, settings and command are the same, else computed and saved."""
    from experiments.cli.output import save_result
    from geometry.atomic import plain, read_json

    directory = run / "results" if run.is_dir() else run.with_name(f"{run.stem}-results")
    saved = directory / f"{command.name}.json"
    if saved.exists():
        payload: dict[str, Any] = read_json(saved)
        known = {"artifact_digest": artifact.digest(), "settings": plain(command.settings())}
        if known.items() <= payload.items() and payload.get("command") == command.command_line():
            return payload
    result = command.analyse(artifact)
    payload = command.payload(artifact, result)
    save_result(directory, command.name, payload, command.header, command.table(result))
    return payload


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
    from experiments.extraction import config_of
    from experiments.runs import RunDirectory

    if not (run / "config.yaml").exists():
        return ""
    config = config_of(RunDirectory(run))
    words = ["tailgeom", "train", "--out", str(run)]
    for part in (config.data, config.model, config.optim):
        for entry in fields(part):
            value = getattr(part, entry.name)
            if entry.name == "options":
                words += ["--set", *(f"{name}={number:g}" for name, number in value.items())] if value else []
            elif value != entry.default and entry.name != "device":
                words += [f"--{entry.name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    if config.features is not None:
        words += ["--features", str(config.features)]
    return shlex.join(words)


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


def _data_command(artifact: Artifact) -> str:
    config = artifact.provenance.get("run", artifact.provenance.get("frozen", {})).get("data")
    if not config:
        return ""
    words = ["tailgeom data split"]
    for name in ("dataset", "data", "setting", "test_domain", "seed"):
        if config.get(name) is not None:
            words.append(f"--{name.replace('_', '-')} {config[name]}")
    return " ".join(words)


COMMAND = Report
