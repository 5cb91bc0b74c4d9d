"""Options of the dashboards on which a run can be followed; none of them can change its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from dfad.knobs import Knobs


class LoggerKnobs(Knobs):
    """Options of a dashboard."""

    name: str


class NoLoggerKnobs(LoggerKnobs):
    """No dashboard: the run folder and its report hold everything anyway."""

    name: Literal["none"] = "none"


class TensorboardKnobs(LoggerKnobs):
    """Event files in the run folder."""

    name: Literal["tensorboard"] = "tensorboard"


class WandbKnobs(LoggerKnobs):
    """Weights & Biases."""

    name: Literal["wandb"] = "wandb"
    project: str = Field("dfad", min_length=1, description="project of the run")
    entity: str | None = Field(None, description="user or team; null: the key's own")
    group: str | None = Field(None, description="runs shown together; null: the sweep, if there is one")
    tags: tuple[str, ...] = Field((), description="words to find the run by")
    mode: Literal["auto", "online", "offline"] = Field(
        "auto", description="auto is offline where there is no key or no network; online stops there instead"
    )
    worst: int = Field(24, ge=0, description="test clips in the table of the worst ones")


LOGGERS: Mapping[str, type[LoggerKnobs]] = {
    "none": NoLoggerKnobs,
    "tensorboard": TensorboardKnobs,
    "wandb": WandbKnobs,
}
