"""Images a second of every augmentation on one core, at the sides of digits, CIFAR and photographs.

Run:
    python -m benchmarks.views
"""

import time

import numpy as np
import torch

from benchmarks.timing import show
from experiments.augment import augment

BATCH, ROUNDS = 64, 3
SIDES = (28, 32, 224)
NAMES = ("crop_flip", "protocol", "cifar", "weak", "strong", "contrast")


def images_a_second(name: str, side: int) -> float:
    """Images over processor seconds, the best round of a few after one to warm up."""
    rng = np.random.default_rng(0)
    images = torch.as_tensor(rng.random((BATCH, 3, side, side)), dtype=torch.float32)
    augment(images, name, rng)
    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        augment(images, name, rng)
        seconds.append(time.process_time() - started)
    return BATCH / min(seconds)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    rows = [(name, *(f"{images_a_second(name, side):,.0f}" for side in SIDES)) for name in NAMES]
    show("Augmented images a second on one core", ("augmentation", *(f"{side} pixels" for side in SIDES)), rows)


if __name__ == "__main__":
    main()
