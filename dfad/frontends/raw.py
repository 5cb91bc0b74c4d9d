"""The waveform as it is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from dfad.frontends.base import FrontendKnobs


class RawKnobs(FrontendKnobs):
    """The waveform itself, for networks whose first layer is learned."""

    name: Literal["raw"] = "raw"
    level: Literal["rms", "peak", "none"] = Field("none", description=FrontendKnobs.model_fields["level"].description)
    normalise: Literal["none"] = Field("none", description="the waveform is not standardised")

    @property
    def spectral(self) -> bool:
        """False: the features are the waveform."""
        return False

    def transform(self) -> nn.Module:
        """Make (batch, samples) → (batch, samples)."""
        return nn.Identity()
