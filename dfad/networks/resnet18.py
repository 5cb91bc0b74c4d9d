"""ResNet-18 (He et al., CVPR 2016): torchvision's own, on one channel, pretrained or not, frozen or not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field
from torch import Tensor, nn

from dfad.networks.heads import Head, make_head
from dfad.networks.norms import LenientBatchNorm
from dfad.networks.staged import COUNTER, Staged, StagedKnobs, on_one_channel

Variant = Literal["resnet18", "resnet34"]
_FIRST = "conv1.weight"
_STEM = ("conv1", "bn1", "relu", "maxpool")
_STAGES = ("layer1", "layer2", "layer3", "layer4")


class ResNet18Knobs(StagedKnobs):
    """Options of ResNet-18 and ResNet-34; block 1 is the first convolution, 2 to 5 are the four stages."""

    name: Literal["resnet18"] = "resnet18"
    variant: Variant = Field("resnet18", description="number of layers")
    backbone_lr: float = Field(1e-3, gt=0, description="peak learning rate of the blocks that are trained")
    pretrained: str = Field(
        "none", min_length=1, description="imagenet (downloaded once) | none | path of torchvision's state dict"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="before the head")

    def bare(self, head: Head = "linear") -> ResNet:
        """The network, as it is before `initialise`."""
        return ResNet(self, head)

    def taken(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What this network takes of torchvision's weights, the first kernels for one channel."""
        taken = {name: t for name, t in given.items() if not name.startswith("fc.") and not name.endswith(COUNTER)}
        if (kernels := on_one_channel(taken.get(_FIRST))) is not None:
            taken[_FIRST] = kernels
        return taken

    def others(self) -> dict[str, tuple[str, ...]]:
        """Values of options by which weights might fit."""
        return {"variant": get_args(Variant)}


class ResNet(Staged):
    """A convolution, four stages of residual blocks, the mean over bands and frames, one layer."""

    def __init__(self, knobs: ResNet18Knobs, last: Head = "linear") -> None:
        from torchvision.models import get_model  # here, as it takes a second

        whole = get_model(knobs.variant, num_classes=1, norm_layer=LenientBatchNorm)
        whole.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        stem = nn.Sequential(OrderedDict((name, getattr(whole, name)) for name in _STEM))
        super().__init__(
            nn.Sequential(stem, *(getattr(whole, name) for name in _STAGES)),
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            nn.Sequential(nn.Dropout(knobs.dropout), make_head(512, last), nn.Flatten(0)),
            knobs.trained_from,
        )

    def pretrainable(self) -> dict[str, Tensor]:
        """Its own tensors that torchvision's weights have too, by the names that they have there."""
        stem, *stages = self.blocks
        found: dict[str, Tensor] = stem.state_dict()
        for name, stage in zip(_STAGES, stages, strict=True):
            found |= stage.state_dict(prefix=f"{name}.")
        return {name: tensor for name, tensor in found.items() if not name.endswith(COUNTER)}
