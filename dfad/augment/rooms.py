"""Augmentation by rooms, and by playing and recording again."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from dfad.augment.base import Drawn, Scene, upper_cut
from dfad.augment.folders import FolderUser
from dfad.draws import Draws
from dfad.effects.level import within_full_scale
from dfad.effects.noise import coloured
from dfad.effects.rerecord import rerecord
from dfad.effects.rooms import convolve, from_direct, response

RESPONSE_S = 4.0  # of a file; what comes later is not heard


class InRoom(FolderUser):
    """What both have: a room, synthetic unless a folder of responses is given."""

    low_rt60_s: float = Field(0.1, gt=0, le=5, description="shortest reverberation time, s")
    high_rt60_s: float = Field(0.8, gt=0, le=5, description="longest reverberation time, s")
    low_drr_db: float = Field(-3.0, description="least direct sound against the reverberation, dB")
    high_drr_db: float = Field(15.0, description="most direct sound against the reverberation, dB")

    @property
    def reads_files(self) -> bool:
        """Whether responses are read from a folder."""
        return self.folder is not None

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw `rt60_s` and `drr_db`; or `which` response."""
        if self.folder is not None:
            return {"which": draws.uniform(f"{self.key}.which")}
        return {
            "rt60_s": self._between(draws, f"{self.key}.rt60_s", "rt60_s"),
            "drr_db": self._between(draws, f"{self.key}.drr_db", "drr_db"),
        }

    def _response(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """The response of every clip's room. Shape: (batch, taps)."""
        if self.folder is None:
            taps = min(x.shape[-1], round(self.high_rt60_s * scene.sample_rate))
            tail = draws.normal(f"{self.key}.tail", taps)
            return response(tail, scene.sample_rate, drawn["rt60_s"], drawn["drr_db"])
        found = [
            torch.from_numpy(self.files.load(which, scene.sample_rate, RESPONSE_S)) for which in drawn["which"].tolist()
        ]
        return from_direct(torch.nn.utils.rnn.pad_sequence(found, batch_first=True))


class Room(InRoom):
    """A room around the speaker."""

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Let the clips sound in their rooms."""
        return within_full_scale(convolve(x, self._response(x, drawn, draws, scene)))


class Rerecord(InRoom):
    """Played by a small loudspeaker in a room and recorded again: band, resonance, room, noise, compression."""

    high_rt60_s: float = Field(0.5, gt=0, le=5, description="longest reverberation time, s")
    most_low_hz: float = Field(300.0, gt=0, description="lower edge of loudspeaker and microphone, at most, Hz")
    least_high_hz: float = Field(4000.0, gt=0, description="upper edge, from this to half the sample rate, Hz")
    resonance_db: float = Field(6.0, ge=0, le=20, description="largest bump or dip of the loudspeaker, dB")
    low_snr_db: float = Field(15.0, description="lowest ratio of signal to pink noise, dB")
    high_snr_db: float = Field(40.0, description="highest ratio, dB")
    max_ratio: float = Field(3.0, ge=1, le=20, description="strongest compression, 1 = none")

    def draw(self, draws: Draws, samples: int, sample_rate: int) -> dict[str, Tensor]:
        """Draw the room, the loudspeaker, the noise and the compression."""
        return {
            **super().draw(draws, samples, sample_rate),
            "low_hz": draws.uniform("rerecord.low_hz", high=self.most_low_hz),
            "high_hz": upper_cut(draws, "rerecord.high_hz", self.least_high_hz, sample_rate),
            "resonance_hz": 200.0 * 20.0 ** draws.uniform("rerecord.resonance_hz"),  # 200 Hz to 4 kHz
            "resonance_db": draws.uniform("rerecord.resonance_db", low=-self.resonance_db, high=self.resonance_db),
            "snr_db": self._between(draws, "rerecord.snr_db", "snr_db"),
            "ratio": draws.uniform("rerecord.ratio", low=1.0, high=self.max_ratio),
        }

    def apply(self, x: Tensor, drawn: Drawn, draws: Draws, scene: Scene) -> Tensor:
        """Play and record the clips."""
        room = self._response(x, drawn, draws, scene)
        noise = coloured(draws.normal("rerecord.noise", x.shape[-1]), torch.ones_like(drawn["snr_db"]))
        heard = rerecord(
            x,
            scene.sample_rate,
            room,
            drawn["low_hz"],
            drawn["high_hz"],
            noise,
            drawn["snr_db"],
            drawn["ratio"],
            drawn["resonance_hz"],
            drawn["resonance_db"],
        )
        return within_full_scale(heard)
