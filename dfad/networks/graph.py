"""Graphs over parts of an utterance: attention between nodes, between two kinds of them, and pooling of nodes.

From Jung et al., "AASIST", ICASSP 2022 (arXiv 2110.01200), whose homogeneous layers are those of Tak et al. (2021).
Graphs are complete, so a node is a vector and nothing else. Attention is symmetric before its softmax: it looks at the
product of two nodes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GraphAttention(nn.Module):
    """Each node becomes a mixture of all nodes, by attention, plus itself.

    Args:
        width: of the nodes that come in.
        out: width of those that go out.
        temperature: by which attention is divided before its softmax.
        dropout: on the nodes that come in.

    Shape:
        nodes: (batch, nodes, width) -> (batch, nodes, out)
    """

    def __init__(self, width: int, out: int, *, temperature: float, dropout: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.drop = nn.Dropout(dropout)
        self.pair = nn.Linear(width, out)
        self.score = _scorer(out)
        self.update = _Update(width, out)
        self.norm = nn.BatchNorm1d(out)

    def forward(self, nodes: Tensor) -> Tensor:
        """Pass messages once."""
        nodes = self.drop(nodes)
        attention = torch.tanh(self.pair(_pairs(nodes))) @ self.score  # (batch, nodes, nodes, 1)
        mixed = (attention[..., 0] / self.temperature).softmax(-1) @ nodes
        return F.selu(_normed(self.norm, self.update(mixed, nodes)))


class HeterogeneousAttention(nn.Module):
    """Attention over the nodes of two graphs at once, scored by which graphs a pair is of, with one master node.

    The master node listens to all nodes and none listens to it.

    Shape:
        first: (batch, n, width), second: (batch, m, width), master: (batch, 1, width)
        -> (batch, n, out), (batch, m, out), (batch, 1, out)
    """

    def __init__(self, width: int, out: int, *, temperature: float, dropout: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.project_first, self.project_second = nn.Linear(width, width), nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        self.pair, self.pair_master = nn.Linear(width, out), nn.Linear(width, out)
        self.score_first, self.score_second, self.score_across = _scorer(out), _scorer(out), _scorer(out)
        self.score_master = _scorer(out)
        self.update, self.update_master = _Update(width, out), _Update(width, out)
        self.norm = nn.BatchNorm1d(out)

    def forward(self, first: Tensor, second: Tensor, master: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pass messages once."""
        n = first.shape[1]
        nodes = self.drop(torch.cat([self.project_first(first), self.project_second(second)], 1))
        to_master = torch.tanh(self.pair_master(nodes * master)) @ self.score_master  # (batch, nodes, 1)
        heard = (to_master / self.temperature).softmax(1).mT @ nodes
        mixed = (self._attention(nodes, n) / self.temperature).softmax(-1) @ nodes
        out = F.selu(_normed(self.norm, self.update(mixed, nodes)))
        return out[:, :n], out[:, n:], self.update_master(heard, master)

    def _attention(self, nodes: Tensor, n: int) -> Tensor:
        """Scores of all pairs, the first `n` nodes being of the first graph. Shape: -> (batch, nodes, nodes)."""
        pairs = torch.tanh(self.pair(_pairs(nodes)))
        scores = pairs @ torch.cat([self.score_first, self.score_second, self.score_across], 1)
        first, second, across = scores.unbind(-1)
        upper = torch.cat([first[:, :n, :n], across[:, :n, n:]], 2)
        lower = torch.cat([across[:, n:, :n], second[:, n:, n:]], 2)
        return torch.cat([upper, lower], 1)


class GraphPool(nn.Module):
    """Keeps the share of nodes that score highest, in the order of their scores, each times its score.

    Shape:
        nodes: (batch, nodes, width) -> (batch, max(1, ⌊share · nodes⌋), width)
    """

    def __init__(self, width: int, share: float, *, dropout: float) -> None:
        super().__init__()
        self.share = share
        self.drop = nn.Dropout(dropout)
        self.score = nn.Linear(width, 1)

    def forward(self, nodes: Tensor) -> Tensor:
        """Choose nodes."""
        scores = self.score(self.drop(nodes)).sigmoid()
        best = scores.topk(max(1, int(self.share * nodes.shape[1])), dim=1).indices
        return (nodes * scores).gather(1, best.expand(-1, -1, nodes.shape[-1]))


class _Update(nn.Module):
    """What a node becomes by what it heard and by what it was."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.heard, self.own = nn.Linear(width, out), nn.Linear(width, out)

    def forward(self, heard: Tensor, own: Tensor) -> Tensor:
        return self.heard(heard) + self.own(own)


def _scorer(width: int) -> nn.Parameter:
    """Weights that make a score of a vector. Shape: (width, 1)."""
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(width, 1)))


def _pairs(nodes: Tensor) -> Tensor:
    """Products of all pairs of nodes. Shape: (batch, nodes, width) -> (batch, nodes, nodes, width)."""
    return nodes[:, :, None] * nodes[:, None]


def _normed(norm: nn.Module, nodes: Tensor) -> Tensor:
    """Batch norm over all nodes of all clips."""
    return norm(nodes.flatten(0, 1)).view_as(nodes)
