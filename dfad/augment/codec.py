"""Augmentation by real codecs."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from dfad.augment.base import Drawn, Scene, Sometimes
from dfad.draws import Draws
from dfad.effects.codecs import CODECS, recode
from dfad.effects.level import within_full_scale
from dfad.errors import ConfigError, did_you_mean

BASE = tuple(name for name, codec in CODECS.items() if codec.library == "soundfile")
MORE = tuple(name for name in CODECS if name not in BASE)


class Recode(Sometimes):
    """Through a codec, at one of its bit rates."""

    codecs: tuple[str, ...] = Field(
        BASE,
        min_length=1,
        description=f"one is drawn per clip: {', '.join(BASE)}; with dfad[formats] {', '.join(MORE)} too",
    )

    @field_validator("codecs")
    @classmethod
    def _codecs_are_known(cls, codecs: tuple[str, ...]) -> tuple[str, ...]:
        for name in codecs:
            if name not in CODECS:
                raise ValueError(f"unknown codec {name!r}; {did_you_mean(name, CODECS)}")
        return codecs

    @property
    def reads_files(self) -> bool:
        """It runs where clips are decoded."""
        return True

    def require(self, at: str) -> None:
        """Refuse a codec that cannot be used here."""
        if lacking := {name: why for name in self.codecs if (why := CODECS[name].lacking)}:
            left = [name for name in self.codecs if name not in lacking] or BASE
            raise ConfigError(
                f"{at}.codecs: {'; '.join(f'{name}: {why}' for name, why in lacking.items())}, "
                f"or use {at}.codecs=[{','.join(left)}]"
            )

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `codec`, a place in `codecs`, and `kbps`, a place in its bit rates."""
        codec = draws.integer("codec.codec", len(self.codecs))
        rates = torch.tensor([len(CODECS[name].kbps) for name in self.codecs])
        return {"codec": codec, "kbps": draws.integer("codec.kbps", rates[codec])}

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Encode and decode; a clip beyond full scale is scaled into it first."""
        rows = []
        for wave, codec, kbps in zip(
            within_full_scale(x).numpy(), drawn["codec"].tolist(), drawn["kbps"].tolist(), strict=True
        ):
            name = self.codecs[codec]
            rows.append(recode(wave, scene.sample_rate, name, CODECS[name].kbps[kbps]))
        return torch.from_numpy(np.stack(rows))
