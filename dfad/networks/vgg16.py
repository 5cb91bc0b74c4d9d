"""VGG16 (Simonyan and Zisserman, ICLR 2015): torchvision's own, on one channel, pretrained or not, frozen or not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import torch
from pydantic import Field, WithJsonSchema, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.download import Progress
from dfad.errors import ConfigError, RunError
from dfad.frontends import FrontendKnobs
from dfad.networks import pretrained
from dfad.networks.base import NetworkKnobs
from dfad.networks.heads import Cosine, Head, make_head

BLOCKS = 5
LEAST = 2**BLOCKS  # bands and frames of a map: every block halves both
Variant = Literal["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
_From = Annotated[Literal[1, 2, 3, 4, 5, "none"], WithJsonSchema({"enum": ["1 to 5", "none"]})]
# of frontends; the first that there is sets the number of bands
_BAND_OPTIONS = ("n_coefficients", "n_mels", "bins_per_octave", "n_fft")
_FIRST, _COUNTER = "features.0.weight", "num_batches_tracked"  # the counter is of no use, and older weights lack it


class VGG16Knobs(NetworkKnobs):
    """Options of VGG16 and its smaller and larger kin."""

    name: Literal["vgg16"] = "vgg16"
    lr: float = Field(1e-3, gt=0, description="peak learning rate of the head")
    backbone_lr: float = Field(1e-4, gt=0, description="peak learning rate of the blocks that are trained")
    variant: Variant = Field("vgg16", description="number of layers; _bn: with batch norm")
    pretrained: str = Field(
        "imagenet", min_length=1, description="imagenet (downloaded once) | none | path of torchvision's state dict"
    )
    unfreeze_from: _From | None = Field(
        None, description="first of the blocks 1 to 5 that is trained; null: 1 if pretrained=none, else none of them"
    )
    unfreeze_every: int | None = Field(
        None, ge=1, description="train one more block every so many epochs, from 5 down; null: all from the start"
    )
    classifier: Literal["pool", "torchvision"] = Field(
        "pool", description="global average and a small classifier, or torchvision's own of 120 M parameters"
    )
    hidden: int = Field(256, ge=1, le=8192, description="units of the small classifier")
    dropout: float = Field(0.5, ge=0, lt=1, description="in the classifier")

    @model_validator(mode="after")
    def _something_to_unfreeze(self) -> VGG16Knobs:
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
            raise ConfigError(f"model=vgg16 needs a map of bands over frames, not frontend={frontend.name}")
        bands, frames = frontend.build()(torch.zeros(1, frontend.crop_samples)).shape[-2:]
        for found, what, options in ((bands, "bands", _BAND_OPTIONS), (frames, "frames", ("crop_s",))):
            if found < LEAST:
                raisable = [
                    f"frontend.{name} (now {getattr(frontend, name)})" for name in options if hasattr(frontend, name)
                ]
                raise ConfigError(
                    f"model=vgg16 halves bands and frames five times, so it needs {LEAST} or more of each; "
                    f"there are {found} {what}: raise {raisable[0] if raisable else 'them'}"
                )

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> VGG:
        """Make the network."""
        self.require(frontend)
        network = self._bare(head).to_empty(device="cpu")
        network.initialise()
        return network

    def start(self, network: nn.Module, progress: Progress | None = None) -> None:
        """Put the pretrained weights in; the last layer always begins anew."""
        if self.pretrained == "none":
            return
        assert isinstance(network, VGG)
        path = pretrained.imagenet(self.variant, progress) if self.pretrained == "imagenet" else Path(self.pretrained)
        given = pretrained.read_weights(path)
        if told := self._differences(given):
            raise RunError("\n".join([f"{path} does not fit model.variant={self.variant}", *told, self._advice(given)]))
        taken = self._taken(given)
        for name, tensor in network.pretrainable().items():
            tensor.copy_(taken[name])
            if not tensor.isfinite().all():
                raise RunError(f"{path}: {name} holds NaN or infinite numbers; give other weights")

    def split(self, network: nn.Module) -> tuple[nn.Module, nn.Module] | None:
        """Cut it before the first block that is ever trained; with none, before the head."""
        assert isinstance(network, VGG)
        stages = [*network.blocks, network.pool, network.head]
        cut = self.trained_from - 1 if self.trained_from <= BLOCKS else len(stages) - 1
        return (nn.Sequential(*stages[:cut]), nn.Sequential(*stages[cut:])) if cut else None

    def _bare(self, head: Head = "linear") -> VGG:
        """The network without memory or numbers: names and shapes."""
        with torch.device("meta"):
            return VGG(self, head)

    def _taken(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this network takes of torchvision's weights, the first kernels for one channel."""
        left = "classifier.6." if self.classifier == "torchvision" else "classifier."
        taken = {name: t for name, t in given.items() if not name.startswith(left) and not name.endswith(_COUNTER)}
        if (kernels := taken.get(_FIRST)) is not None and kernels.shape[1:2] == (3,):
            taken[_FIRST] = kernels.double().sum(1, keepdim=True)  # as if the channel were repeated three times
        return taken

    def _differences(self, given: Mapping[str, Tensor]) -> list[str]:
        return pretrained.differences(self._bare().pretrainable(), self._taken(given))

    def _advice(self, given: Mapping[str, Tensor]) -> str:
        """What to type for weights that do not fit."""
        for option, value in [("classifier", "pool"), *(("variant", variant) for variant in get_args(Variant))]:
            if not self.model_copy(update={option: value})._differences(given):
                return f"it fits model.{option}={value}"
        return f"give what torch.save(torchvision.models.{self.variant}().state_dict(), path) writes, or the like"


