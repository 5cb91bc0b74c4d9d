"""What every network has: how it likes to be trained, how it is built, what it begins with, and what of it stays."""

from __future__ import annotations

from typing import Self

from pydantic import Field
from torch import nn

from dfad.download import Progress
from dfad.frontends import FrontendKnobs
from dfad.knobs import Knobs
from dfad.networks.heads import Head


class NetworkKnobs(Knobs):
    """Options that every network has; a network's own stand beside it."""

    name: str
    lr: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay; not on biases and norms")

    def require(self, frontend: FrontendKnobs) -> None:
        """Refuse a frontend whose features the network cannot take.

        Raises:
            ConfigError: saying which it needs.
        """

    def ready(self, progress: Progress | None = None) -> Self:
        """The options with what of them stands in files, so that `build` needs none; a new detector begins here.

        Args:
            progress: told of the bytes of a download.

        Raises:
            DfadError: if the files are not there, or say something else.
        """
        return self

    def build(self, frontend: FrontendKnobs, head: Head = "linear") -> nn.Module:
        """Make the network for the features of a frontend: features → (batch,) logits of bona fide.

        Its weights are random: a checkpoint's are put into it, or `start` puts pretrained ones. It reads no file.

        Args:
            frontend: that makes the features.
            head: of `make_head`, the last layer that the loss needs; other than `linear` it gives cosines, not logits.

        Raises:
            ConfigError: if it cannot work on them.
        """
        raise NotImplementedError

    @property
    def least_epochs(self) -> int:
        """How many epochs it takes until everything is trained that ever shall be."""
        return 1

    def start(self, network: nn.Module, progress: Progress | None = None) -> None:
        """Put pretrained weights into a network that was just built; by default it stays as it is.

        Args:
            network: that `build` made.
            progress: told of the bytes of a download.

        Raises:
            DfadError: if they are not there, or do not fit.
        """

    def split(self, network: nn.Module) -> tuple[nn.Module, nn.Module] | None:
        """Cut a network of these options where its training begins: network(features) == rest(frozen(features)).

        Returns:
            The part before anything that is ever trained, which is always in eval mode, so that its outputs may be
            kept; and the rest. Both are made of the network's own modules. None if there is no such part.
        """
        return None
