"""From the stored scores of a run to its results: again and again if one likes, as scores do not change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dfad.deployed import FILE, Deployed
from dfad.errors import RunError
from dfad.evaluation import EvaluationKnobs, deploy, evaluate, mixed, results_of
from dfad.scores import ScoreTable
from dfad.scoring.familiar import Familiar
from dfad.training.config import TrainConfig
from dfad.training.runs import Run
from dfad.training.scoring import Screen

SPLITS = ("val", "test")


def judge(
    run: Run,
    tables: Mapping[str, ScoreTable],
    config: TrainConfig,
    *,
    attacks: Iterable[str],
    notes: Sequence[str],
    screen: Screen,
    familiar: Familiar | None = None,
) -> None:
    """Choose threshold and calibrator on validation, and store them and what validation and test scores say.

    The configuration is stored with them, as options of the evaluation may have changed since the run began.

    Args:
        run: to store it in.
        tables: scores of `val` and `test`.
        config: of the run.
        attacks: that training had.
        notes: of the corpus.
        screen: where it tells how it goes.
        familiar: what its training clips sounded like.

    Raises:
        ConfigError: for a column that the scores do not have.
    """
    options = config.eval
    deployed = deploy(tables["val"], options, config.loss.raw).model_copy(update={"familiar": familiar})
    briefly = options.model_copy(update={"resamples": 0, "by": ()})
    found = {  # what validation chose would be flattered by it, so it is not judged at its own threshold
        "val": evaluate(tables["val"], briefly, Deployed(raw=deployed.raw), known_attacks=attacks),
        "test": evaluate(tables["test"], options, deployed, known_attacks=attacks, watch=screen.watch),
    }
    before = deployed_before(run)
    if before and before.model_copy(update={"familiar": familiar}) != deployed:
        screen.say(f"what is deployed changes: {_said(before)} → {_said(deployed)}")
    store_results(run, config.plain(), deployed, results_of(found, options, deployed, [*notes, *mixed(tables["test"])]))


def deployed_before(run: Run) -> Deployed | None:
    """What the run has deployed until now; None if nothing, or if that cannot be read."""
    try:
        return Deployed.of_run(run.folder)
    except RunError:
        return None


def _said(deployed: Deployed) -> str:
    """Threshold, calibrator and prior in a few words."""
    at = "none" if deployed.threshold is None else f"{deployed.threshold:.4g}"
    name = deployed.calibrator.name if deployed.calibrator else "none"
    return f"threshold {at}, calibrator {name}, prior {deployed.prior:g}"


def store_results(run: Run, config: Mapping[str, Any], deployed: Deployed, results: dict[str, Any]) -> None:
    """Store the configuration, the results and what validation chose, so that a kill at any moment mixes no two.

    What was deployed goes first and comes last: while it is missing, `judged_with` holds for no options. A report of
    results before these goes too: a process that ends before it writes another leaves none that is wrong.
    """
    for name in (FILE, "report.html"):
        (run.folder / name).unlink(missing_ok=True)
    run.write_config(config)
    run.write_json("metrics.json", results)
    run.write_json(FILE, deployed.plain())


def judged_with(run: Run, options: EvaluationKnobs, deployed: Deployed | None = None) -> bool:
    """Whether the stored results are of these options, and of what validation chose if that is told."""
    try:
        stored, results = Deployed.of_run(run.folder), run.read_json("metrics.json")
        same = results["options"] == options.plain()
    except (RunError, ValueError, KeyError, TypeError):  # damaged, or of an older format: both are made anew
        return False
    return same and stored is not None and deployed in (None, stored)


def write_tables(run: Run, tables: Mapping[str, ScoreTable]) -> None:
    """Store scores."""
    (run.folder / "scores").mkdir(exist_ok=True)
    for split, table in tables.items():
        table.write(run.folder / "scores" / f"{split}.csv")


def stored_tables(run: Run) -> dict[str, ScoreTable]:
    """Read the scores of a run.

    Raises:
        DataError: if they are missing or damaged.
    """
    return {split: ScoreTable.read(run.folder / "scores" / f"{split}.csv") for split in SPLITS}
