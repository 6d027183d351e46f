"""Training algorithms: one update rule a file, one interface."""

from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.algorithms.registry import ALGORITHMS, build_algorithm

__all__ = ["ALGORITHMS", "Algorithm", "Batch", "TrainingSet", "build_algorithm"]
