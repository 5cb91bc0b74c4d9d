"""Pictures of a search: its course, what matters in it, and how trials stood by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfad.report.style import INK, MUTED, SERIES, figure, legend_above, panel, safe, say
from dfad.report.tried import COMPLETE, METRIC, PRUNED, Tried, ranked

_ACROSS = 3  # panels beside each other
_COLOURS = {COMPLETE: SERIES[0], PRUNED: MUTED}


def history(trials: Sequence[Tried]) -> Figure:
    """The value of each trial, and the best so far."""
    fig = figure(2.8)
    axes = panel(fig.add_subplot(), x="trial", y=METRIC)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    done = sorted(((trial.number, trial) for trial in trials if trial.value is not None), key=lambda pair: pair[0])
    for state, marker, colour in ((COMPLETE, "o", SERIES[0]), (PRUNED, "x", MUTED)):
        points = [(number, trial.value) for number, trial in done if trial.state == state]
        if points:
            axes.plot(*zip(*points, strict=True), marker, color=colour, label=state, markersize=5)
    complete = [(number, float(trial.value or 0)) for number, trial in done if trial.state == COMPLETE]
    if not complete:
        say(axes, "no trial is complete")
        return fig
    numbers, values = zip(*complete, strict=True)
    axes.step(numbers, np.minimum.accumulate(values), where="post", color=SERIES[1], label="best so far")
    for _, trial in done:
        if trial.default and trial.state == COMPLETE:
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
        if trial.steps and trial.state in _COLOURS:
            numbers = [step + 1 for step in sorted(trial.steps)]
            label = None if trial.state in seen else trial.state
            seen.add(trial.state)
            values = [trial.steps[step] for step in sorted(trial.steps)]
            axes.plot(numbers, values, color=_COLOURS[trial.state], linewidth=1, alpha=0.7, label=label)
    if seen:
        legend_above(fig, axes)
    else:
        say(axes, "no trial has ended")
    return fig
