"""Pictures that compare groups of clips: one metric with its interval by group, and by training and test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from dfad.report.style import FAINT, INK, MUTED, SERIES, figure, legend_above, limits, panel, safe, say

MOST = 30  # groups in one picture
_COLOURS = colormaps["YlOrRd"]


@dataclass(frozen=True)
class Group:
    """One metric on some of the clips.

    Attributes:
        name: of the group, such as the attack.
        value: of the metric in [0, 1]; NaN where it is undefined.
        low: lower end of its interval; NaN without one.
        high: upper end.
        bona_fide: clips of that class.
        spoof: clips of that class.
    """

    name: str
    value: float
    low: float
    high: float
    bona_fide: int
    spoof: int


def groups(rows: Sequence[Group], *, metric: str = "EER", whole: float | None = None) -> Figure:
    """One line per group: the metric with its interval, and the clips behind it (a forest plot).

    Args:
        rows: from top to bottom; 30 are drawn, the others counted.
        metric: its name, for the axis.
        whole: the metric on all clips, as a vertical line.
    """
    shown = rows[:MOST]
    fig = figure(1.15 + 0.27 * max(len(shown), 1))
    more = f"\nthe first {MOST} of {len(rows):,} groups" if len(rows) > MOST else ""
    axes = panel(fig.subplots(), x=f"{metric}{more}")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    if not shown:
        axes.set_yticks([])
        say(axes, "no groups")
        return fig
    _beside(axes, -1, "", "bona fide + spoof", MUTED)
    for place, row in enumerate(shown):
        known = isfinite(row.value)
        _beside(axes, place, f"{row.value:.2%}" if known else "n/a", f"{row.bona_fide:,} + {row.spoof:,}", INK)
        if known:
            axes.plot([row.low, row.high], [place, place], color=SERIES[0], linewidth=2.2, solid_capstyle="butt")
            axes.plot(row.value, place, "o", color=SERIES[0], markersize=6, markeredgecolor="white", clip_on=False)
    ends = [end for row in shown for end in (row.low, row.value, row.high)]
    low, high = limits([*ends, *([] if whole is None else [whole])])
    axes.set(xlim=(0 if 0 <= low < high / 2 else low, high), ylim=(len(shown) - 0.5, -0.6))
    axes.set_yticks(range(len(shown)), [safe(row.name, 26) for row in shown])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    if whole is not None and isfinite(whole):
        axes.axvline(whole, color=MUTED, linestyle="--", linewidth=1.2, zorder=1, label=f"all clips: {whole:.2%}")
        legend_above(fig, axes)
    return fig


def matrix(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    metric: str = "EER",
    text: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """The metric by training set (rows) and test set (columns); light is low, a grey cell was not measured.

    Args:
        values: in [0, 1]; NaN where there is none.
        rows: names of the training sets.
        columns: names of the test sets.
        metric: its name, for the colours.
        text: of each cell instead of its percent.

    Shape:
        - values: (rows, columns).
    """
    shares = np.asarray(values, dtype=np.float64).reshape(len(rows), len(columns))
    fig = figure(1.9 + 0.45 * max(len(rows), 1))
    axes = panel(fig.subplots(), x="tested on", y="trained on")
    axes.grid(False)
    if not shares.size:
        axes.set(xticks=[], yticks=[])
        say(axes, "nothing to compare")
        return fig
    top = max(float(np.nanmax(shares, initial=0, where=np.isfinite(shares))), 0.01)
    image = axes.imshow(np.clip(shares, 0, top), cmap=_COLOURS, vmin=0, vmax=top, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        known = isfinite(share)
        words = text[row][column] if text is not None else f"{share:.1%}" if known else "–"
        if not known:
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="#F2F2F2", edgecolor=FAINT, hatch="///", linewidth=0))
        ink = _ink(_COLOURS(share / top)) if known else MUTED
        axes.text(column, row, safe(words, 12), ha="center", va="center", fontsize=_size(len(columns)), color=ink)
    slanted = len(columns) > 4 or max(map(len, columns)) > 12
    turn: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(range(len(columns)), [safe(name, 18) for name in columns])
    for label in axes.get_xticklabels():
        label.set(**turn)
    axes.set_yticks(range(len(rows)), [safe(name, 18) for name in rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = fig.colorbar(image, ax=axes, format=PercentFormatter(xmax=1), fraction=0.04, pad=0.02)
    bar.set_label(safe(metric), fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8, color=MUTED, labelcolor=INK)
    bar.outline.set_visible(False)
    return fig


def _beside(axes: Axes, place: float, value: str, clips: str, ink: str) -> None:
    """The value and the counts of a line, to the right of the panel."""
    for words, right, size, colour in ((value, 44, 9, ink), (clips, 132, 8, MUTED)):
        axes.annotate(
            words,
            (1, place),
            (right, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=size,
            color=colour,
            annotation_clip=False,
        )


def _size(columns: int) -> float:
    """Points of the text of a cell."""
    return min(10.0, max(4.0, 66 / columns))


def _ink(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the greater contrast (relative luminance of WCAG 2)."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = float(np.dot(channels, (0.2126, 0.7152, 0.0722)))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else INK
