"""What a search found: its trials as a table, pictures and a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfad.report.page import Headline, Page, Section, render
from dfad.report.style import INK, MUTED, SERIES, figure, legend_above, panel, png, safe, say

METRIC = "val/cllr"
_COMPLETE, _PRUNED = "complete", "pruned"
_ACROSS = 3  # panels beside each other
_STEP_COLOURS = {_COMPLETE: SERIES[0], _PRUNED: MUTED}


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
    complete = [trial for trial in trials if trial.state == _COMPLETE and trial.value is not None]
    return sorted(complete, key=lambda trial: (trial.value, trial.number))


def value_cell(trial: Tried) -> str:
    """The value, with its spread over seeds."""
    if trial.value is None:
        return ""
    spread = f" ± {np.std(trial.values, ddof=1):.4f}" if len(trial.values) > 1 else ""
    return f"{trial.value:.4f}{spread}"


def option_cell(value: Any) -> str:
    """An option as it fits a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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


def history(trials: Sequence[Tried]) -> Figure:
    """The value of each trial, and the best so far."""
    fig = figure(2.8)
    axes = panel(fig.add_subplot(), x="trial", y=METRIC)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    done = sorted(((trial.number, trial) for trial in trials if trial.value is not None), key=lambda pair: pair[0])
    for state, marker, colour in ((_COMPLETE, "o", SERIES[0]), (_PRUNED, "x", MUTED)):
        points = [(number, trial.value) for number, trial in done if trial.state == state]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=colour, label=state, markersize=5)
    complete = [(number, float(trial.value or 0)) for number, trial in done if trial.state == _COMPLETE]
    if not complete:
        say(axes, "no trial is complete")
        return fig
    numbers, values = zip(*complete, strict=True)
    axes.step(numbers, np.minimum.accumulate(values), where="post", color=SERIES[1], label="best so far")
    for _, trial in done:
        if trial.default and trial.state == _COMPLETE:
            axes.axhline(float(trial.value or 0), color=INK, linestyle=":", linewidth=1, label="as it stood")
    legend_above(fig, axes, columns=4)
    return fig


def bars(importances: dict[str, float]) -> Figure:
    """The share of the spread over trials that each option explains."""
    fig = figure(1.2 + 0.3 * max(1, len(importances)))
    axes = panel(fig.add_subplot(), x="share of the spread over trials, by fANOVA")
    axes.set_xlim(0, 1)
    if importances:
        names, shares = zip(*reversed(importances.items()), strict=True)
        axes.barh([safe(name) for name in names], shares, color=SERIES[0])
        axes.grid(visible=False, axis="y")
    else:
        axes.set_yticks([])
        say(axes, "too few complete trials, or all alike")
    return fig


def slices(trials: Sequence[Tried]) -> Figure:
    """The value of complete trials over each option."""
    best = ranked(trials)
    keys = list(dict.fromkeys(key for trial in best for key in trial.options))
    rows = max(1, -(-len(keys) // _ACROSS))
    fig = figure(2.3 * rows)
    if not keys:
        say(panel(fig.add_subplot()), "no trial is complete")
    for at, key in enumerate(keys, 1):
        axes = panel(
            fig.add_subplot(rows, min(_ACROSS, len(keys)), at), x=safe(key, 24), y=METRIC if at % _ACROSS == 1 else ""
        )
        _slice(axes, [(trial.options[key], float(trial.value or 0)) for trial in best if key in trial.options])
    return fig


def _slice(axes: Axes, points: Sequence[tuple[Any, float]]) -> None:
    options, values = [option for option, _ in points], [value for _, value in points]
    if any(isinstance(option, str) for option in options):
        names = sorted(set(map(str, options)))
        places = [names.index(str(option)) for option in options]
        axes.set_xticks(range(len(names)), [safe(name, 14) for name in names], rotation=30, ha="right")
        axes.set_xlim(-0.5, len(names) - 0.5)
    else:
        places = options
        if min(options) > 0 and max(options) / min(options) > 10:
            axes.set_xscale("log")
    axes.plot(places, values, "o", color=SERIES[0], markersize=4, alpha=0.7)
    axes.plot(places[:1], values[:1], "o", color=SERIES[1], markersize=6)  # the best comes first


def epochs(trials: Sequence[Tried]) -> Figure:
    """How each trial stood after each epoch; pruned ones end."""
    fig = figure(2.8)
    axes = panel(fig.add_subplot(), x="epoch, of all seeds", y=f"best {METRIC} so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    seen: set[str] = set()
    for trial in trials:
        if trial.steps and trial.state in _STEP_COLOURS:
            numbers = [step + 1 for step in sorted(trial.steps)]
            label = None if trial.state in seen else trial.state
            seen.add(trial.state)
            values = [trial.steps[step] for step in sorted(trial.steps)]
            axes.plot(numbers, values, color=_STEP_COLOURS[trial.state], linewidth=1, alpha=0.7, label=label)
    if seen:
        legend_above(fig, axes)
    else:
        say(axes, "no trial has ended")
    return fig


def _page(name: str, trials: Sequence[Tried], pictures: Mapping[str, bytes], command: str) -> Page:
    best = ranked(trials)
    counts = {state: sum(trial.state == state for trial in trials) for state in (_COMPLETE, _PRUNED, "failed")}
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
    part = path.with_name(f"{path.name}.{id(content)}.part")
    part.write_bytes(content)
    part.replace(path)
