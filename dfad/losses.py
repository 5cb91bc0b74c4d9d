"""Losses: (outputs, labels) → a number, and what the outputs of a network are that learnt by it.

Outputs are higher for bona fide, labels 1 for it and 0 for spoof. Every loss here is a cross-entropy: margins move what
it reads as log-odds, and the focal loss weighs its clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from dfad.deployed import Raw
from dfad.knobs import Knobs
from dfad.networks.heads import Head


def cross_entropy(outputs: Tensor, labels: Tensor, weights: Tensor | None = None, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of log-odds.

    Args:
        outputs: log-odds of bona fide.
        labels: 1 = bona fide, 0 = spoof.
        weights: of the clips; None: all 1.
        smoothing: share of a label that is spread over both classes (Szegedy et al., CVPR 2016).

    Shape:
        outputs, labels, weights: (batch,) -> ()
    """
    target = labels.to(outputs.dtype)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(outputs, target, weight=weights)


def focal(
    outputs: Tensor, labels: Tensor, weights: Tensor | None = None, *, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    """Cross-entropy times (1 − p)^gamma, where p is what the network gives the right class (Lin et al., ICCV 2017).

    Args:
        outputs: log-odds of bona fide, as far as the weighing of clips lets them be.
        labels: 1 = bona fide, 0 = spoof.
        weights: of the clips; None: all 1.
        gamma: how much less clips count that are right already.
        alpha: weight of bona fide, 1 − alpha that of spoof; None: neither.

    Shape:
        outputs, labels, weights: (batch,) -> ()
    """
    right = torch.where(labels == 1, outputs, -outputs)  # log-odds of the right class
    each = (gamma * F.logsigmoid(-right)).exp() * -F.logsigmoid(right)  # a power would have no slope where p is 1
    if alpha is not None:
        each = torch.where(labels == 1, alpha * each, (1 - alpha) * each)
    return (each if weights is None else weights * each).mean()


def one_class(
    outputs: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    scale: float = 20.0,
    margins: tuple[float, float] = (0.9, 0.2),
) -> Tensor:
    """One-class softmax: bona fide close to one direction, spoof far from it (Zhang, Jiang and Duan, IEEE SPL 2021).

    Args:
        outputs: cosines to the direction of bona fide.
        labels: 1 = bona fide, 0 = spoof.
        weights: of the clips; None: all 1.
        scale: of cosines to log-odds.
        margins: a bona fide clip should be above the first, a spoofed one below the second.

    Shape:
        outputs, labels, weights: (batch,) -> ()
    """
    ahead = torch.where(labels == 1, outputs - margins[0], outputs - margins[1])
    return cross_entropy(scale * ahead, labels, weights)


def additive_margin(
    outputs: Tensor, labels: Tensor, weights: Tensor | None = None, *, scale: float = 20.0, margin: float = 0.9
) -> Tensor:
    """Additive-margin softmax of two classes, which needs the difference of their cosines only (Wang et al., SPL 2018).

    Args:
        outputs: cosine to the direction of bona fide less the one to that of spoof.
        labels: 1 = bona fide, 0 = spoof.
        weights: of the clips; None: all 1.
        scale: of cosines to log-odds.
        margin: by which the cosine of the right class should be ahead.

    Shape:
        outputs, labels, weights: (batch,) -> ()
    """
    ahead = torch.where(labels == 1, outputs - margin, outputs + margin)
    return cross_entropy(scale * ahead, labels, weights)


class LossKnobs(Knobs):
    """Options of a loss.

    Attributes:
        head: last layer that the network needs for it.
    """

    name: str
    head: ClassVar[Head] = "linear"

    def __call__(self, outputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss. Shape: outputs, labels, weights: (batch,) -> (), the mean over the batch."""
        raise NotImplementedError

    @property
    def raw(self) -> Raw:
        """What the outputs are."""
        return Raw()


class CrossEntropyKnobs(LossKnobs):
    """Cross-entropy: outputs are log-odds."""

    name: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(0.0, ge=0, lt=1, description="share of a label that is spread over both classes")

    def __call__(self, outputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss."""
        return cross_entropy(outputs, labels, weights, smoothing=self.smoothing)


class FocalKnobs(LossKnobs):
    """Focal loss: clips that are right already count less; outputs are shyer than log-odds, until calibrated."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(2.0, ge=0, le=10, description="how much less; 0: cross-entropy")
    alpha: float | None = Field(
        None, gt=0, lt=1, description="weight of bona fide, 1 - alpha of spoof, on top of data.balance; null: neither"
    )

    def __call__(self, outputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss."""
        return focal(outputs, labels, weights, gamma=self.gamma, alpha=self.alpha)


class OneClassKnobs(LossKnobs):
    """One-class softmax: bona fide close to one direction, spoof far from it; outputs are cosines."""

    name: Literal["one_class"] = "one_class"
    head: ClassVar[Head] = "cosine"
    scale: float = Field(20.0, gt=0, le=1000, description="of cosines to log-odds")
    margin_bona_fide: float = Field(0.9, ge=-1, le=1, description="bona fide clips should have a larger cosine")
    margin_spoof: float = Field(0.2, ge=-1, le=1, description="spoofed clips should have a smaller one")

    @model_validator(mode="after")
    def _bona_fide_is_above(self) -> OneClassKnobs:
        if self.margin_bona_fide < self.margin_spoof:
            raise ValueError(
                f"margin_bona_fide={self.margin_bona_fide} is below margin_spoof={self.margin_spoof}, "
                "and a higher score means bona fide"
            )
        return self

    def __call__(self, outputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss."""
        margins = self.margin_bona_fide, self.margin_spoof
        return one_class(outputs, labels, weights, scale=self.scale, margins=margins)

    @property
    def raw(self) -> Raw:
        """Cosines, with the line between the classes in the middle of the margins."""
        middle = (self.margin_bona_fide + self.margin_spoof) / 2
        return Raw(unit="cosine", scale=self.scale, middle=round(middle, 12))  # 0.55, not 0.55 and a rounding error


class AdditiveMarginKnobs(LossKnobs):
    """Additive-margin softmax: each class close to a direction of its own; outputs are differences of two cosines."""

    name: Literal["additive_margin"] = "additive_margin"
    head: ClassVar[Head] = "cosines"
    scale: float = Field(20.0, gt=0, le=1000, description="of cosines to log-odds")
    margin: float = Field(0.9, ge=0, le=2, description="by which the cosine of the right class should be ahead")

    def __call__(self, outputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss."""
        return additive_margin(outputs, labels, weights, scale=self.scale, margin=self.margin)

    @property
    def raw(self) -> Raw:
        """Differences of cosines, with the line at 0."""
        return Raw(unit="cosine", scale=self.scale)


LOSSES: Mapping[str, type[LossKnobs]] = {
    "cross_entropy": CrossEntropyKnobs,
    "focal": FocalKnobs,
    "one_class": OneClassKnobs,
    "additive_margin": AdditiveMarginKnobs,
}
