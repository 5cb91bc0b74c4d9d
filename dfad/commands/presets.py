"""Presets of detectors: what `python train.py model=<preset>` makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from dfad.commands.door import CONF, composed
from dfad.training.config import TrainConfig

SECONDS = 4.0  # of a clip, for which presets are compared


@dataclass(frozen=True)
class Preset:
    """A detector that one can train by name."""

    name: str
    config: TrainConfig

    @property
    def needs_backbone(self) -> bool:
        """Whether it can only be built with weights that others publish."""
        return self.config.model.name == "ssl"


def presets() -> list[Preset]:
    """All presets of `model=`, in the order of their names; each on the frontend that it brings, at four seconds."""
    names = sorted(path.stem for path in Path(CONF, "model").glob("*.yaml"))
    found = []
    for name in names:
        config = composed("train", [f"model={name}", f"frontend.crop_s={SECONDS}"])
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        typed = {str(key): value for key, value in values.items() if key not in ("experiment", "hydra")}
        found.append(Preset(name, TrainConfig.read(typed)))
    return found
