"""Augmentation of features."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from dfad.augment.base import Drawn
from dfad.draws import Draws
from dfad.effects.mask import mask
from dfad.knobs import Knobs


class SpecAugment(Knobs):
    """Stripes of bands and of frames masked in every clip (Park et al., Interspeech 2019)."""

    band_masks: int = Field(2, ge=0, le=16, description="stripes over bands")
    band_width: float = Field(0.15, gt=0, le=1, description="largest share of the bands that one stripe hides")
    time_masks: int = Field(2, ge=0, le=16, description="stripes over time")
    time_width: float = Field(0.15, gt=0, le=1, description="largest share of the clip that one stripe hides")

    def draw(self, draws: Draws, bands: int, frames: int) -> dict[str, Tensor]:
        """Draw starts and widths, (batch, stripes) each."""
        drawn = {}
        for axis, size, count, share in (
            ("band", bands, self.band_masks, self.band_width),
            ("time", frames, self.time_masks, self.time_width),
        ):
            width = (draws.uniform(f"{axis}_width", count) * (int(share * size + 1e-6) + 1)).long()
            drawn[f"{axis}_width"] = width
            drawn[f"{axis}_start"] = (draws.uniform(f"{axis}_start", count) * (size - width + 1)).long()
        return drawn

    def apply(self, features: Tensor, drawn: Drawn) -> Tensor:
        """Mask the stripes. Shape: (batch, 1, bands, frames), kept."""
        for axis, dim in (("band", -2), ("time", -1)):
            if drawn[f"{axis}_start"].shape[1]:
                features = mask(features, drawn[f"{axis}_start"], drawn[f"{axis}_width"], dim)
        return features
