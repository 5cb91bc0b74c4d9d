"""What a search found: its trials as a table, pictures and a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from dfad.report.page import Headline, Page, Section, render
from dfad.report.search_figures import bars, epochs, history, slices
from dfad.report.style import png
from dfad.report.tried import COMPLETE, FAILED, METRIC, PRUNED, Tried, option_cell, ranked, value_cell


def table(trials: Sequence[Tried]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: trial, value, options, run folders."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.options))
    header = ["trial", METRIC, *keys]
    rows = [
        [
            f"{trial.number}{' (as it stood)' if trial.default else ''}",
            value_cell(trial) or trial.state,
            *(option_cell(trial.options.get(key, "")) for key in keys),
        ]
        for trial in trials
    ]
    return header, rows


def write(folder: Path, name: str, trials: Sequence[Tried], importances: dict[str, float], command: str) -> Path:
    """Store what a study found: `trials.csv`, pictures and a page.

    Args:
        folder: of the study.
        name: of the study.
        trials: all of them.
        importances: share of the spread by option.
        command: that trains the best again.

    Returns:
        The page.
    """
    pictures = {"history": png(history(trials)), "options": png(slices(trials)), "importances": png(bars(importances))}
    if any(trial.steps for trial in trials):
        pictures["epochs"] = png(epochs(trials))
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in {**{f"{key}.png": data for key, data in pictures.items()}, "trials.csv": _csv(trials)}.items():
        _replace(folder / file, content)
    page = folder / "report.html"
    _replace(page, render(_page(name, trials, pictures, command)).encode())
    return page


def _page(name: str, trials: Sequence[Tried], pictures: Mapping[str, bytes], command: str) -> Page:
    best = ranked(trials)
    counts = {state: sum(trial.state == state for trial in trials) for state in (COMPLETE, PRUNED, FAILED)}
    top = best[0] if best else None
    stood = next((trial for trial in best if trial.default), None)
    heads = [Headline(f"best {METRIC}", value_cell(top), f"trial {top.number}")] if top else []
    if stood:
        heads.append(Headline("as it stood", value_cell(stood), "the configuration without the search"))
    heads.append(Headline("trials", str(len(trials)), ", ".join(f"{count} {state}" for state, count in counts.items())))
    failed = [f"trial {trial.number} failed: {trial.error}" for trial in trials if trial.error]
    spread = " ± is the standard deviation over seeds." if any(len(trial.values) > 1 for trial in trials) else ""
    shown = [
        Section(
            "History",
            "Blue: complete trials. Grey: ended early.",
            figures=[("history", pictures["history"], "value by trial")],
        ),
        Section(
            "What matters",
            "Whether it does is told by complete trials only, and roughly: of few trials chance explains much.",
            figures=[
                ("importances", pictures["importances"], "importance of each option"),
                ("options", pictures["options"], "value over each option; the best trial in orange"),
            ],
        ),
    ]
    if "epochs" in pictures:
        shown.append(Section("Epochs", figures=[("epochs", pictures["epochs"], "value by epoch")]))
    shown += [
        Section("The best again", "It finds the finished run, or trains it.", text=command),
        Section("Trials", f"Complete ones, the best first.{spread}", table=table(best)),
    ]
    lead = (
        f"{METRIC} in bits, lower is better. Validation clips chose among the trials, and flatter the best; "
        "test clips were not asked."
    )
    return Page(f"Study {name}", heads, failed, shown, lead=lead)


def _csv(trials: Sequence[Tried]) -> bytes:
    keys = list(dict.fromkeys(key for trial in trials for key in trial.options))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", METRIC, *keys, "seeds", "runs", "error"])
    for trial in trials:
        options = [trial.options.get(key, "") for key in keys]
        value = "" if trial.value is None else trial.value
        writer.writerow(
            [trial.number, trial.state, value, *options, len(trial.values), " ".join(trial.runs), trial.error or ""]
        )
    return text.getvalue().encode()


def _replace(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, as several workers end at once."""
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    part.write_bytes(content)
    part.replace(path)
