"""What a result was made with: versions, commit, hardware."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("tailgeom", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "cvxpy", "pillow")


def provenance() -> dict[str, Any]:
    """Versions of what computes, the commit, and the machine, as plain values."""
    import torch

    return {
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "commit": _commit(),
        "hardware": {
            "machine": platform.machine(),
            "cpu_count": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def code_version() -> dict[str, str]:
    """Version and commit of this code; results made by another are not used again."""
    return {"version": version("tailgeom"), "commit": _commit()}


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
