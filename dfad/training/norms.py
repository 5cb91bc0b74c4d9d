"""Batch norm over all devices: the same statistics as one device with the whole batch has.

PyTorch has it for GPUs only, so a CPU gets one here; both are put in for training alone, over the same parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm


class SyncedNorms(LayerSync):
    """Replaces every batch norm of a model while it is trained, and puts the original back afterwards."""

    def __init__(self, accelerator: str) -> None:
        self.kind = nn.SyncBatchNorm if accelerator == "gpu" else _CPUSyncBatchNorm
        self.replaced: list[tuple[nn.Module, str, nn.Module]] = []

    def apply(self, model: nn.Module) -> nn.Module:
        """Replace them."""
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if isinstance(child, _BatchNorm):
                    self.replaced.append((parent, name, child))
                    setattr(parent, name, self._synced(child))
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Put the originals back; they share parameters and statistics with what stood in for them."""
        for parent, name, child in self.replaced:
            setattr(parent, name, child.train(getattr(parent, name).training))
        self.replaced.clear()
        return model

    def _synced(self, norm: _BatchNorm) -> nn.Module:
        synced = self.kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        for name, shared in (*norm.named_parameters(recurse=False), *norm.named_buffers(recurse=False)):
            setattr(synced, name, shared)
        return synced.train(norm.training)


class _CPUSyncBatchNorm(_BatchNorm):
    """Batch norm with the mean and variance of the batches of all ranks together.

    Shape:
        (batch, channels, …) -> the same
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        over = [0, *range(2, x.ndim)]
        by_channel = (1, -1) + (1,) * (x.ndim - 2)
        count = x.new_tensor(x.numel() // x.shape[1])
        dist.all_reduce(count)
        mean = _Sum.apply(x.sum(over)) / count
        centred = x - mean.view(by_channel)
        variance = _Sum.apply(centred.square().sum(over)) / count
        if self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                assert self.num_batches_tracked is not None
                self.num_batches_tracked += 1
                momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), momentum)
        scale = (variance + self.eps).rsqrt()
        if self.weight is None:
            return centred * scale.view(by_channel)
        return torch.addcmul(self.bias.view(by_channel), centred, (scale * self.weight).view(by_channel))

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions will do."""


class _Sum(torch.autograd.Function):
    """Sum over all ranks; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
