"""Tasks kept open: the data of a split are read once for all the runs on it that one process meets."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.inputs import FeatureInputs
from experiments.sweep.shared_features import shared
from experiments.task import Task, open_task

OPEN_SPLITS = 2  # runs are met one split after another


def opened_task(config: RunConfig) -> Task:
    """The task of a configuration, opened now or already open; features of an artifact are mapped from its file.

    Of the training only the device has a part in it: a backbone that stays as it is computes its features there.

    Raises:
        UsageError: as :func:`experiments.task.open_task`.
        DataError: likewise.
    """
    return _opened(config.data, config.model, config.features, config.optim.device)


@lru_cache(maxsize=OPEN_SPLITS)
def _opened(data: DataConfig, model: ModelConfig, features: Path | None, device: str) -> Task:
    task = open_task(RunConfig(data, model, OptimConfig(device=device), features))
    if isinstance(task.inputs, FeatureInputs) and features is not None:
        task = replace(task, inputs=shared(features, task.inputs))
    return task
