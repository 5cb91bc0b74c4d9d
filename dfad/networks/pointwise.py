"""SELU and pooling by three in as few passes over memory as a CPU allows; elsewhere PyTorch's own do as well.

On a CPU, PyTorch's SELU spends ten times as long as an exponential takes, its pooling eight times as long as three
slices; `python -m bench.aasist` measures what that makes of a network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., NeurIPS 2017
BELOW = SCALE * ALPHA  # what SELU falls to
_CACHED = 1 << 18  # values that stay in a cache over some passes; fewer, and threads wait for each other too often


def selu_(x: Tensor) -> Tensor:
    """SELU, where nobody needs its input any more: on a CPU it is overwritten. Shape: any -> the same."""
    if _elsewhere(x):
        return F.selu(x)
    if torch.is_grad_enabled() and x.requires_grad:
        return _SELU.apply(x)
    return _selu_(x) if x.is_contiguous() else F.selu(x)


def max_of_three(x: Tensor, dim: int) -> Tensor:
    """The largest of each three neighbours along a dimension; what is left over at its end is dropped."""
    if torch.is_grad_enabled() and x.requires_grad:
        return _MaxOfThree.apply(x, dim)
    first, second, third = _thirds(x, dim)
    return torch.maximum(torch.maximum(first, second), third)


def _elsewhere(x: Tensor) -> bool:
    """Whether a graph of few operations is worth more than few passes: on a GPU, or while one is recorded."""
    return x.device.type != "cpu" or torch.compiler.is_compiling()


def _selu_(x: Tensor) -> Tensor:
    for part in torch.split(x.view(-1), _CACHED):
        below = part.clamp_max(0).exp_()  # 1 where x is positive
        part.clamp_min_(0).mul_(SCALE).add_(below, alpha=BELOW).sub_(BELOW)
    return x


class _SELU(torch.autograd.Function):
    """SELU in place, whose slope is told by its output: SCALE above 0, the output plus BELOW under it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        out = _selu_(x)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        return torch.ops.aten.elu_backward(gradient, ALPHA, SCALE, 1, True, out)


class _MaxOfThree(torch.autograd.Function):
    """The maximum, which keeps two bits of each three values for the way back; the first of equal ones counts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        first, second, third = _thirds(x, dim)
        larger = torch.maximum(first, second)
        ctx.save_for_backward(second > first, third > larger)
        ctx.size, ctx.dim = x.shape[dim], dim
        return torch.maximum(larger, third)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        second, third = (each.movedim(ctx.dim, -1).view(torch.uint8) for each in ctx.saved_tensors)
        gradient = gradient.movedim(ctx.dim, -1)
        place = torch.maximum(second, third * 2).reshape(-1)  # of the largest among its three: 0, 1 or 2
        place = torch.arange(0, 3 * len(place), 3, device=place.device).add_(place)
        result = gradient.new_zeros(3 * len(place)).scatter_(0, place, gradient.reshape(-1))
        result = result.view(*gradient.shape[:-1], 3 * gradient.shape[-1])
        if left := ctx.size - result.shape[-1]:
            result = F.pad(result, (0, left))
        return result.movedim(-1, ctx.dim), None


def _thirds(x: Tensor, dim: int) -> list[Tensor]:
    """Every third slice along a dimension, from the first, second and third on."""
    last, whole = x.movedim(dim, -1), x.shape[dim] // 3 * 3
    return [last[..., place:whole:3].movedim(-1, dim) for place in range(3)]
