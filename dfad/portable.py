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
    folder = path if path.is_dir() else path.parent
    names = (WEIGHTS, ABOUT) if path.is_dir() else (f"{path.stem}.safetensors", f"{path.stem}.json")
    try:
        data, text = (folder / names[0]).read_bytes(), (folder / names[1]).read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"{error.filename}: {(error.strerror or str(error)).lower()}; a detector is both files"
        ) from None
    except UnicodeDecodeError:
        raise RunError(f"{folder / names[1]} is damaged; {ANEW}") from None
    try:
        about = json.loads(text)
        checksum = about["weights"]["sha256"]
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{folder / names[1]} is damaged, or describes no detector; {ANEW}") from None
    require_format(folder / names[1], about)
    if hashlib.sha256(data).hexdigest() != checksum:
        raise RunError(f"{folder / names[0]} is damaged, or belongs to another {names[1]}; {ANEW}")
    try:
        return about, load(data)
    except SafetensorError as error:
        raise RunError(f"{folder / names[0]} is no safetensors ({error}); {ANEW}") from None
