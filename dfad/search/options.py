"""Options of a search."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dfad.knobs import Knobs


class SweepKnobs(Knobs):
    """How a study is searched."""

    study: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$", description="its name: the same command goes on with it")
    n_trials: int = Field(50, ge=1, description="finished trials in total, pruned ones among them, whoever did them")
    storage: str | None = Field(
        None, description="database URL, or path of a journal file; null: a journal in runs/.studies/<study>"
    )
    seeds: int = Field(1, ge=1, description="trainings per trial, with seed, seed + 1, …; their mean counts")
    sampler: Literal["tpe", "random"] = Field("tpe", description="tpe learns from the trials before; random does not")
    pruner: Literal["median", "hyperband", "none"] = Field(
        "median", description="ends trials early: those worse than the median at an epoch, or by rounds of a third"
    )
    spare_trials: int = Field(5, ge=1, description="complete trials before pruner=median ends any")
    spare_epochs: int = Field(3, ge=1, description="epochs that every trial gets")
    default: bool = Field(True, description="begin with the configuration as it stands, and never prune it")
    failures: int = Field(3, ge=1, description="trials that fail one after another before the command gives up")
    heartbeat_s: int = Field(
        30, ge=1, description="with a database: a worker that is silent four times as long is dead"
    )
