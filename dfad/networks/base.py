"""What every network has: how it likes to be trained, and how it is built."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from dfad.frontends import FrontendKnobs
from dfad.knobs import Knobs


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

    def build(self, frontend: FrontendKnobs) -> nn.Module:
        """Make the network for the features of a frontend: features → (batch,) logits of bona fide.

        Raises:
            ConfigError: if it cannot work on them.
        """
        raise NotImplementedError
