"""A plain convolutional network, every layer of it adjustable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from dfad.errors import ConfigError
from dfad.frontends import FrontendKnobs
from dfad.networks.base import NetworkKnobs
from dfad.networks.heads import Head, make_head
from dfad.networks.norms import LenientBatchNorm

_ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "silu": nn.SiLU}
_Width = Annotated[int, Field(ge=1, le=8192)]
_POOLS: Mapping[str, Callable[..., nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class CNNKnobs(NetworkKnobs):
    """Options of the convolutional network."""

    name: Literal["cnn"] = "cnn"
    channels: tuple[_Width, ...] = Field((16, 32, 64, 64), min_length=1, description="channels of each block")
    kernel_size: int = Field(3, ge=1, le=15, description="odd side of the convolution kernels")
    convolutions: int = Field(1, ge=1, le=4, description="convolutions per block")
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] = Field("relu", description="after every norm")
    norm: Literal["batch", "group", "none"] = Field("batch", description="after every convolution")
    pool: Literal["max", "avg", "none"] = Field("max", description="halves bands and frames after every block")
    head_pool: Literal["mean", "max", "mean_std"] = Field("mean", description="over bands and frames, before the head")
    head: tuple[_Width, ...] = Field((), description="hidden units of the head; empty: one linear layer")
    dropout: float = Field(0.2, ge=0, lt=1, description="before every linear layer of the head")
    channels_last: bool = Field(True, description="memory layout; faster on CPU and tensor cores")

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, side: int) -> int:
        if side % 2 == 0:
            raise ValueError("should be odd")
        return side

    def require(self, frontend: FrontendKnobs) -> None:
        """Refuse a waveform."""
        if not frontend.spectral:
            raise ConfigError(f"model=cnn needs a map of bands over frames, not frontend={frontend.name}")

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> CNN:
        """Make the network."""
        self.require(frontend)
        return CNN(self, head)


class CNN(nn.Module):
    """Blocks of convolution, norm and activation, each ended by pooling; then global pooling and a head.

    Shape:
        features: (batch, 1, bands, frames), any number of either -> (batch,) logits of bona fide
    """

    def __init__(self, knobs: CNNKnobs, last: Head = "linear") -> None:
        super().__init__()
        self.knobs = knobs
        activation = _ACTIVATIONS[knobs.activation]
        blocks: list[nn.Module] = []
        width = 1
        for channels in knobs.channels:
            for _ in range(knobs.convolutions):
                bias = knobs.norm == "none"
                blocks.append(nn.Conv2d(width, channels, knobs.kernel_size, padding=knobs.kernel_size // 2, bias=bias))
                if knobs.norm == "batch":
                    blocks.append(LenientBatchNorm(channels))
                elif knobs.norm == "group":
                    blocks.append(nn.GroupNorm(_groups(channels), channels))
                blocks.append(activation())
                width = channels
            if knobs.pool != "none":
                blocks.append(_POOLS[knobs.pool](2, ceil_mode=True))  # a short or narrow map never shrinks to nothing
        self.blocks = nn.Sequential(*blocks)
        width *= 2 if knobs.head_pool == "mean_std" else 1
        head: list[nn.Module] = []
        for units in knobs.head:
            head += [nn.Dropout(knobs.dropout), nn.Linear(width, units), activation()]
            width = units
        self.head = nn.Sequential(*head, nn.Dropout(knobs.dropout), make_head(width, last))
        if knobs.channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the logits."""
        if self.knobs.channels_last:
            features = features.contiguous(memory_format=torch.channels_last)
        x = self.blocks(features).flatten(2)
        if self.knobs.head_pool == "max":
            pooled = x.amax(-1)
        elif self.knobs.head_pool == "mean_std":
            variance, mean = torch.var_mean(x, -1, correction=0)
            pooled = torch.cat([mean, (variance + 1e-5).sqrt()], -1)
        else:
            pooled = x.mean(-1)
        return self.head(pooled).squeeze(-1)


def _groups(channels: int) -> int:
    """The largest number of groups up to 8 that divides the channels and leaves at least two to each."""
    return next((groups for groups in range(min(8, channels // 2), 0, -1) if channels % groups == 0), 1)
