"""What an evaluation scores, by what, and where that is stored; and the share of another rank in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from dfad.checkpoint import Checkpoint
from dfad.clips import Manifest
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.knobs import Knobs, Named
from dfad.robustness.conditions import Condition
from dfad.robustness.options import RobustnessKnobs
from dfad.scores import ScoreTable
from dfad.training.config import DeviceKnobs, EvalConfig
from dfad.training.meeting import require_shared
from dfad.training.ranks import Rank
from dfad.training.runs import Run, environment
from dfad.training.scoring import SILENT, Scoring, Screen, usable_clips
from dfad.training.suite import checked, chosen_rows, scored
from dfad.training.together import together
from dfad.training.trainer import accelerator_of


class Data(Knobs):
    """A corpus by its name, to be read with its options."""

    data: Annotated[CorpusKnobs, Named(CORPORA)]


@dataclass(frozen=True)
class Task:
    """What is scored, by what, and where that is stored."""

    config: EvalConfig
    checkpoint: Checkpoint
    data: CorpusKnobs
    manifest: Manifest
    chosen: str
    place: Run
    threshold: float
    screen: Screen

    def usable(self, screen: Screen = SILENT) -> Manifest:
        """The clips that can be used."""
        return usable_clips(self.manifest, self.data, self.place, screen)

    def score(self) -> ScoreTable:
        """Score the clips on all devices, and store the scores."""
        devices, chosen, screen = self.config.trainer, self.chosen, self.screen
        self.place.write_json("environment.json", environment(0, accelerator_of(devices)))
        screen.say(f"{len(self.manifest)} clips of {'the whole corpus' if chosen == 'all' else f'split {chosen}'}")
        usable = self.usable(screen)
        with together(devices, "evaluate", self._details()) as rank:
            table = self._scoring(usable, np.arange(len(usable)), rank)()
        table.write(self.place.folder / "scores.csv")
        return table

    def score_under(self, conditions: Sequence[Condition], store: Callable[[Condition, ScoreTable], None]) -> None:
        """Score the clips under each condition on all devices, and give each table away at once."""
        knobs, usable = self.config.robustness, self.usable()
        with together(self.config.trainer, "evaluate", self._details(conditions)) as rank:
            scoring = self._scoring(usable, chosen_rows(usable, knobs.clips), rank)
            for condition, table in scored(scoring, knobs, conditions, self.threshold, self.screen.watch):
                store(condition, table)

    def check_gradients(self) -> list[dict[str, Any]]:
        """Check whether the detector's gradients are masked."""
        self.screen.say("checking whether gradients are masked")
        name = accelerator_of(self.config.trainer)
        device = {"gpu": "cuda"}.get(name, name)
        return checked(self.checkpoint, self.usable(), self.data, self.config.robustness, self.threshold, device)

    def _scoring(self, usable: Manifest, rows: np.ndarray, rank: Rank) -> Scoring:
        return Scoring(self.checkpoint, usable, rows, self.data, self.config.trainer, self.place.folder, rank)

    def _details(self, conditions: Sequence[Condition] = ()) -> dict[str, Any]:
        """What the other ranks are told."""
        return {
            "checkpoint": str(self.checkpoint.path),
            "data": self.data.plain(),
            "devices": self.config.trainer.plain(),
            "chosen": self.chosen,
            "folder": str(self.place.folder),
            "robustness": self.config.robustness.plain(),
            "threshold": self.threshold,
            "conditions": [asdict(condition) for condition in conditions],
        }


def follow(
    rank: Rank,
    *,
    checkpoint: str,
    data: dict[str, Any],
    devices: dict[str, Any],
    chosen: str,
    folder: str,
    robustness: dict[str, Any],
    threshold: float,
    conditions: list[dict[str, Any]],
) -> None:
    """Do the share of another rank: score its batches of the clips that the first has chosen."""
    knobs, path = Data.read({"data": data}).data, Path(checkpoint)
    require_shared(Path(folder))
    skipped = Run(Path(folder)).read_json("manifest.json")["skipped"]
    usable = chosen_clips(knobs.manifest(), chosen).without(skipped)
    suite = RobustnessKnobs.read(robustness)
    rows = chosen_rows(usable, suite.clips if conditions else None)
    about = (Checkpoint.read(path), usable, rows, knobs, DeviceKnobs.read(devices), path.parent)
    scoring = Scoring(*about, rank.ready())
    if conditions:
        under = [Condition(**condition) for condition in conditions]
        for _ in scored(scoring, suite, under, threshold, SILENT.watch):
            pass
    else:
        scoring()


def chosen_clips(manifest: Manifest, chosen: str) -> Manifest:
    """The clips of a split, or `all`; a corpus that was dealt at random just now has no splits to speak of."""
    if chosen != "all":
        return manifest.only(manifest.rows(chosen))
    return manifest.dealt(None)