class VGG(nn.Module):
    """Five blocks of convolutions, each ended by a max pool; then pooling and a classifier.

    Frozen blocks have no gradients and stay in eval mode whatever happens, but gradients pass through to the input.

    Shape:
        features: (batch, 1, bands, frames), 32 or more of either -> (batch,) logits of bona fide
    """

    def __init__(self, knobs: VGG16Knobs, last: Head = "linear") -> None:
        from torchvision.models import get_model  # here, as it takes a second

        super().__init__()
        whole = get_model(knobs.variant, num_classes=1, dropout=knobs.dropout)
        layers = whole.features
        layers[0] = nn.Conv2d(1, layers[0].out_channels, 3, padding=1)
        ends = [number + 1 for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        self.blocks = nn.Sequential(*(layers[start:end] for start, end in pairwise([0, *ends])))
        self.pool, self.head = nn.Sequential(), nn.Sequential()
        if knobs.classifier == "torchvision":  # its pool enlarges most maps, so it belongs to the head
            whole.classifier[-1] = make_head(whole.classifier[-1].in_features, last)
            self.head.extend([_SevenBySeven(), nn.Flatten(), whole.classifier])
        else:
            self.pool.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
            self.head.extend([nn.Dropout(knobs.dropout), nn.Linear(512, knobs.hidden), nn.ReLU()])
            self.head.extend([nn.Dropout(knobs.dropout), make_head(knobs.hidden, last)])
        self.head.append(nn.Flatten(0))
        self.freeze(knobs.trained_from)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the logits."""
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
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def pretrainable(self) -> dict[str, Tensor]:
        """Its own tensors that torchvision's weights have too, by the names that they have there."""
        found: dict[str, Tensor] = {}
        for block in self.blocks:  # the layers of a block kept torchvision's numbers
            found |= block.state_dict(prefix="features.")
        for part in self.head:
            if isinstance(part, nn.Sequential):
                found |= part[:-1].state_dict(prefix="classifier.")  # the last layer knew a thousand classes
        return {name: tensor for name, tensor in found.items() if not name.endswith(_COUNTER)}


class _SevenBySeven(nn.Module):
    """torchvision's adaptive average pool as two matrix products: on a GPU its own gradient is not deterministic."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (F.adaptive_avg_pool1d(torch.eye(n, dtype=x.dtype, device=x.device), 7) for n in x.shape[-2:])
        return rows.mT @ x @ columns
