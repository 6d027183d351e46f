"""``tailgeom demo``."""

from dataclasses import dataclass, replace
from pathlib import Path

from experiments.config import EMBEDDINGS, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from geometry.errors import UsageError

ALGORITHMS = ("erm", "ndcl")


@dataclass(frozen=True)
class Demo:
    """Run the whole chain on four embedded digit domains: train ERM and NDCL, extract, analyse, report.

    Real images that installed packages ship, no download, minutes on two CPU cores. What is done already is not done
    again; the same code runs PACS.

    Example::

        tailgeom demo --out runs/demo

    Attributes:
        out: where runs, figures and report.html go.
        steps: training steps of each algorithm.
        test_domain: the held-out domain: mnist, optdigits, printed or textured.
        seed: of everything.
        embedding: umap or pca.
    """

    out: Path = Path("runs/demo")
    steps: int = 700
    test_domain: str = "textured"
    seed: int = 0
    embedding: str = "umap"

    def __post_init__(self) -> None:
        if self.embedding not in EMBEDDINGS:
            raise UsageError(f"Unknown embedding {self.embedding!r}; known: {', '.join(EMBEDDINGS)}.")

    def config(self, algorithm: str) -> RunConfig:
        """The configuration of one run."""
        data = DataConfig(dataset="digits", test_domain=self.test_domain, seed=self.seed)
        optim = OptimConfig(algorithm=algorithm, steps=self.steps)
        return RunConfig(data=data, optim=replace(optim, checkpoint_every=max(1, min(100, self.steps // 4))))

    def run(self) -> int:
        """Train, extract, analyse, report; print the report's path last."""
        from experiments.cli.data import draw_contact_sheet
        from experiments.cli.extract import Extract
        from experiments.cli.output import say
        from experiments.cli.report import Report
        from experiments.cli.train import run_training
        from experiments.data.datasets import open_dataset

        say("1/4 the four digit domains")
        draw_contact_sheet(open_dataset("digits"), self.out / "figures" / "contact_sheet")
        for number, algorithm in enumerate(ALGORITHMS, start=2):
            say(f"{number}/4 {algorithm}")
            run = self.out / algorithm
            run_training(self.config(algorithm), run)
            if not (run / "artifact" / "manifest.json").exists():
                Extract(run_directory=run).run()
        say("4/4 analyses, figures, report")
        runs = tuple(self.out / algorithm for algorithm in ALGORITHMS)
        return Report(runs=runs, out=self.out, seed=self.seed, embedding=self.embedding).run()


COMMAND = Demo
