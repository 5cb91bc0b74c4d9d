"""LCNN: convolutions that compete (Wu et al., IEEE TIFS 2018), as Lavrentyeva et al. (Interspeech 2019) spot spoofs."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dfad.errors import ConfigError
from dfad.frontends import FrontendKnobs
from dfad.networks import recurrent
from dfad.networks.base import NetworkKnobs
from dfad.networks.heads import Head, make_head
from dfad.networks.norms import LenientBatchNorm

HALVINGS = 4  # of bands and frames
# (kernel, channels that are left of twice as many, "norm" or "pool" and "norm" after it), for a width of 32
LAYERS: tuple[tuple[int, int, str], ...] = (
    (5, 32, "pool"),
    *((1, 32, "norm"), (3, 48, "pool norm")),
    *((1, 48, "norm"), (3, 64, "pool")),
    *((1, 64, "norm"), (3, 32, "norm")),
    *((1, 32, "norm"), (3, 32, "pool")),
)


class LCNNKnobs(NetworkKnobs):
    """Options of the light convolutional network."""

    name: Literal["lcnn"] = "lcnn"
    lr: float = Field(5e-3, gt=0, description="peak learning rate of AdamW")
    width: int = Field(
        16,
        ge=4,
        le=1024,
        multiple_of=4,
        description="channels of the first layer, 32 as published; others in proportion",
    )
    norm: Literal["every", "published"] = Field(
        "every", description="batch norm of every convolution, before the max; or after the max of six of the nine"
    )
    pooling: Literal["mean", "lstm"] = Field(
        "mean",
        description="over bands and frames; or two BiLSTM over frames, with what they were given added, then mean",
    )
    hidden: int = Field(64, ge=1, le=8192, description="units of the embedding, before the head")
    dropout: float = Field(0.2, ge=0, lt=1, description="before and after the embedding")

    def require(self, frontend: FrontendKnobs) -> None:
        """Refuse a waveform."""
        if not frontend.spectral:
            raise ConfigError(f"model=lcnn needs a map of bands over frames, not frontend={frontend.name}")

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> LCNN:
        """Make the network; with `lstm` for the number of bands that the frontend gives."""
        self.require(frontend)
        bands = frontend.build()(torch.zeros(1, frontend.crop_samples)).shape[-2]
        return LCNN(self, bands, head)


class LCNN(nn.Module):
    """Convolutions by max-feature-map, pooled four times; pooling over time; an embedding by max-feature-map; a head.

    Shape:
        features: (batch, 1, bands, frames), any number of frames -> (batch,) outputs, higher = more bona fide
    """

    def __init__(self, knobs: LCNNKnobs, bands: int, last: Head = "linear") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for kernel, channels, after in LAYERS:
            kept = channels * knobs.width // 32
            every = knobs.norm == "every"
            layers.append(nn.Conv2d(width, 2 * kept, kernel, padding=kernel // 2, bias=not every))
            layers += [LenientBatchNorm(2 * kept), MaxFeatureMap()] if every else [MaxFeatureMap()]
            if "pool" in after:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))  # a short or narrow map never shrinks to nothing
            if "norm" in after and not every:
                layers.append(LenientBatchNorm(kept))
            width = kept
        self.layers = nn.Sequential(*layers)
        self.over_time: nn.Module = _Mean()
        if knobs.pooling == "lstm":
            width *= -(-bands // 2**HALVINGS)
            self.over_time = _Recurrent(width, knobs.dropout)
        self.head = nn.Sequential(
            nn.Dropout(knobs.dropout),
            nn.Linear(width, 2 * knobs.hidden),
            MaxFeatureMap(),
            nn.Dropout(knobs.dropout),
            make_head(knobs.hidden, last),
        )
        self.to(memory_format=torch.channels_last)  # a quarter faster on CPUs

    def forward(self, features: Tensor) -> Tensor:
        """Compute the outputs."""
        features = features.contiguous(memory_format=torch.channels_last)
        return self.head(self.over_time(self.layers(features))).squeeze(-1)


class MaxFeatureMap(nn.Module):
    """The larger of two channels, or units, at each place: an activation that chooses.

    Shape:
        (batch, 2 channels, …) -> (batch, channels, …)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compete."""
        return torch.maximum(*x.chunk(2, dim=1))


class _Mean(nn.Module):
    """Shape: (batch, channels, bands, frames) -> (batch, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class _Recurrent(nn.Module):
    """Two BiLSTM over frames, around which what they are given passes; then the mean (Wang and Yamagishi, 2021).

    Shape:
        (batch, channels, bands, frames) -> (batch, channels · bands)
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(nn.LSTM(width, width // 2, batch_first=True, bidirectional=True) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        given = passed = self.dropout(x.flatten(1, 2).mT)  # (batch, frames, channels · bands)
        for layer in self.layers:
            passed = recurrent.run(layer, passed)
        return (given + passed).mean(1)
