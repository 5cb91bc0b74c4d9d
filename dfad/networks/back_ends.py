"""Back-ends: the hidden states of a backbone, weighted → one logit per clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfad.networks.aasist import AASIST, AASISTKnobs
from dfad.networks.heads import Head, make_head
from dfad.networks.wave import POOL


class LayerSum(nn.Module):
    """A weighted sum of hidden states; the weights are learned, positive and 1 in sum, and begin alike.

    As in SUPERB (Yang et al., Interspeech 2021).

    Shape:
        (batch, states, frames, width) -> (batch, frames, width)
    """

    def __init__(self, states: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(states))  # before the softmax

    def forward(self, states: Tensor) -> Tensor:
        """Compute the sum."""
        return torch.einsum("s,bsfw->bfw", self.weight.softmax(0), states)


class AttentivePool(nn.Module):
    """Mean and deviation over time, frames weighted by an attention (Okabe, Koshinaka and Shinoda, Interspeech 2018).

    Shape:
        (batch, frames, width) -> (batch, 2 * width)
    """

    def __init__(self, width: int, attention: int = 128) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(width, attention), nn.Tanh(), nn.Linear(attention, 1, bias=False))

    def forward(self, frames: Tensor) -> Tensor:
        """Compute the statistics."""
        weight = self.attention(frames).softmax(1)
        mean = (weight * frames).sum(1)
        variance = (weight * (frames - mean[:, None]).square()).sum(1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], -1)


def _pool(width: int, hidden: int, dropout: float, head: Head) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.ReLU(),
        AttentivePool(hidden),
        nn.Dropout(dropout),
        make_head(2 * hidden, head),
        nn.Flatten(0),
    )


class GraphBackEnd(AASIST):
    """AASIST on the frames of a backbone in place of sinc filters (Tak et al., Odyssey 2022).

    Frames come at 50 a second and not at the sample rate, so its blocks do not pool over time.

    Shape:
        (batch, frames, width), 3 frames or more -> (batch,)
    """

    def __init__(self, width: int, hidden: int, dropout: float, head: Head) -> None:
        knobs = AASISTKnobs(filters=hidden, dropout=dropout)
        super().__init__(knobs, nn.Linear(width, hidden), head, pools=False)

    def front(self, wave: Tensor) -> Tensor:
        """Compute the map that the blocks take. Shape: (batch, frames, width) -> (batch, 1, bands, frames)."""
        bands = self.bank(wave).mT[:, None]
        return F.selu(self.norm(F.max_pool2d(bands, POOL)))


# (width of the frames, hidden units, dropout, last layer) → module: (batch, frames, width) → (batch,) logits
BACK_ENDS: Mapping[str, Callable[[int, int, float, Head], nn.Module]] = {"pool": _pool, "aasist": GraphBackEnd}
LEAST_FRAMES: Mapping[str, int] = {"pool": 1, "aasist": POOL}
