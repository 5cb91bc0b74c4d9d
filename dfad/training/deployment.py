"""By what an evaluation decides: what the run's own validation chose, or that of the corpus for an imported network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dfad.checkpoint import Checkpoint
from dfad.clips import Manifest
from dfad.deployed import Deployed
from dfad.evaluation import EvaluationKnobs, deploy
from dfad.labels import Label
from dfad.scores import ScoreTable
from dfad.training.runs import Run
from dfad.training.task import Task, chosen_clips

VALIDATION = "validation"  # folder of an evaluation that holds the scores of the corpus' validation clips


@dataclass(frozen=True)
class Chosen:
    """What decides.

    Attributes:
        choice: threshold and calibrator.
        validation: file of the scores that chose them; None if nothing did.
        notes: that results should say of it.
    """

    choice: Deployed
    validation: Path | None = None
    notes: tuple[str, ...] = ()


def chosen_by_run(run: Run, checkpoint: Checkpoint, options: EvaluationKnobs) -> Chosen:
    """What the validation of a finished run chose for its best checkpoint; of any other checkpoint nothing."""
    if not run.finished or checkpoint.path != run.best:
        return Chosen(deploy(None, options, checkpoint.knobs.raw))
    path = run.folder / "scores" / "val.csv"
    return Chosen(deploy(ScoreTable.read(path), options, checkpoint.knobs.raw), path)


def validates(whole: Manifest, split: str) -> bool:
    """Whether a corpus has validation clips of both classes beside the clips that are scored."""
    return split == "test" and len(set(whole.labels[whole.rows("val")].tolist())) == len(Label)


def chosen_by_corpus(task: Task, whole: Manifest, options: EvaluationKnobs, say: Callable[[str], None]) -> Chosen:
    """What the validation clips of the corpus choose for an imported network, scored once and stored beside the rest.

    Args:
        task: of the test clips.
        whole: all clips of the corpus.
        options: of the evaluation.
        say: told in a line.
    """
    if not validates(whole, task.chosen):
        choice = deploy(None, options, task.checkpoint.knobs.raw)
        at = "0" if choice.threshold is None else f"{choice.threshold:g}, as given,"
        note = (
            "an imported network has no validation of its own, and this corpus has no validation clips of both "
            f"classes beside those that are scored: it decides at {at} and its scores are raw"
        )
        say(f"[yellow]note[/] {note}")
        return Chosen(choice, notes=(note,))
    clips = chosen_clips(whole, "val")
    beside = replace(task, manifest=clips, chosen="val", place=Run(task.place.folder / VALIDATION))
    path = beside.place.folder / "scores.csv"
    if not path.is_file():
        beside.score()
    table = ScoreTable.read(path)
    note = (
        f"threshold and calibrator were chosen on the {len(table)} validation clips of this corpus, as an imported "
        "network has none of its own"
    )
    say(note)
    return Chosen(deploy(table, options, task.checkpoint.knobs.raw), path, (note,))
