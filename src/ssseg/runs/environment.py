"""The environment of a run: device, versions, commit, and hashes of its inputs."""

import hashlib
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from ssseg.version import __version__


def tensor_hash(*tensors: Tensor) -> str:
    """A short hash of values; equal for equal tensors, wherever they lie."""
    digest = hashlib.sha256()
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def device_name(device: torch.device) -> str:
    """What computes, as people call it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def peak_memory() -> float:
    """Most memory held at once, in MB: of the GPU where one is used, else of the process."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    try:
        import resource
    except ImportError:  # no such module on Windows
        return 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def versions() -> dict[str, str]:
    """Of everything that a number may depend on."""
    packages = ("torch", "pytorch-lightning", "timm", "segmentation-models-pytorch")
    ours = {"python": platform.python_version(), "ssseg": __version__}
    return {**ours, **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    """Of a package that need not be installed: a source tree on the path has no such record."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def commit() -> str | None:
    """The commit of the source tree that ssseg is run from; None where it is not one."""
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():  # installed, perhaps inside somebody else's repository
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
