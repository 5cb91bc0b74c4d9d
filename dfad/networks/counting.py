"""What a network costs: parameters, and multiplications with an addition."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """The numbers that a network consists of; what is trained and what is frozen."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, features: Tensor) -> int:
    """Multiplications with an addition (half the FLOPs) in convolutions, matrix products, recurrences and attention.

    Nothing is computed: shapes alone pass through the network. Norms, activations and pooling are not counted.

    Args:
        network: any; it stays as it is.
        features: of one clip, or a batch, for which it is counted.
    """
    shapes = deepcopy(network).eval().to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(features.to("meta"))
    return counter.get_total_flops() // 2
