"""``tailgeom train``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.arguments import OptionalPath
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.named_values import Value, named_values


@dataclass(frozen=True)
class Train:
    r"""Train an algorithm on an imbalanced multi-domain data set, one domain held out.

    The run directory holds configuration, counts, metrics, checkpoint and manifest. Interrupting loses at most
    the steps since the last checkpoint; the same command resumes, and does nothing when the run is done.
    With --features the inputs are the feature vectors of an artifact (a frozen backbone): a linear head is
    trained on them, and what an algorithm mixes are features. Features of a whole data set (extract --all) are
    split by --setting, --test-domain and --seed exactly as its images would be.

    Example::

        tailgeom train --algorithm ndcl --steps 200 --out runs/digits-ndcl
        tailgeom train --dataset PACS --data ROOT --test-domain sketch --validation 15 --image-size 224 \
            --backbone resnet50 --weights imagenet --algorithm ndcl --set alpha=0.3 --lr 5e-5 --steps 5001 \
            --augment protocol --checkpoint-every 300 --out runs/pacs-ndcl
        tailgeom train --features runs/pacs/features --setting Duality --test-domain photo --seed 3 \
            --algorithm erm --steps 1000 --out runs/pacs-duality-photo
        torchrun --nproc-per-node 4 -m experiments.cli train --dataset PACS ...  # one run on four GPUs, same options

    Attributes:
        out: the run directory.
        features: train a linear head on this artifact's features instead of images.
        set: options of the algorithm, as name=value (for example alpha=0.3); `tailgeom algorithms NAME` lists them.
    """

    out: Path
    features: OptionalPath = None
    set: tuple[str, ...] = ()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: Annotated[OptimConfig, tyro.conf.arg(name="")] = OptimConfig()

    def config(self) -> RunConfig:
        """The run's configuration."""
        from dataclasses import replace

        optim = replace(self.optim, options=dict(self.optim.options) | parse_options(self.set))
        return RunConfig(data=self.data, model=self.model, optim=optim, features=self.features)

    def run(self) -> int:
        """Train or resume, with progress."""
        run_training(self.config(), self.out)
        return 0


def run_training(config: RunConfig, out: Path) -> None:
    """Train with a progress bar and say what came out; of several processes the first alone speaks."""
    from experiments.algorithms.registry import resolve_options
    from experiments.cli.output import progress_bar, say
    from experiments.distributed import join
    from experiments.task import open_task, require_used
    from experiments.training import RunDirectory, train

    ranks = join()
    if not ranks.first:
        ranks.wait()  # the first has found nothing to complain of
        train(config, out)
        return
    resolve_options(config.optim.algorithm, config.optim.options)  # a mistyped name is said before data are read
    RunDirectory(out).require_ours()
    if RunDirectory(out).finished:
        ranks.wait()
        train(config, out)  # checks that it is the same run
        say(f"{out}: already trained")
        return
    require_used(config)
    config.model.require_weights()
    with progress_bar("opening the data") as update:
        task = open_task(config, update)
    if task.split is not None:
        say(task.split.format_table())
    if task.broken:
        say(f"{len(task.broken)} broken files left out: {', '.join(task.broken[:10])}")
    if not task.inputs.images:
        say(f"trains on {task.describe()['inputs']}")
    with progress_bar("decoding" if task.inputs.images else "computing features") as update:
        task.prepare(update)
    steps = config.optim.steps
    ranks.wait()
    with progress_bar(f"{config.optim.algorithm} on {task.name}") as update:

        def report(step: int, terms: dict[str, float]) -> None:
            update(step, steps, "  ".join(f"{name.removeprefix('loss/')} {value:.3f}" for name, value in terms.items()))

        run = train(config, out, task=task, report=report, progress=lambda done, of: update(done, of, "views"))
    last = [row for row in run.metrics() if "target/accuracy" in row or "validation/accuracy" in row][-1:]
    parts = {
        f"{part} {name.replace('_', ' ')}": row.get(f"{part}/{name}")
        for row in last
        for part in ("validation", "target")
        for name in ("balanced_accuracy", "accuracy")
    }
    numbers = ", ".join(f"{name} {100 * value:.1f} %" for name, value in parts.items() if value is not None)
    done = last[0]["step"] if last else steps  # an algorithm may need fewer than were asked for
    say(f"{out}: {done} step{'s' * (done != 1)} of {config.optim.algorithm} done; {numbers}")


def parse_options(words: Sequence[str]) -> dict[str, Value]:
    """``name=value`` words after --set as a mapping.

    Raises:
        UsageError: a word is not of that form.

    >>> parse_options(["alpha=0.3", "prior=none"])
    {'alpha': 0.3, 'prior': 'none'}
    """
    return named_values(words, "--set")


COMMAND = Train
