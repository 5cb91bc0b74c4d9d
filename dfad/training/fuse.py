"""From finished runs to one: a run folder whose detector is the weighted sum of theirs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from dfad.augment import AugmentKnobs
from dfad.checkpoint import Checkpoint, DetectorKnobs, best_checkpoint
from dfad.deployed import Deployed
from dfad.errors import ConfigError, MetricError, RunError
from dfad.fusing import Line, logistic, mean_of
from dfad.losses import CrossEntropyKnobs
from dfad.networks.fusion import FusionKnobs, Member
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from dfad.training.judging import SPLITS, stored_tables
from dfad.training.made import FILE, make
from dfad.training.runs import Run
from dfad.training.scoring import Screen

By = Literal["mean", "logistic"]


@dataclass(frozen=True)
class _One:
    """A finished run that is to be fused."""

    run: Run
    config: TrainConfig
    checkpoint: Checkpoint
    tables: dict[str, ScoreTable]
    digest: str

    @classmethod
    def read(cls, folder: Path) -> _One:
        """Read what is needed of a run.

        Raises:
            DfadError: if it is not finished, or damaged.
        """
        run = Run(folder)
        checkpoint = Checkpoint.read(best_checkpoint(folder))
        if run.imported:
            raise RunError(f"{folder} was imported and has no validation scores; fuse runs that were trained here")
        if not run.finished or not (folder / "scores" / "val.csv").is_file():
            raise RunError(
                f"{folder} has no results of validation yet; type the command that trains it again, and it goes on"
            )
        if isinstance(checkpoint.knobs.model, FusionKnobs):
            raise RunError(f"{folder} is a fusion itself; give the runs that it was made of, which its made.json names")
        manifest = run.read_json("manifest.json") or {}
        return cls(run, run.read_config(), checkpoint, stored_tables(run), str(manifest.get("digest")))


def fuse(folders: Sequence[Path], by: By, out: Path | None, screen: Screen) -> tuple[Run, bool]:
    """Fuse finished runs of the same clips.

    Args:
        folders: of the runs.
        by: `mean` of calibrated scores, or `logistic`: weights that validation chose.
        out: the new run's folder; None: beside the first, named by what it is made of.
        screen: where it is told how it goes.

    Returns:
        The run, and whether it was there before.

    Raises:
        DfadError: for anything that a user can put right.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("a fusion takes two runs or more, each of them once: dfad fuse runs/a runs/b")
    ones = [_One.read(folder) for folder in folders]
    for other in ones[1:]:
        _require_same_clips(ones[0], other)
    weights, offset = _weights(ones, by)
    members = tuple(
        Member(frontend=one.checkpoint.knobs.frontend, model=one.checkpoint.knobs.model,
               head=one.checkpoint.knobs.head, weight=weight)
        for one, weight in zip(ones, weights, strict=True)
    )  # fmt: skip
    model = FusionKnobs(members=members, offset=offset)
    config = _config(ones, model)
    attacks = sorted({attack for one in ones for attack in one.checkpoint.knobs.attacks})
    how = {
        "by": by,
        "offset": offset,
        "members": [
            {"run": str(one.run.folder), "checkpoint": _sha256(one.run.best), "weight": weight}
            for one, weight in zip(ones, weights, strict=True)
        ],
    }
    hash8 = hashlib.sha256(_content(how).encode()).hexdigest()[:8]
    run = Run(out or config.runs / f"fusion-raw-{config.data.name}-{hash8}")
    with run.working("fuse.log"):
        if run.finished:
            if _content(run.read_json(FILE) or {}) != _content(how):
                raise RunError(f"{run.folder} holds another run; choose another folder, --out DIR")
            return run, True
        run.write_json("manifest.json", ones[0].run.read_json("manifest.json"))
        knobs = DetectorKnobs(frontend=config.frontend, model=model, attacks=tuple(attacks))
        tables = {split: _fused([one.tables[split] for one in ones], (weights, offset)) for split in SPLITS}
        make(run, config, knobs, _state(ones), how, screen=screen, tables=tables, notes=_notes(ones))
    return run, False


