"""Batch norm over all devices: the same statistics as one device with the whole batch has.

PyTorch has it for GPUs only, so a CPU gets one here; both are put in for training alone, over the same parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F
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
        """Put the originals back, with what was learned in their place."""
        for parent, name, child in self.replaced:
            synced = getattr(parent, name)
            for statistic, buffer in synced.named_buffers(
                recurse=False
            ):  # parameters are shared; these, when moved, not
                setattr(child, statistic, buffer)
            setattr(parent, name, child.train(synced.training))
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
        output, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps)
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), momentum)
        return output

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions will do."""


class _Normalise(torch.autograd.Function):
    """PyTorch's own kernels for given statistics, and those statistics taken over all ranks, in both directions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)  # of this rank
        count = x.new_tensor([x.numel() // x.shape[1]])
        # moments add up where variances do not; in double precision, as they are then subtracted
        moments = torch.cat([count.double(), count * mean.double(), count * (variance.double() + mean.double() ** 2)])
        dist.all_reduce(moments)
        total = moments[0]
        mean, square = (moments[1:] / total).chunk(2)
        mean, variance = mean.to(x.dtype), (square - mean**2).clamp(min=0).to(x.dtype)
        ctx.save_for_backward(x, weight, mean, variance, total)
        ctx.eps = eps
        output = F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)
        count = total.to(x.dtype)
        ctx.mark_non_differentiable(mean, variance, count)  # or the running statistics would keep every step's graph
        return output, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, total = ctx.saved_tensors
        straight, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        # through the statistics, which every value of every rank has a share in (Ioffe and Szegedy, ICML 2015)
        sums = torch.stack([to_bias, to_weight])
        dist.all_reduce(sums)
        inverse = (variance + ctx.eps).rsqrt()
        shares = sums * inverse * (1 if weight is None else weight) / total.to(x.dtype)
        by_channel = (1, -1) + (1,) * (x.ndim - 2)
        slope = (shares[1] * inverse).view(by_channel)
        straight = straight.sub_((shares[0] - shares[1] * inverse * mean).view(by_channel)).addcmul_(x, slope, value=-1)
        if weight is None:
            return straight, None, None, None
        return straight, to_weight, to_bias, None
