"""A checkpoint: a trained network, and what it says of itself; nothing in it can run code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from zipfile import ZipFile

import torch
from torch import Tensor, nn

from dfad.deployed import Raw
from dfad.errors import ConfigError, RunError
from dfad.frontends import FRONTENDS, FrontendKnobs
from dfad.knobs import Knobs, Named
from dfad.networks import NetworkKnobs
from dfad.networks.fusion import EVERY_NETWORK
from dfad.networks.heads import Head

FORMAT = 1  # of what a checkpoint says of itself; raised when an older dfad could misread it


class DetectorKnobs(Knobs):
    """What a checkpoint says of itself, under its key `dfad`: enough to rebuild waveform → score."""

    format: int = FORMAT
    frontend: Annotated[FrontendKnobs, Named(FRONTENDS)]
    model: Annotated[NetworkKnobs, Named(EVERY_NETWORK)]
    head: Head = "linear"  # last layer of the network, by the loss
    raw: Raw = Raw()  # what it gives
    attacks: tuple[str, ...] = ()  # that training had

    def network(self) -> nn.Module:
        """Build the network, with random weights."""
        return self.model.build(self.frontend, self.head)


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what it needs to be used."""

    path: Path
    knobs: DetectorKnobs
    weights: Mapping[str, Tensor]  # of the network alone
    epoch: int  # the last one that it was trained in, from 1

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a checkpoint; nothing in it can run code.

        Raises:
            RunError: for a file that is missing, damaged, something else, or of a newer dfad.
        """
        if not path.is_file():
            raise RunError(f"no checkpoint at {path}")
        try:
            with ZipFile(path) as file:  # torch compares no checksums: changed weights would be used as they are
                whole = file.testzip() is None
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True) if whole else None
        except Exception:  # hostile bytes can raise anything
            whole = False
        if not whole:
            raise RunError(
                f"{path} is damaged, or no checkpoint that can be loaded safely; give one that train.py wrote"
            )
        about = content.get("dfad") if isinstance(content, dict) else None
        if not isinstance(about, dict) or not isinstance(content.get("state_dict"), dict):
            raise RunError(f"{path} is not a checkpoint of dfad; give one that train.py wrote, or its run folder")
        version = about.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise RunError(f"{path} is of format {version}, this dfad reads up to {FORMAT}: pip install --upgrade dfad")
        try:
            knobs = DetectorKnobs.read(about)
        except ConfigError as error:
            raise RunError(f"{path} does not describe a detector that this dfad knows:\n{error}") from None
        prefix = "network."
        weights = {name[len(prefix) :]: v for name, v in content["state_dict"].items() if name.startswith(prefix)}
        return cls(path, knobs, weights, int(content.get("epoch", -1)) + 1)

    def network(self) -> nn.Module:
        """Build the trained network, in eval mode on the CPU."""
        network = self.knobs.network()
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise RunError(f"{self.path}: the weights do not fit the network it describes\n{error}") from None
        return network.eval()


def best_checkpoint(run: Path) -> Path:
    """The checkpoint of a run that validation chose.

    Raises:
        RunError: if the folder holds none.
    """
    path = run / "checkpoints" / "best.ckpt"
    if not path.is_file():
        raise RunError(f"{run} is no run folder, or its training has not finished an epoch: there is no {path}")
    return path