def _require_same_clips(one: _One, other: _One) -> None:
    """Refuse runs of other clips: a fusion of them could not tell which clips it has heard.

    Raises:
        RunError: saying how to get runs that can be fused.
    """
    ids = [{split: sorted(each.tables[split].frame["id"]) for split in SPLITS} for each in (one, other)]
    if one.digest != other.digest or ids[0] != ids[1]:
        theirs = [f"{each.run.folder}: data={each.config.data.name}" for each in (one, other)]
        raise RunError(
            "these runs were validated or tested on different clips, so their scores cannot be fused:\n"
            + "\n".join(f"  {line}" for line in theirs)
            + "\ntrain them on the same corpus, or on several together: python train.py data=mix data.parts='[…]'"
        )


def _weights(ones: Sequence[_One], by: By) -> Line:
    if by == "logistic":
        return logistic(_beside([one.tables["val"] for one in ones]), _first(ones).labels)
    calibrators = []
    for one in ones:
        deployed = Deployed.of_run(one.run.folder) or Deployed()
        calibrators.append(deployed.calibrator)
        try:
            mean_of(calibrators[-1:])
        except MetricError as error:
            why = next((note for note in deployed.notes if "calibrator could be" in note), None)
            what = (
                f"{why}; leave it out"
                if why
                else f"{error}; type the command that trained it with eval.calibrator=logistic, which judges it anew"
            )
            raise RunError(f"{one.run.folder}: {what}, or fuse by --by logistic") from None
    return mean_of(calibrators)


def _first(ones: Sequence[_One]) -> ScoreTable:
    return ones[0].tables["val"]


def _beside(tables: Sequence[ScoreTable]) -> np.ndarray:
    """Scores of the same clips. Shape: (clips, tables), in the order of the first."""
    ids = tables[0].frame["id"]
    return np.stack([table.frame.set_index("id")["score"].reindex(ids).to_numpy(np.float64) for table in tables], -1)


def _fused(tables: Sequence[ScoreTable], line: Line) -> ScoreTable:
    scores = _beside(tables) @ np.array(line[0]) + line[1]
    return ScoreTable(tables[0].frame.assign(score=scores.astype(np.float32)))


def _state(ones: Sequence[_One]) -> dict[str, Tensor]:
    """The members' weights under the names that the fusion's network gives them."""
    return {
        f"networks.{number}.{name}": tensor
        for number, one in enumerate(ones)
        for name, tensor in one.checkpoint.weights.items()
    }


def _config(ones: Sequence[_One], model: FusionKnobs) -> TrainConfig:
    """The first run's options, with all that any of them was augmented by."""
    first = ones[0].config
    augment = AugmentKnobs().plain() | {"name": first.augment.name, "crop": first.augment.crop}
    for one in ones:
        given = one.config.augment.plain()
        augment |= {name: value for name, value in given.items() if value is not None and augment.get(name) is None}
    augment["specaugment"] = None  # of a member's own features
    home = ones[0].run.folder.parent
    return first.model_copy(
        update={
            "frontend": model.hears,
            "model": model,
            "augment": AugmentKnobs.read(augment),
            "loss": CrossEntropyKnobs(),  # whatever its members give, what it gives is log-odds
            "runs": home,
        }
    )


def _notes(ones: Sequence[_One]) -> tuple[str, ...]:
    """What is to be known of the fused scores."""
    notes = [*ones[0].config.data.manifest().notes]
    if len({one.checkpoint.knobs.frontend.sample_rate for one in ones}) > 1:
        notes.append(
            "the runs work at different sample rates: these are the sums of their own scores; in the fusion one "
            "waveform is resampled for each, and python eval.py run=… shows what that changes"
        )
    return tuple(notes)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content(how: Mapping[str, Any]) -> str:
    """How a run came to be, wherever its members lie."""
    members = [{key: value for key, value in member.items() if key != "run"} for member in how.get("members", [])]
    return json.dumps({**how, "members": members}, sort_keys=True)
