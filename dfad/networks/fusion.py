"""Several detectors as one network: waveform → the weighted sum of what each of them says.

Each member hears the waveform as it was trained to: at its own rate, on its own crop, through its own frontend. All of
it is differentiable, so a fusion is attacked as one detector is. It is made by `dfad fuse`, not trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dfad.effects.resampling import to_rate
from dfad.errors import ConfigError
from dfad.frontends import FRONTENDS, FrontendKnobs, RawKnobs
from dfad.knobs import Knobs, Named
from dfad.networks import NETWORKS
from dfad.networks.base import NetworkKnobs
from dfad.networks.heads import Head


class Member(Knobs):
    """A detector of a fusion, and what its score counts."""

    frontend: Annotated[FrontendKnobs, Named(FRONTENDS)]
    model: Annotated[NetworkKnobs, Named(NETWORKS)]
    head: Head = "linear"
    weight: float = Field(description="of its raw score in the sum")


class FusionKnobs(NetworkKnobs):
    """Options of a fusion."""

    name: Literal["fusion"] = "fusion"
    members: tuple[Member, ...] = Field(min_length=1, description="the detectors")
    offset: float = Field(0.0, description="added to the weighted sum")

    @property
    def hears(self) -> RawKnobs:
        """The waveform that has what each member needs: the highest rate, the longest crop."""
        heard = [member.frontend for member in self.members]
        return RawKnobs(
            sample_rate=max(frontend.sample_rate for frontend in heard),
            crop_s=max(frontend.crop_s for frontend in heard),
        )

    def require(self, frontend: FrontendKnobs) -> None:
        """Refuse any other input than the waveform that the members share."""
        if frontend != self.hears:
            raise ConfigError(
                f"model=fusion needs frontend=raw frontend.sample_rate={self.hears.sample_rate} "
                f"frontend.crop_s={self.hears.crop_s:g}, as its members do; dfad fuse makes such a run"
            )

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> Fusion:
        """Make the network."""
        self.require(frontend)
        if head != "linear":
            raise ConfigError("model=fusion adds up the scores of its members and has no head of its own")
        return Fusion(self)


class Fusion(nn.Module):
    """The weighted sum of its members' scores.

    Shape:
        wave: (batch, samples) at the rate and of the length that `FusionKnobs.hears` says -> (batch,) log-odds
    """

    def __init__(self, knobs: FusionKnobs) -> None:
        super().__init__()
        self.knobs = knobs
        self.frontends = nn.ModuleList(_forgetful(member.frontend.build()) for member in knobs.members)
        self.networks = nn.ModuleList(member.model.build(member.frontend, member.head) for member in knobs.members)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the scores."""
        return (self.each(wave) @ wave.new_tensor([member.weight for member in self.knobs.members])) + self.knobs.offset

    def each(self, wave: Tensor) -> Tensor:
        """What every member says by itself. Shape: (batch, samples) -> (batch, members)."""
        heard, rate = self.knobs.members, self.knobs.hears.sample_rate
        scores = []
        for member, frontend, network in zip(heard, self.frontends, self.networks, strict=True):
            own = to_rate(wave, rate, member.frontend.sample_rate)[:, : member.frontend.crop_samples]
            scores.append(network(frontend(own)).float())
        return torch.stack(scores, -1)


def _forgetful(module: nn.Module) -> nn.Module:
    """Leave windows and filter banks, which options make anew, out of the weights."""
    for part in module.modules():
        for name, buffer in list(part.named_buffers(recurse=False)):
            part.register_buffer(name, buffer, persistent=False)
    return module


# what a checkpoint may hold; a command line chooses among NETWORKS
EVERY_NETWORK: Mapping[str, type[NetworkKnobs]] = {**NETWORKS, "fusion": FusionKnobs}
