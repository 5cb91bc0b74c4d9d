"""A picture of one feature: what each class has of it, split by split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dfad.metrics import CLASSES
from dfad.report.style import BONA_FIDE, INK, MUTED, SPOOF, Floats, figure, legend_above, limits, panel, safe

_BINS, _TICKS = 40, (0, 0.01, 0.05, 0.2, 0.5, 1)
_LOOKS = ((SPOOF, "////"), (BONA_FIDE, ""))  # by label


@dataclass(frozen=True)
class Panel:
    """One split.

    Attributes:
        title: its name, and what was found there.
        values: of each label: of spoof, of bona fide; NaN is left out.
    """

    title: str
    values: tuple[Floats, Floats]


def distributions(panels: Sequence[Panel], unit: str) -> Figure:
    """Histograms of both classes, a panel per split on one axis; far values are counted in the outermost bins.

    Args:
        panels: one or more.
        unit: of the values, with the title of the feature, for the axis.
    """
    known = [[side[~np.isnan(side)] for side in each.values] for each in panels]
    edges = _edges(np.concatenate([side for sides in known for side in sides]))
    fig = figure(1.0 + 1.3 * len(panels))
    grid = fig.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    top = 0.01
    for axes, each, sides in zip(grid, panels, known, strict=True):
        panel(axes, y="share")
        axes.set_title(safe(each.title, 90), loc="left", fontsize=10, color=INK)
        for (colour, hatch), name, side in zip(_LOOKS, CLASSES, sides, strict=True):
            heights = np.histogram(np.clip(side, edges[0], edges[-1]), edges)[0] / max(1, len(side))
            axes.stairs(heights, edges, fill=True, facecolor=colour, alpha=0.35, hatch=hatch, edgecolor="white")
            axes.stairs(heights, edges, color=colour, linewidth=1.4, label=name)
            top = max(top, 1.1 * float(heights.max()))
    for axes in grid:
        axes.set_yscale("function", functions=(np.sqrt, np.square))  # so that what few clips have is seen
        axes.set_ylim(0, top)
        axes.set_yticks([tick for tick in _TICKS if tick <= top and not 0 < tick < top / 40])
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    grid[0].set_xlim(edges[0], edges[-1])
    grid[-1].set_xlabel(safe(unit, 90), fontsize=10, color=INK)
    legend_above(fig, grid[0])
    return fig


def shares(panels: Sequence[Panel]) -> Figure:
    """How many clips of each class have a word, a pair of bars per split.

    Args:
        panels: one or more, with values of 0 and 1.
    """
    fig = figure(1.1 + 0.8 * len(panels))
    axes = panel(fig.subplots(), x="share of the class")
    for place, each in enumerate(panels):
        axes.text(0.005, place - 0.36, safe(each.title, 90), fontsize=10, color=INK, va="center")
        for label, down in ((1, 0.0), (0, 0.28)):
            _bar(axes, place + down, label, each.values[label], first=place == 0)
    axes.set(xlim=(0, 1.12), ylim=(len(panels) - 0.5, -0.6), yticks=[])
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    legend_above(fig, axes)
    return fig


def _bar(axes: Axes, place: float, label: int, values: Floats, *, first: bool) -> None:
    colour, hatch = _LOOKS[label]
    share = float(np.nanmean(values)) if len(values) else 0.0
    name = CLASSES[label] if first else None
    axes.barh(place, share, 0.24, label=name, facecolor=colour, alpha=0.6, hatch=hatch, edgecolor="white")
    axes.text(share + 0.01, place, f"{share:.1%}", fontsize=9, color=MUTED, va="center")


def _edges(values: Floats) -> Floats:
    """Edges over the bulk of the values; of few different ones, each has a bin of its own."""
    low, high = np.quantile(values, [0.005, 0.995]) if len(values) else (0.0, 0.0)
    return np.linspace(*limits([low, high], margin=0.01), _BINS + 1)
