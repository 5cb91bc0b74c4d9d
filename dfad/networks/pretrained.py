"""Pretrained weights: torchvision's own from the internet, or a state dict from a file. Nothing read can run code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from dfad.download import Progress, fetch, readable
from dfad.errors import ConfigError, RunError

SHOWN = 3  # tensors that a message names, of each kind


def sha256(path: Path) -> str:
    """The checksum of a file of weights.

    Raises:
        ConfigError: if there is no such file.
    """
    _require(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def imagenet(variant: str, progress: Progress | None = None) -> Path:
    """The file of torchvision's ImageNet weights, in the folder where torch keeps such; downloaded if it is not there.

    Raises:
        DataError: if it cannot be downloaded, or is damaged.
    """
    from torchvision.models import get_model_weights  # here, as it takes a second

    weights = get_model_weights(variant).DEFAULT
    path = Path(torch.hub.get_dir(), "checkpoints", weights.url.rsplit("/", 1)[1])
    size = readable(weights.meta["_file_size"] * 2**20)
    return fetch(
        weights.url,
        path,
        sha256=path.stem.rsplit("-", 1)[1],  # torchvision's names end in its first digits
        offline=f"without internet, put that file ({size}) into {path.parent}, or give it as "
        f"model.pretrained=<path to {path.name}>; model.pretrained=none trains from scratch",
        progress=progress,
    )


def read_weights(path: Path, said: str = "model.pretrained=") -> dict[str, Tensor]:
    """Read a state dict, be it bare, under the key `state_dict`, or of a network that was wrapped for several devices.

    Args:
        path: of the file.
        said: what stands before the path in messages.

    Raises:
        ConfigError: if there is no such file.
        RunError: if it is damaged or something else.
    """
    _require(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True) if _whole(path) else None
    except Exception:  # hostile bytes can raise anything
        content = None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise RunError(
            f"{said}{path} is damaged, or no state dict that can be loaded safely; "
            "give one that torch.save(network.state_dict(), path) wrote"
        )
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _require(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"model.pretrained={path}: there is no such file; give imagenet, none or a file of weights")


def _whole(path: Path) -> bool:
    """Whether the checksums in a file are right, which torch does not look at; its older format has none."""
    if not is_zipfile(path):
        return True
    with ZipFile(path) as file:
        return file.testzip() is None


def differences(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Say what of the given tensors does not fit those that are wanted; nothing if they fit."""
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    other = [
        f"{name} {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    told = {"missing": missing, "unexpected": unexpected, "of another shape": other}
    return [f"{kind}: {_first(names)}" for kind, names in told.items() if names]


def _first(names: list[str]) -> str:
    more = f" … and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "; ".join(names[:SHOWN]) + more
