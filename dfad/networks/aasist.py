"""AASIST (Jung et al., ICASSP 2022, arXiv 2110.01200): sinc filters, residual blocks, graphs of bands and of frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.frontends import FrontendKnobs
from dfad.networks.graph import GraphAttention, GraphPool, HeterogeneousAttention
from dfad.networks.heads import Head, make_head
from dfad.networks.pointwise import max_of_three, selu_
from dfad.networks.sinc import SincBank
from dfad.networks.wave import POOL, WaveKnobs

PART = 1024  # pooled frames that a CPU scores at a time, so that what they need stays in its cache
_Width = Annotated[int, Field(ge=1, le=1024)]
_Share = Annotated[float, Field(gt=0, le=1)]
_Temperature = Annotated[float, Field(gt=0)]


class AASISTKnobs(WaveKnobs):
    """Options of AASIST; by default those of its authors' larger network."""

    least_frames: ClassVar[int] = 2
    name: Literal["aasist"] = "aasist"
    lr: float = Field(1e-4, gt=0, description="peak learning rate of AdamW")
    filters: int = Field(70, ge=POOL, le=512, description="fixed sinc filters, equally wide in mel")
    taps: int = Field(129, ge=3, le=2047, description="odd length of each filter, samples")
    widths: tuple[_Width, ...] = Field(
        (32, 32, 64, 64, 64, 64), min_length=1, max_length=8, description="channels of each residual block"
    )
    graph_width: int = Field(64, ge=1, le=1024, description="of the nodes of the spectral and the temporal graph")
    joint_width: int = Field(32, ge=1, le=1024, description="of the nodes where both graphs are one")
    keep: tuple[_Share, ...] = Field(
        (0.5, 0.7, 0.5), min_length=3, max_length=3, description="share of nodes kept: spectral, temporal, joint graph"
    )
    temperatures: tuple[_Temperature, ...] = Field(
        (2.0, 2.0, 100.0), min_length=3, max_length=3, description="of attention: spectral, temporal, joint graph"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="before the last layer")
    graph_dropout: float = Field(0.2, ge=0, lt=1, description="on the nodes that attention takes, and on both branches")
    pool_dropout: float = Field(0.3, ge=0, lt=1, description="before nodes are scored for pooling")

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> AASIST:
        """Make the network."""
        self.require(frontend)
        return AASIST(self, SincBank(self.filters, self.taps, frontend.sample_rate), head)


