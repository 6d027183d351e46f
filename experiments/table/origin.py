"""Where a table comes from: seeds, commits and hardware of the runs behind it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.table.records import Run
from geometry.atomic import read_json
from geometry.errors import DataError


@dataclass(frozen=True)
class Origin:
    """What the runs of a table were made with.

    Attributes:
        seeds: of the runs.
        commits: of the code that trained them.
        hardware: machines, in words.
        versions: of torch.
        runs: in the table.
        recorded: of them, with a manifest to read this from.
    """

    seeds: tuple[int, ...]
    commits: tuple[str, ...]
    hardware: tuple[str, ...]
    versions: tuple[str, ...]
    runs: int
    recorded: int

    def lines(self) -> list[str]:
        """For the head of a table."""
        absent = "" if self.recorded == self.runs else f" (manifests of {self.recorded} of {self.runs} runs at hand)"
        return [
            f"{self.runs} runs; seeds {', '.join(map(str, self.seeds)) or 'none'}",
            f"commits {', '.join(self.commits) or 'not recorded'}; torch {', '.join(self.versions) or 'not recorded'}; "
            f"hardware: {'; '.join(self.hardware) or 'not recorded'}{absent}",
        ]


def origin(runs: Iterable[Run]) -> Origin:
    """Read the manifests of the runs; a run without one is counted."""
    runs = list(runs)
    manifests = [found for path in dict.fromkeys(run.path for run in runs) if (found := _manifest(path)) is not None]
    return Origin(
        seeds=tuple(sorted({run.seed for run in runs})),
        commits=_distinct(manifest.get("commit") for manifest in manifests),
        hardware=_distinct(_words(manifest.get("hardware")) for manifest in manifests),
        versions=_distinct(manifest.get("versions", {}).get("torch") for manifest in manifests),
        runs=len({run.path for run in runs}),
        recorded=len(manifests),
    )


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        found = read_json(path / "manifest.json")
    except DataError:
        return None
    return found if isinstance(found, dict) else None


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(value) for value in values if value}))


def _words(hardware: Any) -> str:
    if not isinstance(hardware, dict):
        return ""
    threads = hardware.get("torch_threads")
    parts = [hardware.get("machine"), f"{hardware.get('cpu_count')} CPU cores", threads and f"{threads} threads a run"]
    return ", ".join(str(part) for part in [*parts, hardware.get("gpu") or "no GPU"] if part)
