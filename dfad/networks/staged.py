"""Networks of torchvision's in five stages: on one channel, pretrained or not, frozen by stage or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, WithJsonSchema, model_validator
from torch import Tensor, nn

from dfad.download import Progress
from dfad.errors import ConfigError, RunError
from dfad.frontends import FrontendKnobs
from dfad.networks import pretrained
from dfad.networks.base import NetworkKnobs
from dfad.networks.heads import Cosine, Head

BLOCKS = 5
LEAST = 2**BLOCKS  # bands and frames of a map: every block halves both
_From = Annotated[Literal[1, 2, 3, 4, 5, "none"], WithJsonSchema({"enum": ["1 to 5", "none"]})]
# of frontends; the first that there is sets the number of bands
_BAND_OPTIONS = ("n_coefficients", "n_mels", "bins_per_octave", "n_fft")
COUNTER = "num_batches_tracked"  # of no use, and older weights lack it


class StagedKnobs(NetworkKnobs):
    """Options that all such networks have."""

    variant: str
    lr: float = Field(1e-3, gt=0, description="peak learning rate of the head")
    backbone_lr: float = Field(1e-4, gt=0, description="peak learning rate of the blocks that are trained")
    pretrained: str = Field(
        "imagenet", min_length=1, description="imagenet (downloaded once) | none | path of torchvision's state dict"
    )
    unfreeze_from: _From | None = Field(
        None, description="first of the blocks 1 to 5 that is trained; null: 1 if pretrained=none, else none of them"
    )
    unfreeze_every: int | None = Field(
        None, ge=1, description="train one more block every so many epochs, from 5 down; null: all from the start"
    )

    @model_validator(mode="after")
    def _something_to_unfreeze(self) -> Self:
        if self.unfreeze_every is not None and self.trained_from > BLOCKS:
            raise ValueError("unfreeze_every needs a block to end at: unfreeze_from=1 to 5")
        return self

    @property
    def trained_from(self) -> int:
        """The first block that is ever trained; 6 if only the head is."""
        if self.unfreeze_from is None:
            return 1 if self.pretrained == "none" else BLOCKS + 1
        return BLOCKS + 1 if self.unfreeze_from == "none" else self.unfreeze_from

    def trained_in(self, epoch: int) -> int:
        """The first block that is trained in an epoch, counted from 0; 6 if only the head is."""
        if self.unfreeze_every is None:
            return self.trained_from
        return max(self.trained_from, BLOCKS + 1 - epoch // self.unfreeze_every)

    @property
    def least_epochs(self) -> int:
        """How many epochs it takes until the last block is trained that ever shall be."""
        return 1 + (BLOCKS + 1 - self.trained_from) * (self.unfreeze_every or 0)

    def identity(self) -> dict[str, Any]:
        """What can change a run's numbers: of a file of weights its content, not its path."""
        values = super().identity()
        if self.pretrained not in ("imagenet", "none"):
            values["pretrained"] = pretrained.sha256(Path(self.pretrained))
        return values

    def require(self, frontend: FrontendKnobs) -> None:
        """Refuse a waveform, and a map of which five halvings leave nothing."""
        if not frontend.spectral:
            raise ConfigError(f"model={self.name} needs a map of bands over frames, not frontend={frontend.name}")
        bands, frames = frontend.build()(torch.zeros(1, frontend.crop_samples)).shape[-2:]
        for found, what, options in ((bands, "bands", _BAND_OPTIONS), (frames, "frames", ("crop_s",))):
            if found < LEAST:
                raisable = [
                    f"frontend.{name} (now {getattr(frontend, name)})" for name in options if hasattr(frontend, name)
                ]
                raise ConfigError(
                    f"model={self.name} halves bands and frames five times, so it needs {LEAST} or more of each; "
                    f"there are {found} {what}: raise {raisable[0] if raisable else 'them'}"
                )

    def bare(self, head: Head = "linear") -> Staged:
        """The network; within `torch.device("meta")` without memory or numbers, for its names and shapes."""
        raise NotImplementedError

    def taken(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this network takes of torchvision's weights, the first kernels for one channel."""
        raise NotImplementedError

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> Staged:
        """Make the network."""
        self.require(frontend)
        with torch.device("meta"):
            network = self.bare(head)
        network = network.to_empty(device="cpu")
        network.initialise()
        return network

    def start(self, network: nn.Module, progress: Progress | None = None) -> None:
        """Put the pretrained weights in; the last layer always begins anew."""
        if self.pretrained == "none":
            return
        assert isinstance(network, Staged)
        path = pretrained.imagenet(self.variant, progress) if self.pretrained == "imagenet" else Path(self.pretrained)
        given = pretrained.read_weights(path)
        if told := self.differences(given):
            raise RunError("\n".join([f"{path} does not fit model.variant={self.variant}", *told, self.advice(given)]))
        taken = self.taken(given)
        for name, tensor in network.pretrainable().items():
            tensor.copy_(taken[name])
            if not tensor.isfinite().all():
                raise RunError(f"{path}: {name} holds NaN or infinite numbers; give other weights")

    def split(self, network: nn.Module) -> tuple[nn.Module, nn.Module] | None:
        """Cut it before the first block that is ever trained; with none, before the head."""
        assert isinstance(network, Staged)
        stages = [*network.blocks, network.pool, network.head]
        cut = self.trained_from - 1 if self.trained_from <= BLOCKS else len(stages) - 1
        return (nn.Sequential(*stages[:cut]), nn.Sequential(*stages[cut:])) if cut else None

    def differences(self, given: Mapping[str, Tensor]) -> list[str]:
        """What of the given weights does not fit; nothing if they fit."""
        with torch.device("meta"):
            wanted = self.bare().pretrainable()
        return pretrained.differences(wanted, self.taken(given))

    def advice(self, given: Mapping[str, Tensor]) -> str:
        """What to type for weights that do not fit."""
        for option, values in self.others().items():
            for value in values:
                if not self.model_copy(update={option: value}).differences(given):
                    return f"it fits model.{option}={value}"
        return f"give what torch.save(torchvision.models.{self.variant}().state_dict(), path) writes, or the like"

    def others(self) -> dict[str, tuple[str, ...]]:
        """Values of options by which weights might fit."""
        raise NotImplementedError


class Staged(nn.Module):
    """Five blocks, each of which halves bands and frames; then pooling and a head.

    Frozen blocks have no gradients and stay in eval mode whatever happens, but gradients pass through to the input.

    Shape:
        features: (batch, 1, bands, frames), 32 or more of either -> (batch,) outputs, higher = more bona fide
    """

    def __init__(self, blocks: nn.Sequential, pool: nn.Sequential, head: nn.Sequential, first: int) -> None:
        super().__init__()
        self.blocks, self.pool, self.head = blocks, pool, head
        self.freeze(first)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the outputs."""
        return self.head(self.pool(self.blocks(features)))

    def freeze(self, first: int) -> None:
        """Train the blocks from this one on, counted from 1, and keep those before as they are."""
        self.first = first
        for number, block in enumerate(self.blocks, 1):
            block.requires_grad_(number >= first)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the frozen blocks."""
        super().train(mode)
        for block in self.blocks[: self.first - 1]:
            block.eval()
        return self

    def initialise(self) -> None:
        """Draw new weights: convolutions as torchvision draws them, all else as PyTorch does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear | Cosine):
                module.reset_parameters()
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def pretrainable(self) -> dict[str, Tensor]:
        """Its own tensors that torchvision's weights have too, by the names that they have there."""
        raise NotImplementedError


def on_one_channel(kernels: Tensor | None) -> Tensor | None:
    """First kernels for one channel instead of three colours: as if the channel were repeated three times.

    Shape:
        (channels, 3, rows, columns) -> (channels, 1, rows, columns) float64; others stay as they are
    """
    return kernels.double().sum(1, keepdim=True) if kernels is not None and kernels.shape[1:2] == (3,) else kernels
