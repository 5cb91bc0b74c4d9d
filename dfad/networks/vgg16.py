"""VGG16 (Simonyan and Zisserman, ICLR 2015): torchvision's own, on one channel, pretrained or not, frozen or not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, get_args

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.networks.heads import Head, make_head
from dfad.networks.staged import COUNTER, Staged, StagedKnobs, on_one_channel

Variant = Literal["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
_FIRST = "features.0.weight"


class VGG16Knobs(StagedKnobs):
    """Options of VGG16 and its smaller and larger kin."""

    name: Literal["vgg16"] = "vgg16"
    variant: Variant = Field("vgg16", description="number of layers; _bn: with batch norm")
    classifier: Literal["pool", "torchvision"] = Field(
        "pool", description="global average and a small classifier, or torchvision's own of 120 M parameters"
    )
    hidden: int = Field(256, ge=1, le=8192, description="units of the small classifier")
    dropout: float = Field(0.5, ge=0, lt=1, description="in the classifier")

    def bare(self, head: Head = "linear") -> VGG:
        """The network, as it is before `initialise`."""
        return VGG(self, head)

    def taken(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this network takes of torchvision's weights, the first kernels for one channel."""
        left = "classifier.6." if self.classifier == "torchvision" else "classifier."
        taken = {name: t for name, t in given.items() if not name.startswith(left) and not name.endswith(COUNTER)}
        if (kernels := on_one_channel(taken.get(_FIRST))) is not None:
            taken[_FIRST] = kernels
        return taken

    def others(self) -> dict[str, tuple[str, ...]]:
        """Values of options by which weights might fit."""
        return {"classifier": ("pool",), "variant": get_args(Variant)}


class VGG(Staged):
    """Five blocks of convolutions, each ended by a max pool; then pooling and a classifier."""

    def __init__(self, knobs: VGG16Knobs, last: Head = "linear") -> None:
        from torchvision.models import get_model  # here, as it takes a second

        whole = get_model(knobs.variant, num_classes=1, dropout=knobs.dropout)
        layers = whole.features
        layers[0] = nn.Conv2d(1, layers[0].out_channels, 3, padding=1)
        ends = [number + 1 for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        blocks = nn.Sequential(*(layers[start:end] for start, end in pairwise([0, *ends])))
        pool, head = nn.Sequential(), nn.Sequential()
        if knobs.classifier == "torchvision":  # its pool enlarges most maps, so it belongs to the head
            whole.classifier[-1] = make_head(whole.classifier[-1].in_features, last)
            head.extend([_SevenBySeven(), nn.Flatten(), whole.classifier])
        else:
            pool.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
            head.extend([nn.Dropout(knobs.dropout), nn.Linear(512, knobs.hidden), nn.ReLU()])
            head.extend([nn.Dropout(knobs.dropout), make_head(knobs.hidden, last)])
        head.append(nn.Flatten(0))
        super().__init__(blocks, pool, head, knobs.trained_from)

    def pretrainable(self) -> dict[str, Tensor]:
        """Its own tensors that torchvision's weights have too, by the names that they have there."""
        found: dict[str, Tensor] = {}
        for block in self.blocks:  # the layers of a block kept torchvision's numbers
            found |= block.state_dict(prefix="features.")
        for part in self.head:
            if isinstance(part, nn.Sequential):
                found |= part[:-1].state_dict(prefix="classifier.")  # the last layer knew a thousand classes
        return {name: tensor for name, tensor in found.items() if not name.endswith(COUNTER)}


class _SevenBySeven(nn.Module):
    """torchvision's adaptive average pool as two matrix products: on a GPU its own gradient is not deterministic."""

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (F.adaptive_avg_pool1d(torch.eye(n, dtype=x.dtype, device=x.device), 7) for n in x.shape[-2:])
        return rows.mT @ x @ columns
