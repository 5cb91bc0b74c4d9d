"""Detectors as weights in safetensors and one JSON that says everything else; nothing in them can run code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dfad.errors import RunError
from dfad.graphs import ANEW, require_format

WEIGHTS, ABOUT = "detector.safetensors", "detector.json"


def is_portable(path: Path) -> bool:
    """Whether a path is such a pair of files: their folder, or either of them."""
    if path.is_dir():
        return (path / ABOUT).is_file() or (path / WEIGHTS).is_file()
    return path.suffix in (".safetensors", ".json")


def weights_of(path: Path) -> Path:
    """The one of the two that holds the weights."""
    return path / WEIGHTS if path.is_dir() else path.with_suffix(".safetensors")


def write(folder: Path, weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write both files.

    Args:
        folder: that is there.
        weights: of the network.
        about: plain data; the checksum of the weights is put beside it.
    """
    data = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()})
    more = {"weights": {"file": WEIGHTS, "sha256": hashlib.sha256(data).hexdigest()}}
    (folder / WEIGHTS).write_bytes(data)
    (folder / ABOUT).write_text(json.dumps({**about, **more}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder / WEIGHTS, folder / ABOUT


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read both files: what the JSON says, and the weights.

    Raises:
        RunError: if one is missing, damaged, of a newer dfad, or they do not belong together.
    """
    weights, described = weights_of(path), weights_of(path).with_suffix(".json")
    try:
        data, text = weights.read_bytes(), described.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"{error.filename}: {(error.strerror or str(error)).lower()}; a detector is both files"
        ) from None
    except UnicodeDecodeError:
        raise RunError(f"{described} is damaged; {ANEW}") from None
    try:
        about = json.loads(text)
        checksum = about["weights"]["sha256"]
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{described} is damaged, or describes no detector; {ANEW}") from None
    require_format(described, about)
    if hashlib.sha256(data).hexdigest() != checksum:
        raise RunError(f"{weights} is damaged, or belongs to another {described.name}; {ANEW}")
    try:
        return about, load(data)
    except SafetensorError as error:
        raise RunError(f"{weights} is no safetensors ({error}); {ANEW}") from None
