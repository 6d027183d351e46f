"""Checkpoints of DomainBed and of its descendants (MDLT, the NDCL release): ``model.pkl`` becomes an artifact.

Such a file is a pickle of ``{"args", "model_input_shape", "model_num_classes", "model_num_domains", "model_hparams",
"model_dict"}``. A pickle can run any program when it is read, so only tensors, plain values and numpy's scalars (the
hyper-parameters hold them) are let through, unless the reader says that the file is to be trusted.
"""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.config import RunConfig
from experiments.data.datasets import open_dataset
from experiments.data_config import DataConfig
from experiments.extraction import Progress, collect
from experiments.models import Classifier, build_classifier
from experiments.provenance import provenance
from experiments.task import open_task
from experiments.training import pick_device
from geometry.artifact import Artifact
from geometry.errors import DataError, UsageError

KEYS = ("args", "model_num_classes", "model_hparams", "model_dict")
FEATURIZERS = ("featurizer.network.", "network.0.network.", "featurizer.")
CLASSIFIERS = ("classifier.", "network.1.")
SIZES = {"resnet18": 512, "resnet50": 2048}


@dataclass(frozen=True)
class Checkpoint:
    """What a DomainBed checkpoint holds.

    Attributes:
        path: of the file.
        weights: tensors by the algorithm's own names.
        num_classes: K.
        args: of the training command, as plain values; empty where there are none.
        hparams: hyper-parameters, as plain values.
    """

    path: Path
    weights: Mapping[str, Tensor]
    num_classes: int
    args: Mapping[str, Any]
    hparams: Mapping[str, Any]


def read_checkpoint(path: Path, *, trust_pickle: bool = False) -> Checkpoint:
    """Read a ``model.pkl``.

    Args:
        path: the file.
        trust_pickle: unpickle whatever it holds; a file from a stranger can then do anything to the machine.

    Raises:
        DataError: no such file, not a checkpoint, or one that holds more than tensors and plain values.
    """
    if not path.is_file():
        raise DataError(f"Expected a DomainBed checkpoint (model.pkl) at {path}, found no file.")
    try:
        with torch.serialization.safe_globals(_numpy_scalars()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickle protocols; the error that follows says enough
            found = torch.load(path, map_location="cpu", weights_only=not trust_pickle)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} holds {_culprit(error)}, more than tensors, plain values and numpy scalars, and nothing of it was "
            "run; if you know where it comes from, add --trust-pickle."
        ) from error
    except Exception as error:  # a broken pickle can raise anything
        raise DataError(
            f"Cannot read {path} as a DomainBed checkpoint: {' '.join(str(error).split())[:160]}."
        ) from error
    if not isinstance(found, dict) or any(key not in found for key in KEYS):
        raise DataError(f"Expected {', '.join(KEYS)} in {path}, found {_keys(found)}; it is no DomainBed checkpoint.")
    weights = found["model_dict"]
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise DataError(f"Expected tensors by name under model_dict in {path}, found something else.")
    args = found["args"] if isinstance(found["args"], Mapping) else vars(found["args"]) if found["args"] else {}
    return Checkpoint(
        path, weights, int(found["model_num_classes"]), _plain(args), _plain(dict(found["model_hparams"] or {}))
    )


def to_classifier(checkpoint: Checkpoint) -> tuple[str, Classifier]:
    """The backbone's name and the classifier with the checkpoint's weights, strictly.

    ResNet featurizers with one linear layer on them are known: DomainBed's ERM and what is built on it. The names
    ``featurizer.network.*`` and ``classifier.*`` (or their doubles ``network.0.network.*`` and ``network.1.*``) are
    torchvision's ResNet and the head; whatever else the algorithm kept (queues, discriminators) is left out.

    Raises:
        DataError: another network, or weights that do not fit.
    """
    backbone = next((found for prefix in FEATURIZERS if "conv1.weight" in (found := _under(checkpoint, prefix))), None)
    if backbone is None:
        raise DataError(
            f"Expected a ResNet featurizer (featurizer.network.*) in {checkpoint.path}, "
            f"found {_keys(checkpoint.weights)}."
        )
    head = next((found for prefix in CLASSIFIERS if (found := _under(checkpoint, prefix))), {})
    if set(head) != {"weight", "bias"}:
        raise DataError(
            f"Expected one linear classifier (classifier.weight, classifier.bias) in {checkpoint.path}, found "
            f"{', '.join(sorted(head)) or 'none'}; features are what a linear head reads."
        )
    name = next((known for known, size in SIZES.items() if head["weight"].shape[1] == size), None)
    if name is None:
        raise DataError(f"Expected a head on {_sizes()} features in {checkpoint.path}, got {head['weight'].shape[1]}.")
    model = build_classifier(name, checkpoint.num_classes, seed=0)
    ours = {f"backbone.network.{key}": tensor for key, tensor in backbone.items() if not key.startswith("fc.")}
    ours |= {f"head.{key}": tensor for key, tensor in head.items()}
    try:
        model.load_state_dict(ours)
    except RuntimeError as error:
        text = (str(error).splitlines()[1:2] or [str(error)])[0].strip()
        raise DataError(f"The weights in {checkpoint.path} are not those of a {name}: {text[:160]}") from error
    return name, model


