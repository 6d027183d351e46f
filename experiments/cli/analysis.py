"""What the analysis commands share: where the artifact comes from, what is printed, what is saved."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from experiments.arguments import ArtifactPath, OptionalPath
from experiments.cli.words import command_line, flags
from geometry.artifact import Artifact, load
from geometry.errors import DataError, UsageError

LEAST_RESAMPLES, MOST_RESAMPLES = 20, 100_000
MOST_NAMED = 3
NOT_SETTINGS = ("artifact", "features", "json", "out")
Table = tuple[Sequence[str], Sequence[Sequence[Any]]]


@dataclass(frozen=True)
class Analysis(ABC):
    """One analysis of one artifact.

    Attributes:
        artifact: an artifact directory, a run directory that holds one, or a .npz / .safetensors file.
        features: the same as ARTIFACT, for a bare .npz or .safetensors with features and labels.
        json: print the result as JSON and nothing else.
        out: also write the result into this directory as JSON, CSV and LaTeX.
    """

    artifact: ArtifactPath = None
    features: OptionalPath = None
    json: bool = False
    out: OptionalPath = None

    def __post_init__(self) -> None:
        seed, resamples = getattr(self, "seed", 0), getattr(self, "resamples", LEAST_RESAMPLES)
        if seed < 0:
            raise UsageError(f"Expected --seed of 0 or more, got {seed}.")
        if not LEAST_RESAMPLES <= resamples <= MOST_RESAMPLES:
            raise UsageError(f"Expected --resamples from {LEAST_RESAMPLES} to {MOST_RESAMPLES}, got {resamples}.")

    name: ClassVar[str]
    header: ClassVar[Sequence[str]]

    @abstractmethod
    def analyse(self, artifact: Artifact) -> Any:
        """The frozen result, which has ``rows()``."""

    @abstractmethod
    def table(self, result: Any) -> list[Sequence[Any]]:
        """The result as flat rows under ``header``."""

    def more_tables(self, result: Any) -> Mapping[str, Table]:
        """Further tables to save, by the word that is added to their file's name."""
        return {}

    def show(self, result: Any) -> None:
        """Print the result for a person."""
        from experiments.cli.output import print_table

        print_table(self.command_line(), self.header, self.table(result))

    def path(self) -> Path:
        """Where the artifact is.

        Raises:
            UsageError: none or two were given.
        """
        if (self.artifact is None) == (self.features is None):
            raise UsageError("Expected one artifact: tailgeom " + self.name + " ARTIFACT (or --features FILE).")
        found = self.artifact if self.artifact is not None else self.features
        assert found is not None
        return find_artifact(found, self.name)

    @property
    def label(self) -> str:
        """What figures call the model."""
        return model_label(Path(str(self.artifact or self.features)))

    def settings(self) -> dict[str, Any]:
        """The options that decide the numbers."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_SETTINGS}

    def command_line(self) -> str:
        """The shell command that repeats this analysis."""
        return command_line(self.name, self.artifact or self.features, *flags(self, leave_out=NOT_SETTINGS))

    def payload(self, artifact: Artifact, result: Any) -> dict[str, Any]:
        """The result with what it was computed from: what ``--json`` prints and the report shows."""
        from geometry.atomic import plain

        return plain(self.origin(artifact)) | self.contents(result)

    def origin(self, artifact: Artifact) -> dict[str, Any]:
        """What decides the numbers, command, artifact, settings and code's version, and a note on an odd artifact."""
        from experiments.provenance import code_version
        from geometry.linear_head import head_note

        note = head_note(artifact)
        return ({"note": note} if note else {}) | {
            "command": self.command_line(),
            "artifact_digest": artifact.digest(),
            "settings": self.settings(),
            "code": code_version(),
        }

    def contents(self, result: Any) -> dict[str, Any]:
        """The result as plain values."""
        from geometry.atomic import plain

        return dict(plain(result))

    def run(self) -> int:
        """Analyse, print, save."""
        from experiments.cli.output import emit_json, say, working

        with working(self.command_line()):
            artifact = load(self.path())
            result = self.analyse(artifact)
            payload = self.payload(artifact, result)
        if "note" in payload:
            say(payload["note"])
        if self.out is not None:
            self.save(self.out, payload, result)
            self.draw(self.out, payload)
        if self.json:
            emit_json(payload)
        else:
            self.show(result)
        return self.exit_code(result)

    def save(self, directory: Path, payload: dict[str, Any], result: Any) -> None:
        """Write the result as JSON, CSV and LaTeX."""
        from experiments.cli.output import save_result
        from geometry.atomic import write_csv

        save_result(directory, self.name, payload, self.header, self.table(result))
        for word, (header, rows) in self.more_tables(result).items():
            write_csv(directory / f"{self.name}_{word}.csv", header, rows)

    def draw(self, directory: Path, payload: dict[str, Any]) -> None:  # noqa: B027 (most analyses have no figure)
        """Write the figures of the result, where it has any."""

    def exit_code(self, result: Any) -> int:
        """0 unless the result says otherwise."""
        return 0


def find_artifact(path: Path, command: str) -> Path:
    """The artifact at a path: the path itself, or ``artifact/`` inside a run directory.

    Raises:
        UsageError: a sweep, which is many runs; ``command`` says who asked.
        DataError: a run directory from which nothing was extracted yet, or a folder that is neither.
    """
    inside = path / "artifact"
    if (inside / "manifest.json").exists():
        return inside
    if (path / "config.yaml").exists():
        raise DataError(f"{path} is a run without an artifact; extract it first: tailgeom extract {path}.")
    if (path / "sweep.json").exists():
        raise UsageError(f"{path} is a sweep, and {command} takes one artifact; name a run of it ({path}/runs/...).")
    if path.is_dir() and not (path / "manifest.json").exists():
        names = sorted(entry.name for entry in path.iterdir())
        found = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "") or "an empty folder"
        raise DataError(
            f"Expected an artifact (arrays.safetensors and manifest.json) or a run at {path}, found {found}."
        )
    return path


def model_label(path: Path) -> str:
    """What a figure or a report calls the model at a path: a run by its folder, a file without its ending.

    >>> model_label(Path("runs/ndcl/artifact")), model_label(Path("features/clip.npz"))
    ('ndcl', 'clip')
    """
    if path.name in ("", ".", ".."):
        path = path.resolve()
    if path.name == "artifact":
        return path.resolve().parent.name
    return path.name if path.is_dir() else path.stem
