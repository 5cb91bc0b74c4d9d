"""What networks over the waveform share: sinc filters, then blocks that each pool three frames to one."""

from __future__ import annotations

from typing import ClassVar

from pydantic import field_validator

from dfad.errors import ConfigError
from dfad.frontends import FrontendKnobs
from dfad.networks.base import NetworkKnobs

POOL = 3  # frames that the filters' output and every block are pooled by


class WaveKnobs(NetworkKnobs):
    """Options that such a network has.

    Attributes:
        least_frames: that it needs at its end.
    """

    least_frames: ClassVar[int] = 1
    taps: int
    widths: tuple[int, ...]

    @field_validator("taps", check_fields=False)
    @classmethod
    def _odd(cls, taps: int) -> int:
        if taps % 2 == 0:
            raise ValueError("should be odd")
        return taps

    @property
    def least_samples(self) -> int:
        """Length of the shortest waveform of which enough frames are left."""
        return self.taps - 1 + self.least_frames * POOL ** (1 + len(self.widths))

    def require(self, frontend: FrontendKnobs) -> None:
        """Refuse a spectrogram, and a crop of which pooling leaves nothing."""
        if frontend.spectral:
            raise ConfigError(f"model={self.name} hears the waveform: use frontend=raw, not frontend={frontend.name}")
        if frontend.crop_samples < self.least_samples:
            raise ConfigError(
                f"model={self.name} needs frontend.crop_s={self.least_samples / frontend.sample_rate:.3g} or more, as "
                f"it pools {1 + len(self.widths)} times by {POOL}; now {frontend.crop_s}"
            )