class AASIST(nn.Module):
    """What sinc filters and residual blocks find becomes two graphs, which two branches of attention make one.

    The nodes of the spectral graph are bands, those of the temporal one frames; each is the largest magnitude over the
    other axis.

    Args:
        knobs: its options.
        bank: waveform -> (batch, filters, samples), by which the blocks' map is made.
        last: layer, as the loss needs it.
        pools: whether every block makes one frame of three.

    Shape:
        wave: (batch, samples) -> (batch,) logits of bona fide
    """

    def __init__(self, knobs: AASISTKnobs, bank: nn.Module, last: Head = "linear", *, pools: bool = True) -> None:
        super().__init__()
        width, joint = knobs.graph_width, knobs.joint_width
        self.bank = bank
        self.norm = nn.BatchNorm2d(1)
        widths = (1, *knobs.widths)
        blocks = (ResidualBlock(*pair, first=pair[0] == 1, pools=pools) for pair in pairwise(widths))
        self.blocks = nn.Sequential(*blocks)
        self.position = nn.Parameter(torch.randn(1, knobs.filters // POOL, widths[-1]))
        dropout = knobs.graph_dropout
        spectral, temporal, _ = knobs.temperatures
        self.spectral = GraphAttention(widths[-1], width, temperature=spectral, dropout=dropout)
        self.temporal = GraphAttention(widths[-1], width, temperature=temporal, dropout=dropout)
        self.spectral_pool = GraphPool(width, knobs.keep[0], dropout=knobs.pool_dropout)
        self.temporal_pool = GraphPool(width, knobs.keep[1], dropout=knobs.pool_dropout)
        self.branches = nn.ModuleList(Branch(knobs) for _ in range(2))
        self.drop_branch, self.drop = nn.Dropout(dropout), nn.Dropout(knobs.dropout)
        self.head = TwoLogits(5 * joint) if last == "linear" else make_head(5 * joint, last)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the logits."""
        return self.head(self.drop(self.embedding(wave))).squeeze(-1)

    def embedding(self, wave: Tensor) -> Tensor:
        """Compute what the last layer takes. Shape: (batch, samples) -> (batch, 5 · joint_width)."""
        if torch.is_grad_enabled() or self.training or wave.device.type != "cpu":
            maps = self.blocks(self.front(wave))
        else:  # one after the other fits into a cache
            maps = torch.cat([self.blocks(self.front(clip)) for clip in torch.split(wave, 1)])
        maps = maps.abs()  # (batch, channels, bands, frames)
        bands = self.spectral_pool(self.spectral(maps.amax(3).mT + self.position))
        frames = self.temporal_pool(self.temporal(maps.amax(2).mT))
        found = [[self.drop_branch(part) for part in branch(frames, bands)] for branch in self.branches]
        frames, bands, master = (torch.maximum(*pair) for pair in zip(*found, strict=True))
        parts = [frames.abs().amax(1), frames.mean(1), bands.abs().amax(1), bands.mean(1), master[:, 0]]
        return torch.cat(parts, 1)

    def front(self, wave: Tensor) -> Tensor:
        """Compute the map that the blocks take. Shape: (batch, samples) -> (batch, 1, bands, frames)."""
        bands = max_of_three(max_of_three(self.bank(wave).abs(), 1), 2)
        return selu_(self.norm(bands[:, None]))


class ResidualBlock(nn.Module):
    """Two convolutions beside a way around them, then pooling over time.

    The authors' code norms the input of a block, and then convolves the input as it was. So the published weights have
    that norm, of no effect, in all blocks but the first; it is kept, untrained, to hold them.

    Shape:
        (batch, width, bands, frames) -> (batch, out, bands, ⌊frames / 3⌋), or as many frames where it does not pool
    """

    def __init__(self, width: int, out: int, *, first: bool, pools: bool = True) -> None:
        super().__init__()
        self.step = POOL if pools else 1
        if not first:
            self.idle = nn.BatchNorm2d(width).requires_grad_(False)
        self.widen = nn.Conv2d(width, out, (2, 3), padding=(1, 1))  # to one band more
        self.norm = nn.BatchNorm2d(out)
        self.narrow = nn.Conv2d(out, out, (2, 3), padding=(0, 1))  # and back
        self.around = nn.Conv2d(width, out, (1, 3), padding=(0, 1)) if width != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the maps."""
        frames = x.shape[-1] // self.step
        if torch.is_grad_enabled() or self.norm.training or x.device.type != "cpu":
            return self._pooled(x, 0, frames)
        parts = [self._pooled(x, start, min(start + PART, frames)) for start in range(0, frames, PART)]
        return torch.cat(parts, -1)

    def _pooled(self, x: Tensor, start: int, end: int) -> Tensor:
        """Compute some of the pooled frames, from those that they hear: two more than they pool at either side."""
        first, last = max(0, self.step * start - 2), min(x.shape[-1], self.step * end + 2)
        x = x[..., first:last]
        found = self.narrow(selu_(self._widened(x))).add_(self.around(x))
        found = found[..., self.step * start - first : self.step * end - first]
        return found if self.step == 1 else max_of_three(found, -1)

    def _widened(self, x: Tensor) -> Tensor:
        """The first convolution and its norm, which is a part of it where it no longer changes."""
        norm, widen = self.norm, self.widen
        if norm.training:
            return norm(widen(x))
        assert norm.running_var is not None
        assert norm.running_mean is not None
        assert widen.bias is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = (widen.bias - norm.running_mean) * scale + norm.bias
        return F.conv2d(x, widen.weight * scale[:, None, None, None], bias, padding=widen.padding)


class Branch(nn.Module):
    """Two layers of attention over both graphs with a master node, nodes pooled between them.

    Shape:
        frames: (batch, n, graph_width), bands: (batch, m, graph_width)
        -> (batch, n', joint_width), (batch, m', joint_width), (batch, 1, joint_width)
    """

    def __init__(self, knobs: AASISTKnobs) -> None:
        super().__init__()
        width, joint, keep = knobs.graph_width, knobs.joint_width, knobs.keep[2]
        options = {"temperature": knobs.temperatures[2], "dropout": knobs.graph_dropout}
        self.master = nn.Parameter(torch.randn(1, 1, width))
        self.first = HeterogeneousAttention(width, joint, **options)
        self.frames_pool = GraphPool(joint, keep, dropout=knobs.pool_dropout)
        self.bands_pool = GraphPool(joint, keep, dropout=knobs.pool_dropout)
        self.second = HeterogeneousAttention(joint, joint, **options)

    def forward(self, frames: Tensor, bands: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pass messages twice."""
        frames, bands, master = self.first(frames, bands, self.master)
        before = self.frames_pool(frames), self.bands_pool(bands), master
        frames, bands, master = (old + new for old, new in zip(before, self.second(*before), strict=True))
        return frames, bands, master


class TwoLogits(nn.Linear):
    """The authors' last layer, a logit for spoof and one for bona fide, given as their difference.

    Shape:
        (batch, width) -> (batch, 1) log-odds of bona fide
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 2)

    def forward(self, embedding: Tensor) -> Tensor:
        """Compute the log-odds."""
        spoof, bona_fide = super().forward(embedding).chunk(2, 1)
        return bona_fide - spoof
