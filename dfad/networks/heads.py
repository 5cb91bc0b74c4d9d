"""The last layer of a network: embedding → one column, as the loss needs it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Head = Literal["linear", "cosine", "cosines"]


def make_head(width: int, head: Head = "linear") -> nn.Module:
    """Make a last layer.

    Args:
        width: of the embedding.
        head: `linear` gives a logit; `cosine` the cosine to one learned direction of bona fide, in [-1, 1]; `cosines`
            that cosine less the one to a direction of spoof, in [-2, 2].

    Shape:
        (batch, width) -> (batch, 1) higher = more bona fide
    """
    if head == "linear":
        return nn.Linear(width, 1)
    return Cosine(width) if head == "cosine" else Cosines(width)


class Cosine(nn.Module):
    """The cosine between an embedding and a learned direction (Zhang, Jiang and Duan, IEEE SPL 2021).

    Shape:
        (batch, width) -> (batch, 1) in [-1, 1]
    """

    directions = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(self.directions, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new directions."""
        nn.init.kaiming_uniform_(self.weight)

    def forward(self, embedding: Tensor) -> Tensor:
        """Compute the cosine."""
        return self.cosines(embedding)

    def cosines(self, embedding: Tensor) -> Tensor:
        """Cosines to all directions. Shape: (batch, width) -> (batch, directions)."""
        return F.normalize(embedding, dim=-1) @ F.normalize(self.weight, dim=-1).mT


class Cosines(Cosine):
    """The cosine to a direction of bona fide less the one to a direction of spoof (Wang et al., IEEE SPL 2018).

    Shape:
        (batch, width) -> (batch, 1) in [-2, 2]
    """

    directions = 2

    def forward(self, embedding: Tensor) -> Tensor:
        """Compute their difference."""
        both = self.cosines(embedding)  # spoof, bona fide
        return both[:, 1:] - both[:, :1]
