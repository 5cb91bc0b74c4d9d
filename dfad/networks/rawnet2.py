"""RawNet2 (Jung et al., Interspeech 2020) as anti-spoofing has it (Tak et al., ICASSP 2021, arXiv 2011.01108)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.frontends import FrontendKnobs
from dfad.networks import recurrent
from dfad.networks.heads import Head, make_head
from dfad.networks.sinc import SincBank
from dfad.networks.wave import POOL, WaveKnobs

_Width = Annotated[int, Field(ge=1, le=1024)]


class RawNet2Knobs(WaveKnobs):
    """Options of RawNet2; by default the sizes of the baseline of ASVspoof 2021."""

    name: Literal["rawnet2"] = "rawnet2"
    lr: float = Field(1e-4, gt=0, description="peak learning rate of AdamW")
    filters: int = Field(20, ge=1, le=512, description="fixed sinc filters, equally wide in mel")
    taps: int = Field(1025, ge=3, le=4097, description="odd length of each filter, samples")
    widths: tuple[_Width, ...] = Field(
        (20, 20, 128, 128, 128, 128), min_length=1, max_length=8, description="channels of each residual block"
    )
    gru_layers: int = Field(3, ge=1, le=8, description="layers of the recurrent part")
    gru_width: int = Field(1024, ge=1, le=4096, description="units of each of them")
    hidden: int = Field(1024, ge=1, le=8192, description="units of the embedding, before the head")

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> RawNet2:
        """Make the network."""
        self.require(frontend)
        return RawNet2(self, frontend.sample_rate, head)


class RawNet2(nn.Module):
    """Sinc filters, residual blocks whose channels weigh themselves, and what a GRU has seen at the end.

    Shape:
        wave: (batch, samples) -> (batch,) logits of bona fide
    """

    def __init__(self, knobs: RawNet2Knobs, sample_rate: int, last: Head = "linear") -> None:
        super().__init__()
        self.bank = SincBank(knobs.filters, knobs.taps, sample_rate)
        self.norm = nn.BatchNorm1d(knobs.filters)
        widths = (knobs.filters, *knobs.widths)
        self.blocks = nn.Sequential(*(Block(*pair, first=number == 0) for number, pair in enumerate(pairwise(widths))))
        self.norm_before_gru = nn.BatchNorm1d(widths[-1])
        self.gru = nn.GRU(widths[-1], knobs.gru_width, knobs.gru_layers, batch_first=True)
        self.embed = nn.Linear(knobs.gru_width, knobs.hidden)
        self.head = make_head(knobs.hidden, last)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the logits."""
        x = F.selu(self.norm(_pooled(self.bank(wave).abs())))
        x = F.selu(self.norm_before_gru(self.blocks(x))).mT
        seen = recurrent.run(self.gru, x)[:, -1]
        return self.head(self.embed(seen)).squeeze(-1)


class Block(nn.Module):
    """Two convolutions beside a way around them, pooling over time, and filter-wise feature map scaling.

    Every channel is multiplied by a number between 0 and 1 that the means of all channels give, and that number is
    added.

    Shape:
        (batch, width, frames) -> (batch, out, ⌊frames / 3⌋)
    """

    def __init__(self, width: int, out: int, *, first: bool) -> None:
        super().__init__()
        self.before = nn.Identity() if first else nn.Sequential(nn.BatchNorm1d(width), nn.LeakyReLU(0.3))
        self.convolutions = nn.Sequential(
            nn.Conv1d(width, out, 3, padding=1),
            nn.BatchNorm1d(out),
            nn.LeakyReLU(0.3),
            nn.Conv1d(out, out, 3, padding=1),
        )
        self.around = nn.Identity() if width == out else nn.Conv1d(width, out, 1)
        self.scale = nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the maps."""
        found = _pooled(self.convolutions(self.before(x)) + self.around(x))
        scale = self.scale(found.mean(-1)).sigmoid()[..., None]
        return found * scale + scale


def _pooled(x: Tensor) -> Tensor:
    """The largest of each three frames; by `max_pool2d`, as `max_pool1d` would fix the length in an exported graph."""
    return F.max_pool2d(x[:, None], (1, POOL))[:, 0]
