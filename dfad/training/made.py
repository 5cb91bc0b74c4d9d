"""Run folders that were made, not trained: of detectors that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dfad.checkpoint import DetectorKnobs
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from dfad.training.judging import judge, write_tables
from dfad.training.runs import Run, environment
from dfad.training.scoring import Screen
from dfad.training.trainer import accelerator_of

FILE = "made.json"  # how a run came to be that was not trained


def make(
    run: Run,
    config: TrainConfig,
    knobs: DetectorKnobs,
    weights: Mapping[str, Tensor],
    how: Mapping[str, Any],
    *,
    screen: Screen,
    tables: Mapping[str, ScoreTable] | None = None,
    notes: tuple[str, ...] = (),
) -> None:
    """Write a run folder: configuration, checkpoint, how it came to be, and what scores there are.

    Args:
        run: its folder, empty or half written.
        config: stands for the training: the corpus, and how it is judged.
        knobs: what the checkpoint says of itself.
        weights: of the network.
        how: for `made.json`: plain data.
        screen: where it is told how it goes.
        tables: scores of `val` and `test`, by which threshold, calibrator and results are made; None: there are none.
        notes: for the results.
    """
    run.write_config(config.plain())
    run.write_json(FILE, how)
    run.write_json("environment.json", environment(config.seed, accelerator_of(config.trainer)))
    run.write_checkpoint(knobs.plain(), weights)
    if tables:
        write_tables(run, tables)
        judge(run, tables, config, attacks=knobs.attacks, notes=notes, screen=screen)
