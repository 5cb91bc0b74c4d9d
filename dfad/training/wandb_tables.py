"""Tables of a run's results for Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import wandb

from dfad.metrics import DECISION_KEYS
from dfad.stored import as_trained
from dfad.training.mirror import HeardClip

COLUMNS: list[Any] = ["id", "label", "attack", "score", "P(spoof)", "error", "audio", "features"]


def clip_table(clips: Sequence[HeardClip]) -> Any:
    """The worst clips, to see and hear."""
    rows: list[Any] = [
        [
            *(clip.id, clip.label, clip.attack, clip.score, clip.p_spoof, clip.error),
            wandb.Audio(clip.wave, sample_rate=clip.sample_rate),
            wandb.Image(str(clip.picture)),
        ]
        for clip in clips
    ]
    return wandb.Table(columns=COLUMNS, data=rows)


def breakdown_table(parts: Sequence[Mapping[str, Any]]) -> Any:
    """Slices of one column, the worst first."""
    names: list[Any] = ["value", "n_bona_fide", "n_spoof", "eer", "miss", "false_alarm"]
    rows: list[Any] = [[*(part[name] for name in names), *part["interval"]] for part in parts]
    return wandb.Table(columns=[*names, "eer low", "eer high"], data=rows)


def threshold_table(results: Mapping[str, Any]) -> Any:
    """The decisions on test at each threshold."""
    values = results["values"]
    at = {"": as_trained(results), "_at_val": results["threshold"], "_at_oracle": values.get("test/eer_threshold")}
    names: list[Any] = list(DECISION_KEYS)
    rows: list[Any] = [
        [
            suffix.removeprefix("_at_") or "as trained",
            threshold,
            *(values.get(f"test/{name}{suffix}") for name in names),
        ]
        for suffix, threshold in at.items()
        if threshold is not None
    ]
    return wandb.Table(columns=["chosen by", "threshold", *names], data=rows)
