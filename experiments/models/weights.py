"""Pretrained weights from files, read strictly and never unpickled beyond tensors."""

import hashlib
import lzma
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from geometry.errors import DataError

LONGEST_REASON = 160  # characters of torch's own explanation


def load_strictly(network: nn.Module, path: Path, name: str) -> None:
    """Put the weights of a file into a network, every one of them and no other.

    Args:
        network: with torchvision's (or timm's) names of parameters.
        path: the file.
        name: of the network, for the message.

    Raises:
        DataError: no such file, a broken one, or weights of another network.
    """
    if not path.exists():
        raise DataError(f"Expected weights of {name} at {path}, found no file; give a path, `imagenet` or `none`.")
    try:
        network.load_state_dict(read_weights(path))
    except RuntimeError as error:
        text = (str(error).splitlines()[1:2] or [str(error)])[0].strip()
        shown = text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + " ..."
        raise DataError(f"The weights in {path} are not those of {name}: {shown}") from error


def weights_record(weights: str) -> dict[str, str]:
    """What tells pretrained weights apart, for manifests: the name given, and the SHA-256 of the file it names.

    Args:
        weights: a file, ``imagenet`` or ``none`` (which have no file of the user's).

    Raises:
        DataError: there is no such file.
    """
    if weights in ("imagenet", "none"):
        return {"given": weights}
    try:
        with Path(weights).open("rb") as file:
            return {"given": weights, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise DataError(f"Cannot read the weights at {weights}: {error.strerror}.") from error


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name from ``.safetensors``, ``.safetensors.xz`` or a ``.pth`` that holds tensors only.

    Raises:
        DataError: the file is broken or would need unpickling of anything but tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if path.suffix == ".xz":
            return load(lzma.decompress(path.read_bytes()))
        if path.suffix == ".safetensors":
            return load(path.read_bytes())
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, lzma.LZMAError, EOFError, pickle.UnpicklingError, RuntimeError) as error:
        raise DataError(f"Cannot read weights from {path}: {str(error).splitlines()[0]}.") from error
    if not isinstance(found, dict):
        raise DataError(f"Expected tensors by name in {path}, found a {type(found).__name__}.")
    return found
