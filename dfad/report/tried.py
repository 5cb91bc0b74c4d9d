"""The trials of a search, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import stdev
from typing import Any

METRIC = "val/cllr"
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
FINISHED = (COMPLETE, PRUNED)


@dataclass(frozen=True)
class Tried:
    """One trial.

    Attributes:
        number: in the study.
        default: whether it is the configuration as it stands.
        state: complete, pruned, failed, running or waiting.
        options: what it varied.
        value: mean over seeds; of a pruned one, how it stood.
        values: by seed.
        runs: folder by seed.
        steps: how it stood by epoch.
        error: why it failed.
    """

    number: int
    default: bool
    state: str
    options: Mapping[str, Any]
    value: float | None
    values: Sequence[float] = ()
    runs: Sequence[str] = ()
    steps: Mapping[int, float] = field(default_factory=dict)
    error: str | None = None


def ranked(trials: Sequence[Tried]) -> list[Tried]:
    """The complete trials, the best first; of equals the older one."""
    complete = [trial for trial in trials if trial.state == COMPLETE and trial.value is not None]
    return sorted(complete, key=lambda trial: (trial.value, trial.number))


def value_cell(trial: Tried) -> str:
    """The value, with its spread over seeds."""
    if trial.value is None:
        return ""
    spread = f" ± {stdev(trial.values):.4f}" if len(trial.values) > 1 else ""
    return f"{trial.value:.4f}{spread}"


def option_cell(value: Any) -> str:
    """An option as it fits a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
