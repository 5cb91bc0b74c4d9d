"""Augmentation by noise."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from dfad.audio import fit
from dfad.augment.base import Drawn, Scene
from dfad.augment.folders import FolderUser
from dfad.draws import Draws
from dfad.effects.level import within_full_scale
from dfad.effects.noise import add_noise, babble, coloured
from dfad.knobs import Later

EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # power falls with frequency as 1/f to this
Kind = Literal["white", "pink", "brown", "babble", "folder"]


class Noise(FolderUser):
    """Noise at a random signal-to-noise ratio: white, of another kind, or one of several."""

    low_db: float = Field(20.0, description="lowest signal-to-noise ratio, dB")
    high_db: float = Field(40.0, description="highest signal-to-noise ratio, dB")
    kinds: Annotated[tuple[Kind, ...], Later] = Field(
        ("white",), min_length=1, description="one is drawn per clip: white, pink, brown, babble, folder"
    )
    talkers: Annotated[int, Later] = Field(
        5, ge=1, le=32, description="voices in babble: other training clips, all of them bona fide"
    )

    @model_validator(mode="after")
    def _folder_is_used(self) -> Self:
        if ("folder" in self.kinds) != (self.folder is not None):
            raise ValueError("the kind folder and the option folder go together, as in kinds=[white,folder] folder=DIR")
        return self

    @property
    def reads_files(self) -> bool:
        """Whether there is a kind that other clips or files are decoded for."""
        return not set(self.kinds) <= set(EXPONENTS)

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `snr_db`, `kind`, and what is decoded: which clips or file, and from where."""
        drawn = {"snr_db": self._between(draws, "snr_db", "db"), "kind": draws.integer("noise.kind", len(self.kinds))}
        if self.reads_files:
            drawn["which"] = draws.uniform("noise.which", self.talkers)
            drawn["where"] = draws.uniform("noise.where", self.talkers)
        return drawn

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Add the noise."""
        noise = draws.normal("noise", x.shape[-1])
        if self.kinds != ("white",):
            exponents = torch.tensor([EXPONENTS.get(kind, 0.0) for kind in self.kinds], device=x.device)
            noise = coloured(noise, exponents[drawn["kind"]])
        if self.reads_files:
            noise = self._decoded(noise, drawn, scene)
        return within_full_scale(add_noise(x, noise, drawn["snr_db"]))

    def _decoded(self, noise: Tensor, drawn: Drawn, scene: Scene) -> Tensor:
        """Put babble, and noises from files, in the place of other noise."""
        noise, samples = noise.clone(), noise.shape[-1]
        for row, kind in enumerate(drawn["kind"].tolist()):
            which, where = drawn["which"][row].tolist(), drawn["where"][row].tolist()
            if self.kinds[kind] == "babble":
                assert scene.voice is not None
                voices = [fit(scene.voice(*each), samples) for each in zip(which, where, strict=True)]
                noise[row] = babble(torch.from_numpy(np.stack(voices))[None])[0]
            elif self.kinds[kind] == "folder":
                found = self.files.load(which[0], scene.sample_rate, samples / scene.sample_rate, where[0])
                noise[row] = torch.from_numpy(fit(found, samples))
        return noise
