"""Modules that an algorithm adds to the model: always the same ones at the start."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

APART = 1_000_003  # far from the seeds of runs, and below the 32 bits that torch's generator keeps


@contextmanager
def same_start(seed: int = 0) -> Iterator[None]:
    """Parameters made inside are those of the seed, and the global generator stays where it is.

    They share no random numbers with the model of a run of that seed, whose head would otherwise be drawn again.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(APART + seed)
        yield


def multilayer(num_inputs: int, num_outputs: int, *, width: int, depth: int, seed: int = 0) -> nn.Sequential:
    """``depth`` linear layers with ReLU between them."""
    sizes = [num_inputs, *(depth - 1) * [width], num_outputs]
    layers: list[nn.Module] = []
    with same_start(seed):
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
