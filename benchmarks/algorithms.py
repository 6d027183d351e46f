"""What each algorithm costs beside ERM on stored features: milliseconds a step and memory, a fresh process for each.

python -m benchmarks.algorithms                       # every algorithm, ResNet-50 features of 3 domains: minutes
python -m benchmarks.algorithms --only erm ndcl kcl
"""

import argparse
import multiprocessing
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.timing import seconds_of, show
from experiments.algorithms import ALGORITHMS, Batch, TrainingSet, build_algorithm
from experiments.algorithms.base import Unlabelled
from experiments.config import OptimConfig
from experiments.descent import Descent
from experiments.models import build_classifier
from experiments.optimizers import build_optimizer
from experiments.sweep.spec import read_spec
from geometry.errors import UsageError

DIMENSIONS, CLASSES, DOMAINS, ROWS = 2048, 7, 3, 32
FROZEN = (
    Path(__file__).parents[1] / "experiments" / "sweeps" / "pacs_frozen.yaml"
)  # options that heads on features need


def peak_megabytes() -> float:
    """The largest memory this process has held."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / (2**20 if sys.platform == "darwin" else 2**10)


def cost(name: str, options: Mapping[str, Any], steps: int, seed: int) -> tuple[float, float, float] | str:
    """Median milliseconds a step, megabytes above what stood before the algorithm was built, its numbers in megabytes.

    A sentence instead, where the algorithm refuses stored features.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    counts = rng.integers(20, 200, (DOMAINS, CLASSES))
    labels = np.concatenate([np.repeat(np.arange(CLASSES), row) for row in counts])
    features = torch.from_numpy(rng.normal(size=(len(labels), DIMENSIONS)).astype(np.float32))
    training_set = TrainingSet(counts, steps, lambda _: (features, torch.from_numpy(labels)), unlabelled=DOMAINS * ROWS)
    domains = torch.arange(DOMAINS).repeat_interleave(ROWS)

    def drawn() -> torch.Tensor:
        return features[torch.from_numpy(rng.integers(0, len(labels), DOMAINS * ROWS))]

    before = peak_megabytes()
    try:
        model = build_classifier("features", CLASSES, seed=seed, num_inputs=DIMENSIONS)
        algorithm = build_algorithm(name, model, training_set, options).train()
    except UsageError as refusal:
        return str(refusal)
    optimizer = build_optimizer(OptimConfig(), algorithm.parameters())
    descend = Descent(optimizer, algorithm)
    taken = []
    for _ in range(min(steps, algorithm.steps_needed or steps)):
        batch = Batch(
            drawn(),
            torch.from_numpy(rng.integers(0, CLASSES, DOMAINS * ROWS)),
            domains,
            tuple(drawn() for _ in algorithm.views),
            Unlabelled(tuple(drawn() for _ in algorithm.unlabelled_views), domains),
        )
        taken.append(seconds_of(lambda b=batch: algorithm.update(b, rng, descend)))
    state = sum(tensor.numel() * tensor.element_size() for tensor in algorithm.state_dict().values())
    return 1e3 * median(taken[len(taken) // 5 :]), peak_megabytes() - before, state / 2**20


def rows(names: list[str], steps: int, seed: int) -> Iterator[tuple[object, ...]]:
    spawn = multiprocessing.get_context("spawn")
    options = {variant.algorithm: variant.options for variant in read_spec(FROZEN).variants}
    base: tuple[float, float, float] | None = None
    for name in ["erm", *(name for name in names if name != "erm")]:
        with spawn.Pool(1) as pool:
            found = pool.apply(cost, (name, options.get(name, {}), steps, seed))
        if isinstance(found, str):
            yield name, "–", "–", "–", "–", found
            continue
        base = base or found
        milliseconds, more, state = found
        yield name, f"{milliseconds:.2f}", f"{milliseconds / base[0]:.1f}", f"{more:.0f}", f"{state:.2f}", ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=sorted(ALGORITHMS), default=list(ALGORITHMS))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    header = ("algorithm", "ms a step", "times ERM", "MB in training", "MB of state", "refuses stored features")
    title = f"A head on {DIMENSIONS} features, {DOMAINS} x {ROWS} samples a step, one thread"
    show(title, header, list(rows(given.only, given.steps, given.seed)))


if __name__ == "__main__":
    main()
