"""torchvision's ResNet-50 as a feature extractor, BatchNorm frozen as the protocol has it."""

import lzma
import pickle
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from geometry.errors import DataError

LONGEST_REASON = 160  # characters of torch's own explanation


class ResNet50(nn.Module):
    """ResNet-50 without its classifier: ``(N, 3, H, W)`` to ``(N, 2048)``.

    BatchNorm stays in evaluation mode while training (DomainBed's protocol), so its statistics are those of
    the pretrained weights.

    Args:
        weights: a file with torchvision's layout, ``imagenet`` (fetched by torchvision) or ``none``.
    """

    num_features = 2048

    def __init__(self, weights: str) -> None:
        super().__init__()
        from torchvision.models import ResNet50_Weights, resnet50

        self.network = resnet50(weights=ResNet50_Weights.IMAGENET1K_V1 if weights == "imagenet" else None)
        if weights not in ("imagenet", "none"):
            _load_strictly(self.network, Path(weights))
        self.network.fc = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Images, normalised with ImageNet's statistics, to features."""
        return self.network(images)

    def train(self, mode: bool = True) -> Self:
        """Training mode for everything but BatchNorm."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def _load_strictly(network: nn.Module, path: Path) -> None:
    if not path.exists():
        raise DataError(f"Expected ResNet-50 weights at {path}, found no file; give a path, `imagenet` or `none`.")
    try:
        network.load_state_dict(read_weights(path))
    except RuntimeError as error:
        text = (str(error).splitlines()[1:2] or [str(error)])[0].strip()
        shown = text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + " ..."
        raise DataError(f"The weights in {path} are not those of torchvision's resnet50: {shown}") from error


def read_weights(path: Path) -> dict[str, Tensor]:
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
