"""Effects on when things happen."""

from __future__ import annotations

import torch
from torch import Tensor


def shift(wave: Tensor, samples: Tensor) -> Tensor:
    """Rotate every clip: what leaves at its end comes back at its start.

    Shape:
        wave: (batch, samples); samples: (batch,) int64, positive = later -> (batch, samples)
    """
    length = wave.shape[-1]
    index = (torch.arange(length, device=wave.device) - samples[:, None]) % length
    return wave.gather(-1, index)
