"""``tailgeom sweep``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import OptionalPath
from geometry.errors import TailgeomError, UsageError

SHOWN = 20  # failed jobs that are printed; all are in sweep.json


@dataclass(frozen=True)
class Sweep:
    """Run a grid of data sets, settings, held-out domains, algorithms, hyper-parameter draws and seeds.

    The spec is a YAML file; ready ones are in experiments/sweeps. Every run has a directory named by the digest of its
    configuration. What is done is skipped: the same command goes on after a kill or Ctrl-C, and only adds what a longer
    spec asks for. A job that fails is listed, with its log, and does not stop the others.
    Writes sweep.json (plan and status) and results.csv (a row for every run that is done).

    Example::

        tailgeom sweep experiments/sweeps/digits.yaml --out runs/digits-sweep --dry-run
        tailgeom sweep experiments/sweeps/pacs_frozen.yaml --features runs/pacs-features --out runs/pacs-frozen --jobs 8

    Attributes:
        spec: the YAML file.
        out: the sweep's directory.
        jobs: jobs at once; 0 for one a core, or one a GPU where jobs train on GPUs.
        dry_run: print the plan and run nothing.
        retry_failed: also run the jobs that failed before.
        backend: local, or ray (pip install "tailgeom[ray]"): the cluster of RAY_ADDRESS, else one on this machine.
        features: the artifact with the features of all images, in the place of the spec's.
        data: the data root, in the place of the spec's.
        json: print the result as JSON and nothing else.
    """

    spec: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("runs/sweep")
    jobs: int = 0
    dry_run: bool = False
    retry_failed: bool = False
    backend: str = "local"
    features: OptionalPath = None
    data: OptionalPath = None
    json: bool = False

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise UsageError(f"Expected --jobs of 0 or more, got {self.jobs}.")

    def run(self) -> int:
        """Plan, run, list; 1 when a job failed."""
        from experiments.cli.output import progress_bar, working
        from experiments.sweep.driver import run_sweep
        from experiments.sweep.plan import plan, with_places
        from experiments.sweep.results import RUNS
        from experiments.sweep.spec import read_spec
        from experiments.sweep.status import outcomes

        spec = with_places(read_spec(self.spec), self.features, self.data)
        with working("planning"):
            try:
                jobs = plan(spec)
            except TailgeomError as error:
                raise type(error)(f"{self.spec}: {error}") from error
        if self.dry_run:
            return self.show(spec, jobs, outcomes(jobs, self.out / RUNS))
        with progress_bar(spec.name) as update:
            found = run_sweep(
                spec,
                jobs,
                self.out,
                workers=self.jobs,
                backend=self.backend,
                retry_failed=self.retry_failed,
                progress=update,
            )
        return self.report(spec, jobs, found)

    def show(self, spec: Any, jobs: Sequence[Any], found: Mapping[str, Any]) -> int:
        """Print the plan."""
        from experiments.cli.output import emit_json, print_table, say
        from experiments.sweep.plan import missing_data
        from experiments.sweep.results import counts, plan_rows

        if self.json:
            emit_json({"name": spec.name, "counts": counts(found), "runs": plan_rows(jobs, found)})
            return 0
        print_table(f"{spec.name}: {len(jobs)} jobs", *grid(jobs, found))
        print(count_line(counts(found), len(jobs)))
        for sentence in missing_data(spec):
            say(f"Not there yet: {sentence}")
        return 0

    def report(self, spec: Any, jobs: Sequence[Any], found: Mapping[str, Any]) -> int:
        """Print what came out, failed jobs with their errors."""
        from experiments.cli.output import emit_json, print_table
        from experiments.sweep.results import counts, plan_rows
        from experiments.sweep.status import FAILED, LOG

        rows = plan_rows(jobs, found)
        failed = [row for row in rows if row["status"] == FAILED]
        if self.json:
            emit_json({"name": spec.name, "out": self.out, "counts": counts(found), "failed": failed})
            return 1 if failed else 0
        print_table(spec.name, *grid(jobs, found))
        print(count_line(counts(found), len(jobs)))
        for row in failed[:SHOWN]:
            where = " ".join(str(row[name]) for name in ("dataset", "setting", "held_out", "variant"))
            print(f"failed: {where} draw {row['draw']} seed {row['seed']}: {row['error']}")
            print(f"        {self.out / row['path'] / LOG}")
        if failed:
            more = f" ({len(failed) - SHOWN} more in sweep.json)" if len(failed) > SHOWN else ""
            print(f"Run them again with --retry-failed{more}.")
        print(self.out / "results.csv")
        return 1 if failed else 0


def grid(jobs: Sequence[Any], found: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """A row for every data set, setting and variant: its domains, draws, seeds, and its jobs by state."""
    from experiments.sweep.status import STATES

    groups: dict[tuple[str, str, str], list[Any]] = {}
    for job in jobs:
        groups.setdefault((job.dataset, job.setting, job.variant), []).append(job)
    rows = []
    for key, members in groups.items():
        sizes = [len({getattr(job, axis) for job in members}) for axis in ("held_out", "draw", "seed")]
        states = [sum(found[job.digest].state == state for job in members) for state in STATES]
        rows.append([*key, *sizes, *states])
    return ["dataset", "setting", "algorithm", "held out", "draws", "seeds", *STATES], rows


def count_line(counts: Mapping[str, int], jobs: int) -> str:
    """The counts of a sweep in words.

    >>> count_line({"planned": 3, "done": 2, "failed": 0, "missing": 1}, 4)
    '4 jobs, 3 runs (jobs of one configuration share a run): 2 done, 0 failed, 1 missing'
    """
    same = "" if jobs == counts["planned"] else f", {counts['planned']} runs (jobs of one configuration share a run)"
    return f"{jobs} jobs{same}: {counts['done']} done, {counts['failed']} failed, {counts['missing']} missing"


COMMAND = Sweep