def data_of(checkpoint: Checkpoint, data: DataConfig) -> DataConfig:
    """The data set and held-out domain to extract: those asked for, else those the checkpoint was trained with.

    Raises:
        UsageError: neither tells, or they contradict each other.
    """
    trained_on = str(checkpoint.args.get("dataset") or "")
    asked = data.dataset
    if not (asked or trained_on):
        raise UsageError(f"{checkpoint.path} does not say which data set it was trained on; name it by --dataset.")
    data = replace(data, dataset=asked or trained_on)
    tests = [int(place) for place in checkpoint.args.get("test_envs") or ()]
    if not tests:
        return data
    domains = open_dataset(data.dataset, data.data, allow_missing=data.allow_missing).domains
    if (asked and asked != trained_on) or max(tests) >= len(domains):
        return data  # another data set than the checkpoint's: its held-out positions mean nothing there
    held_out = [domains[place] for place in tests]
    if not data.test_domain:
        return replace(data, test_domain=held_out[0])
    if data.test_domain not in held_out:
        raise UsageError(
            f"{checkpoint.path} was trained with {', '.join(held_out)} held out, so {data.test_domain} is no target "
            "for it; leave out --test-domain."
        )
    return data


def extract_checkpoint(
    path: Path,
    data: DataConfig,
    *,
    trust_pickle: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Artifact:
    """Features, logits and head of a checkpoint on a data set.

    The images are split as ``data`` says, by this program: the checkpoint may have been trained on other images of
    the same domains, so its ``train`` part need not be what it saw. The provenance says so.

    Args:
        path: ``model.pkl``.
        data: the data set; its name and held-out domain are the checkpoint's own where they are not given.
        trust_pickle: see :func:`read_checkpoint`.
        device: auto, cpu or cuda.
        progress: called with samples done and in all.

    Raises:
        DataError: a file that is no such checkpoint, or holds more than weights; data that are missing.
        UsageError: data that contradict it.
    """
    checkpoint = read_checkpoint(path, trust_pickle=trust_pickle)
    name, model = to_classifier(checkpoint)
    config = data_of(checkpoint, data)
    task = open_task(RunConfig(data=config))
    if len(task.classes) != checkpoint.num_classes:
        raise DataError(
            f"{path} knows {checkpoint.num_classes} classes, the data set has {len(task.classes)}; is it the same one?"
        )
    where = pick_device(device)
    made_by = {
        "domainbed": {
            "file": path.name,
            "backbone": name,
            "algorithm": checkpoint.args.get("algorithm"),
            "args": checkpoint.args,
            "hparams": checkpoint.hparams,
            "splits": "made by tailgeom; the checkpoint may have been trained on other images of these domains",
        },
        **provenance(),
    }
    model = model.to(where).eval()
    return collect(model, task, where, made_by, progress, with_head=True)


def _numpy_scalars() -> list[Any]:
    """What pickles of numpy's numbers call, under the names of numpy 1 and of numpy 2."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    return [
        np.dtype,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        *sorted(kinds, key=lambda kind: kind.__name__),
    ]


def _culprit(error: Exception) -> str:
    """The forbidden name in torch's explanation."""
    import re

    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    return named.group(1) if named else "objects"


def _under(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in checkpoint.weights.items() if name.startswith(prefix)}


def _keys(found: Any) -> str:
    if not isinstance(found, Mapping):
        return f"a {type(found).__name__}"
    names = list(map(str, found))
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "") if names else "nothing"


def _sizes() -> str:
    return " or ".join(f"{size} ({name})" for name, size in SIZES.items())


def _plain(value: Any) -> Any:
    """Plain values; what is none is told by its text."""
    from geometry.atomic import plain

    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    found = plain(value)
    return found if found is None or isinstance(found, bool | int | float | str) else str(found)
