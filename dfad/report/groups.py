"""Pictures that compare groups of clips: one metric with its interval by group, and by training and test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
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


def groups(
    rows: Sequence[Group], *, metric: str = "EER", whole: float | None = None, whole_name: str = "all clips"
) -> Figure:
    """One line per group: the metric with its interval, and the clips behind it (a forest plot).

    Args:
        rows: from top to bottom; 30 are drawn, the others counted.
        metric: its name, for the axis.
        whole: the metric on all clips, as a vertical line.
        whole_name: what these are called.
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
    axes.xaxis.set_major_locator(MaxNLocator(4))
    _beside(axes, -1, safe(metric, 10), "bona fide + spoof", MUTED)
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
        axes.axvline(whole, color=MUTED, linestyle="--", linewidth=1.2, zorder=1, label=f"{whole_name}: {whole:.2%}")
        legend_above(fig, axes)
    return fig


def matrix(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    metric: str = "EER",
    text: Sequence[Sequence[str]] | None = None,
    titles: tuple[str, str] = ("tested on", "trained on"),
    height: float = 0.4,
) -> Figure:
    """The metric by training set (rows) and test set (columns); light is low, a grey cell was not measured.

    Args:
        values: not negative; NaN where there is none.
        rows: names of the training sets, or of what `titles` says.
        columns: names of the test sets.
        metric: its name, for the title, and its unit if `text` has none.
        text: of each cell instead of its percent.
        titles: of the columns, and of the rows.
        height: of a row, inches.

    Shape:
        - values: (rows, columns).
    """
    shares = np.asarray(values, dtype=np.float64).reshape(len(rows), len(columns))
    fig = figure(1.9 + height * max(len(rows), 1))
    axes = panel(fig.subplots(), f"{safe(metric)}, light is low", x=titles[0], y=titles[1])
    axes.grid(False)
    if not shares.size:
        axes.set(xticks=[], yticks=[])
        say(axes, "nothing to compare")
        return fig
    top = max(float(np.max(shares, initial=0, where=np.isfinite(shares))), 0.01)
    axes.imshow(np.clip(shares, 0, top), cmap=_COLOURS, vmin=0, vmax=top, aspect="auto")
    words = text or [[_percent(share, len(columns)) for share in line] for line in shares]
    size = _points(words, len(columns))
    for (row, column), share in np.ndenumerate(shares):
        ink = _ink(_COLOURS(share / top)) if isfinite(share) else MUTED
        if not isfinite(share):
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="#F2F2F2", edgecolor=FAINT, hatch="///", linewidth=0))
        axes.text(column, row, safe(words[row][column]), ha="center", va="center", fontsize=size, color=ink)
    axes.set_xticks(range(len(columns)), [safe(name, 24) for name in columns])
    axes.set_yticks(range(len(rows)), [safe(name, 28) for name in rows])
    if max(map(len, columns)) * len(columns) > 50:  # side by side they would run into each other
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
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


def _percent(share: float, columns: int) -> str:
    """Text of a cell; without the sign where there are many."""
    return "–" if not isfinite(share) else f"{share:.1%}" if columns <= 8 else f"{100 * share:.1f}"


def _points(words: Sequence[Sequence[str]], columns: int) -> float:
    """Size at which the longest text fits its cell: some 300 points for all columns, and 0.6 of the size a letter."""
    longest = max(len(word) for line in words for word in line)
    return min(10.0, 300 / (0.6 * columns * (longest + 1)))


def _ink(colour: tuple[float, float, float, float]) -> str:
    """Dark or white, whichever has the greater contrast (relative luminance of WCAG 2)."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = float(np.dot(channels, (0.2126, 0.7152, 0.0722)))
    return "white" if (luminance + 0.05) ** 2 < 1.05 * 0.066 else INK  # 0.066: INK, as (luminance + 0.05)
