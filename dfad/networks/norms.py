"""Batch norm that a lone clip with one value per channel can pass, while it is trained."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LenientBatchNorm(nn.BatchNorm2d):
    """Batch norm by the running statistics where a lone clip's map has shrunk to one value per channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise. Shape: (batch, channels, bands, frames) -> the same."""
        if self.training and x.numel() == self.num_features:  # torch refuses it: the variance would be 0
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)
