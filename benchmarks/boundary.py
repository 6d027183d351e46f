"""Minimum-norm distances in input space: our DeepFool against one sample at a time, and gradients in one pass.

python -m benchmarks.boundary

With foolbox installed (it is needed for nothing else), its attack is timed on the same batch and its distances are
compared.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.timing import compare, show
from experiments.models import build_classifier
from experiments.probes.deepfool import deepfool, gaps_and_gradients

NETWORKS = (("small_cnn", 10, 28, 32), ("small_cnn", 65, 28, 32), ("resnet18", 7, 96, 4))
COSTS = (("small_cnn", 10, 28, 64), ("resnet50", 7, 224, 2))  # the probe's own cost


def gradients_in_one_pass(network: nn.Module, points: Tensor, predicted: Tensor, rivals: Tensor) -> Tensor:
    points = points.detach().requires_grad_(True)
    logits = network(points)
    gaps = logits.gather(1, predicted[:, None]) - logits.gather(1, rivals)
    count = gaps.shape[1]
    ones = torch.eye(count)[:, None, :].expand(count, len(points), count)
    return torch.autograd.grad(gaps, points, ones, is_grads_batched=True)[0].transpose(0, 1)


def one_by_one(network: nn.Module, images: Tensor) -> np.ndarray:
    return np.concatenate([deepfool(network, images[i : i + 1]).distance for i in range(len(images))])


def problem(name: str, classes: int, size: int, count: int) -> tuple[nn.Module, Tensor]:
    network = build_classifier(name, classes, seed=0).eval().requires_grad_(False)
    return network, torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def foolbox_attack() -> Callable[[nn.Module, Tensor], Any] | None:
    try:
        import foolbox
    except ImportError:
        return None

    def run(network: nn.Module, images: Tensor) -> Any:
        bounded = foolbox.PyTorchModel(network, bounds=(-100.0, 100.0), device="cpu")
        attack = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=11, overshoot=0.02)
        moved, _, _ = attack(bounded, images, network(images).argmax(dim=1), epsilons=None)
        return (moved - images).flatten(1).norm(dim=1).numpy()

    return run


def main() -> None:
    rows: list[tuple[Any, ...]] = []
    theirs = foolbox_attack()
    for case in NETWORKS:
        network, images = problem(*case)
        predicted = network(images).argmax(dim=1)
        rivals = network(images).topk(min(case[1], 11), dim=1).indices[:, 1:]
        torch.testing.assert_close(
            gaps_and_gradients(network, images, predicted, rivals)[1],
            gradients_in_one_pass(network, images, predicted, rivals),
            rtol=1e-3,
            atol=1e-5,
        )
        others: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "gradients / vectorised in one pass": (
                partial(gaps_and_gradients, network, images, predicted, rivals),
                partial(gradients_in_one_pass, network, images, predicted, rivals),
            ),
            "distances / one sample at a time": (
                partial(deepfool, network, images),
                partial(one_by_one, network, images),
            ),
        }
        if theirs is not None:
            others["distances / foolbox"] = (partial(deepfool, network, images), partial(theirs, network, images))
            ratio = deepfool(network, images).distance / theirs(network, images)
            print(f"{case}: ours over foolbox's distance {np.median(ratio):.4f}, largest {ratio.max():.4f}")
        for what, (ours, other) in others.items():
            mine, its, ratio = compare(ours, other, rounds=3)
            rows.append((*case, what, 1e3 * mine, 1e3 * its, ratio))
    header = ("network", "classes", "pixels", "batch", "what / against", "ours, ms", "other, ms", "other / ours")
    show("DeepFool", header, rows)
    rows = []
    for case in COSTS:
        network, images = problem(*case)
        started = time.process_time()
        found = deepfool(network, images)
        rows.append((*case, (time.process_time() - started) / case[3], float(found.iterations.mean())))
    header = ("network", "classes", "pixels", "batch", "CPU seconds", "iterations")
    show("CPU seconds a sample, over all threads (untrained networks)", header, rows)


if __name__ == "__main__":
    main()
