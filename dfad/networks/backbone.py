"""Pretrained self-supervised backbones: a folder or a name on the hub → how it is built, and its weights.

Read are config.json, preprocessor_config.json and weights as safetensors or a state dict; none of them can run code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dfad.download import Progress
from dfad.errors import ConfigError, RunError
from dfad.networks import hub, pretrained
from dfad.networks.architecture import Architecture

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
SAMPLE_RATE = 16000  # Hz, of all of them
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_PARTS = ("feature_extractor.", "feature_projection.", "encoder.")  # all else was for pretraining, or another task
_RENAMED = {  # weight norm, as older versions of torch name its two tensors
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}


def local(backbone: str) -> Path | None:
    """The folder that a backbone means; None if it is a name on the hub.

    Raises:
        ConfigError: if it can be neither.
    """
    folder = Path(backbone).expanduser()
    if folder.is_dir():
        return folder
    if backbone.startswith((".", "/", "~")) or not _NAME.fullmatch(backbone):
        raise ConfigError(
            f"model.backbone={backbone}: there is no such folder; give one with {CONFIG} and {WEIGHTS[0]}, "
            "or a name on the hub, owner/model, such as facebook/wav2vec2-base"
        )
    return None


def digest(folder: Path) -> str:
    """What is in the files of a backbone, as a checksum, wherever they lie.

    Raises:
        ConfigError: if one is missing.
    """
    names = [CONFIG, *((PREPROCESSOR,) if (folder / PREPROCESSOR).is_file() else ()), *_weight_files(folder)]
    content = {name: pretrained.sha256(folder / name) for name in names if _there(folder, name)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find(backbone: str, revision: str, progress: Progress | None = None) -> Path:
    """The folder of a backbone; a name on the hub is looked up in the cache, and downloaded if it is not there.

    Raises:
        ConfigError: if there is no such backbone.
        DataError: if it cannot be downloaded.
    """
    if folder := local(backbone):
        return folder
    config = hub.cached(backbone, revision, CONFIG)
    if config and _complete(config.parent):
        return config.parent
    hint = (
        f"without internet, copy {CONFIG}, {PREPROCESSOR} and {WEIGHTS[0]} (or {WEIGHTS[2]}) from its page on the hub "
        "into a folder, and give that: model.backbone=<folder>"
    )
    files = hub.listed(backbone, revision, hint)
    weights = next((name for name in WEIGHTS if name in files), None)
    if CONFIG not in files or weights is None:
        raise ConfigError(f"model.backbone={backbone}: there is no {CONFIG}, or no weights such as {WEIGHTS[0]}")
    wanted = [CONFIG, *((PREPROCESSOR,) if PREPROCESSOR in files else ()), weights]
    folder = hub.download(backbone, revision, wanted, hint, progress)
    if more := set(_weight_files(folder)) - set(wanted):
        hub.download(backbone, revision, sorted(more), hint, progress)
    return folder


def read_architecture(folder: Path) -> Architecture:
    """Read how a backbone is built.

    Raises:
        ConfigError: if the file is missing, damaged, or of a network that cannot be one.
    """
    values = _read_json(folder, CONFIG)
    kind = values.get("model_type")
    if kind not in ("wav2vec2", "hubert", "wavlm"):
        raise ConfigError(
            f"{folder / CONFIG} describes a network of the kind {kind!r}; give a wav2vec2 (XLS-R too), hubert or wavlm"
        )
    known = {name: value for name, value in values.items() if name in Architecture.model_fields}
    return Architecture.read(known, at=str(folder / CONFIG))


def read_normalise(folder: Path) -> bool:
    """Whether it wants every clip at zero mean and unit variance, as it had them in pretraining.

    Raises:
        ConfigError: if nothing says so, or it works at another rate.
    """
    if not (folder / PREPROCESSOR).is_file():
        raise ConfigError(
            f"{folder} holds no {PREPROCESSOR}, which says whether clips are normalised; "
            "put it there, or say so: model.normalise=true or false (wav2vec2, XLS-R: true; wavlm-base: false)"
        )
    values = _read_json(folder, PREPROCESSOR)
    rate, normalise = values.get("sampling_rate", SAMPLE_RATE), values.get("do_normalize", True)
    if rate != SAMPLE_RATE or not isinstance(normalise, bool):
        raise ConfigError(
            f"{folder / PREPROCESSOR}: expected sampling_rate {SAMPLE_RATE} and do_normalize true or false"
        )
    return normalise


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights of its own parts, by the names that they have in `transformers`.

    Raises:
        ConfigError: if there are none.
        RunError: if they are damaged, or cannot be loaded safely.
    """
    found: dict[str, Tensor] = {}
    for name in _weight_files(folder):
        if name.endswith(".json"):
            continue
        _there(folder, name)
        path = folder / name
        found |= (
            _safetensors(path) if path.suffix == ".safetensors" else pretrained.read_weights(path, "model.backbone=")
        )
    return {ours: tensor for name, tensor in found.items() if (ours := _renamed(name)).startswith(_PARTS)}


def _renamed(name: str) -> str:
    """A tensor's name without what a model with a head puts before it, and as today's torch writes it."""
    head, _, rest = name.partition(".")
    bare = rest if head in ("wav2vec2", "hubert", "wavlm") else name
    stem, _, last = bare.rpartition(".")
    return f"{stem}.{_RENAMED[last]}" if last in _RENAMED else bare


def _weight_files(folder: Path) -> list[str]:
    """The files of weights; of several kinds the first, and with an index all that it names."""
    first = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        raise ConfigError(f"{folder} holds no weights: expected {WEIGHTS[0]} or {WEIGHTS[2]}")
    if not first.endswith(".json"):
        return [first]
    shards = _read_json(folder, first).get("weight_map")
    names = set(shards.values()) if isinstance(shards, Mapping) else set()
    if not names or not all(isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*", name) for name in names):
        raise ConfigError(f"{folder / first} names no files of weights")
    return [first, *sorted(names)]


def _complete(folder: Path) -> bool:
    """Whether a folder of the cache holds all; a download that was cut off leaves some."""
    if not (folder / PREPROCESSOR).is_file() or not any((folder / name).is_file() for name in WEIGHTS):
        return False
    return all((folder / name).is_file() for name in _weight_files(folder))


def _there(folder: Path, name: str) -> bool:
    if not (folder / name).is_file():
        raise ConfigError(f"model.backbone={folder}: there is no {name} in it")
    return True


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    _there(folder, name)
    try:
        content = json.loads((folder / name).read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ConfigError(f"{folder / name} is damaged: expected a JSON object")
    return content


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except Exception as error:  # hostile bytes can raise anything
        raise RunError(f"{path} is damaged, or no safetensors: {error}; download it again") from None
