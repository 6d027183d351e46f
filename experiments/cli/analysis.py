"""What the analysis commands share: where the artifact comes from, what is printed, what is saved."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from experiments.arguments import ArtifactPath, OptionalPath
from geometry.artifact import Artifact, load
from geometry.errors import DataError, UsageError

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
        return find_artifact(found)

    def settings(self) -> dict[str, Any]:
        """The options that decide the numbers."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_SETTINGS}

    def command_line(self) -> str:
        """The shell command that repeats this analysis."""
        words = ["tailgeom", self.name, str(self.artifact or self.features)]
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in NOT_SETTINGS or value == field.default:
                continue
            words.append(f"--{field.name.replace('_', '-')}")
            if value is not True:
                words += [str(item) for item in value] if isinstance(value, tuple) else [str(value)]
        return shlex.join(words)

    def payload(self, artifact: Artifact, result: Any) -> dict[str, Any]:
        """The result with what it was computed from: what ``--json`` prints and the report shows."""
        from geometry.atomic import plain

        origin = {"command": self.command_line(), "artifact_digest": artifact.digest(), "settings": self.settings()}
        return plain(origin) | self.contents(result)

    def contents(self, result: Any) -> dict[str, Any]:
        """The result as plain values."""
        from geometry.atomic import plain

        return dict(plain(result))

    def run(self) -> int:
        """Analyse, print, save."""
        from experiments.cli.output import emit_json, save_result, working
        from geometry.atomic import write_csv

        with working(self.command_line()):
            artifact = load(self.path())
            result = self.analyse(artifact)
            payload = self.payload(artifact, result)
        if self.out is not None:
            save_result(self.out, self.name, payload, self.header, self.table(result))
            for word, (header, rows) in self.more_tables(result).items():
                write_csv(self.out / f"{self.name}_{word}.csv", header, rows)
        if self.json:
            emit_json(payload)
        else:
            self.show(result)
        return self.exit_code(result)

    def exit_code(self, result: Any) -> int:
        """0 unless the result says otherwise."""
        return 0


def find_artifact(path: Path) -> Path:
    """The artifact at a path: the path itself, or ``artifact/`` inside a run directory.

    Raises:
        DataError: a run directory from which nothing was extracted yet.
    """
    inside = path / "artifact"
    if (inside / "manifest.json").exists():
        return inside
    if (path / "config.yaml").exists():
        raise DataError(f"{path} is a run without an artifact; extract it first: tailgeom extract {path}.")
    return path
