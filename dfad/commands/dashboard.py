"""What `train.py` adds so that a run can be followed on a dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dfad.commands.jobs import sweep_name

if TYPE_CHECKING:
    from dfad.training.config import TrainConfig
    from dfad.training.mirror import Board, HeardClip, Mirror
    from dfad.training.runs import Run


def mirror_of(config: TrainConfig, say: Callable[[str], None]) -> Mirror | None:
    """Make the mirror that the configuration asks for, if any.

    Raises:
        ConfigError: if its dashboard cannot be used here.
    """
    from dfad.training.loggers import TensorboardKnobs, WandbKnobs

    board: Board
    if isinstance(config.logger, WandbKnobs):
        from dfad.training.board_wandb import WandbBoard

        board = WandbBoard(config.logger, sweep_name(), say)
    elif isinstance(config.logger, TensorboardKnobs):
        from dfad.training.board_tensorboard import TensorboardBoard

        board = TensorboardBoard()
    else:
        return None
    from dfad.training.mirror import Mirror

    return Mirror(board, say)


def worst_clips(config: TrainConfig, run: Run, most: int) -> list[HeardClip]:
    """The test clips that the detector judged worst, as it heard them; their pictures go into `figures/worst/`."""
    import numpy as np
    import torch

    from dfad.deployed import Deployed
    from dfad.evaluation import worst
    from dfad.labels import CLASS_NAMES, Label
    from dfad.report.inputs import heard
    from dfad.report.style import png
    from dfad.scores import ScoreTable
    from dfad.training.dataset import ClipDataset
    from dfad.training.mirror import HeardClip
    from dfad.training.sampling import Pick

    deployed = Deployed.of_run(run.folder) or Deployed()
    threshold = deployed.decides_at
    table = worst(ScoreTable.read(run.folder / "scores" / "test.csv"), threshold=threshold, most=most)
    manifest = config.data.manifest()
    dataset = ClipDataset(manifest, config.frontend, config.data.limits)
    rows = np.flatnonzero(manifest.frame["id"].isin(table.frame["id"]))
    row_of = {manifest.ids[row]: int(row) for row in rows}
    frontend, rate = config.frontend.build(), config.frontend.sample_rate
    folder = run.folder / "figures" / "worst"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    frame = table.frame
    columns = zip(frame["id"], table.labels, frame["attack"], table.scores, strict=True)
    for number, (id_, label, attack, score) in enumerate(columns, 1):
        batch = dataset.collate([dataset[Pick(row_of[id_], 0, 0.0)]])
        with torch.no_grad():
            features = frontend(batch.wave)[0]
        wave, picture = batch.wave[0].numpy(), folder / f"{number:02}.png"
        picture.write_bytes(png(heard(wave, features.squeeze(0).numpy(), rate)))
        wrong = (score >= threshold) != (label == Label.BONA_FIDE)
        error = ("false alarm", "miss")[label] if wrong else ""
        chance = deployed.p_spoof(float(score))
        found.append(HeardClip(id_, CLASS_NAMES[label], attack, float(score), chance, error, wave, rate, picture))
    return found
