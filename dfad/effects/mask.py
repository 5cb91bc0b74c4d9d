"""Masks over features, as in SpecAugment (Park et al., Interspeech 2019)."""

from __future__ import annotations

import torch
from torch import Tensor


def mask(features: Tensor, start: Tensor, width: Tensor, dim: int) -> Tensor:
    """Set stripes of a feature map to the clip's own mean.

    Shape:
        features: (batch, 1, bands, frames); start, width: (batch, stripes) int64; dim: -2 bands, -1 frames
        -> (batch, 1, bands, frames)
    """
    place = torch.arange(features.shape[dim], device=features.device)
    hit = ((place >= start[..., None]) & (place < (start + width)[..., None])).any(1)  # (batch, places)
    hit = hit[:, None, :, None] if dim == -2 else hit[:, None, None, :]
    return torch.where(hit, features.mean((-2, -1), keepdim=True), features)
