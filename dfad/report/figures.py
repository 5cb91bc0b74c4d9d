"""Pictures of a run, from plain arrays: each function returns a Matplotlib figure and touches nothing else.

Degenerate input (one class, an empty history) gives a figure that says so. Features and waveforms of clips are in
`inputs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from dfad.errors import MetricError
from dfad.metrics import CLASSES, DetCurve, auroc, det_curve, eer
from dfad.report.style import (
    BONA_FIDE,
    DASHES,
    INK,
    MUTED,
    SERIES,
    SPOOF,
    figure,
    legend,
    legend_above,
    limits,
    panel,
    safe,
    say,
    thinned,
    without,
)

Floats = NDArray[np.float64]
UNIT = "log-odds of bona fide"
_PHASES = {"train": (MUTED, "--", "s"), "val": (SERIES[0], "-", "o")}
_CURVES = {"loss": "Loss", "accuracy": "Accuracy", "eer": "EER", "cllr": "Cllr (bits)"}
_DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.4)
_DET_TICKS_ABOVE_HALF = (0.6, 0.8, 0.95, 0.99)


def learning_curves(history: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Loss and accuracy by epoch for training and validation; EER and Cllr of validation where recorded.

    Args:
        history: (epochs, values) by metric name: `train/loss`, `val/loss`, `train/accuracy`, `val/accuracy`,
            `val/eer`, `val/cllr`; other names are ignored.

    Shape:
        - epochs, values: (points,) each.
    """
    extra = [name for name in ("eer", "cllr") if f"val/{name}" in history]
    names = ["loss", "accuracy", *extra]
    rows = (len(names) + 1) // 2
    fig = figure(2.4 * rows)
    grid = fig.add_gridspec(rows, 2)
    for index, name in enumerate(names):
        column = slice(None) if len(names) == 3 and index == 2 else index % 2  # a lone panel gets the whole row
        axes = panel(fig.add_subplot(grid[index // 2, column]), _CURVES[name], x="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        if name in ("accuracy", "eer"):
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        for phase in _PHASES:
            _learning_curve(axes, phase, *history.get(f"{phase}/{name}", ((), ())))
        axes.set_xlim(limits(x for line in axes.lines for x in np.asarray(line.get_xdata(), dtype=np.float64)))
        if axes.lines:
            legend(axes)
        else:
            say(axes, "nothing recorded")
    return fig


def confusion(matrix: ArrayLike) -> Figure:
    """Clips by class and decision, with the share of each class.

    Shape:
        - matrix: (2, 2) counts as `dfad.metrics.confusion` gives them: rows truth, columns decision, both in the
          order spoof, bona fide.
    """
    counts = np.asarray(matrix, dtype=np.int64).reshape(2, 2)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    fig = figure(3.3)
    axes = panel(fig.subplots(), x="decision", y="truth")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.15, aspect=0.6)  # 1.15: the darkest cell still prints its text
    axes.set_xticks([0, 1], CLASSES, fontsize=10)
    axes.set_yticks([0, 1], CLASSES, fontsize=10)
    axes.grid(False)
    axes.axhline(0.5, color="white", linewidth=3)
    axes.axvline(0.5, color="white", linewidth=3)
    for (row, column), count in np.ndenumerate(counts):
        percent = f"{share[row, column]:.1%}" if counts[row].any() else "no clips"
        colour = "white" if share[row, column] > 0.55 else INK
        axes.text(column, row - 0.04, f"{count:,}", ha="center", va="bottom", fontsize=15, color=colour)
        axes.text(column, row + 0.06, percent, ha="center", va="top", fontsize=10, color=colour)
    return fig


def det(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Detection error trade-off on normal-deviate axes, the EER of each curve marked (Martin et al., 1997).

    Args:
        curves: (scores, labels) by name.

    Shape:
        - scores, labels: (clips,) each, as everywhere in `dfad.metrics`.
    """
    columns = 2 if all(len(name) <= 18 for name in curves) else 1
    fig = figure(4.6 + 0.2 * -(-len(curves) // columns))
    axes = panel(fig.subplots(), x="false alarm: spoof accepted (%)", y="miss: bona fide rejected (%)")
    rates: list[float] = []
    for (name, (scores, labels)), colour, dash in zip(curves.items(), cycle(SERIES), cycle(DASHES), strict=False):
        try:
            rate, _ = eer(scores, labels)
        except MetricError as error:
            axes.plot([], [], color=colour, linestyle=dash, label=without(name, error))
            continue
        x, y = thinned(*_deviates(det_curve(scores, labels)))
        axes.plot(x, y, color=colour, linestyle=dash, label=f"{safe(name, 40)}: EER {rate:.2%}")
        rates.append(rate)
        at = ndtri(np.clip(rate, _DET_TICKS[0] / 2, 1 - _DET_TICKS[0] / 2))
        axes.plot(at, at, "o", color=colour, markersize=7, markeredgecolor="white", clip_on=False, zorder=5)
    top = 0.6 if max(rates, default=0) < 0.5 else 0.995
    ends = ndtri([_DET_TICKS[0] / 2, top])
    axes.plot(ends, ends, color=MUTED, linewidth=0.6, zorder=1)
    ticks = [tick for tick in _DET_TICKS + _DET_TICKS_ABOVE_HALF if tick < top]
    names = [f"{100 * tick:g}" for tick in ticks]
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_xticks(ndtri(ticks), names)
    axes.set_yticks(ndtri(ticks), names)
    if curves:
        legend_above(fig, axes, columns)
    else:
        say(axes, "no scores")
    return fig


def roc(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Receiver operating characteristic: bona fide accepted against spoof accepted, over all thresholds.

    Args:
        curves: (scores, labels) by name.

    Shape:
        - scores, labels: (clips,) each, as everywhere in `dfad.metrics`.
    """
    columns = 2 if all(len(name) <= 18 for name in curves) else 1
    fig = figure(4.6 + 0.2 * -(-len(curves) // columns))
    axes = panel(fig.subplots(), x="false alarm: spoof accepted (%)", y="bona fide accepted (%)")
    for (name, (scores, labels)), colour, dash in zip(curves.items(), cycle(SERIES), cycle(DASHES), strict=False):
        try:
            area = auroc(scores, labels)
        except MetricError as error:
            axes.plot([], [], color=colour, linestyle=dash, label=without(name, error))
            continue
        curve = det_curve(scores, labels)
        x, y = thinned(curve.false_alarm, 1 - curve.miss)
        axes.plot(100 * x, 100 * y, color=colour, linestyle=dash, label=f"{safe(name, 40)}: AUROC {area:.4f}")
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.6, zorder=1)
    axes.set(xlim=(-0.5, 100), ylim=(0, 100.5), aspect="equal")
    if curves:
        legend_above(fig, axes, columns)
    else:
        say(axes, "no scores")
    return fig


def histogram(
    scores: ArrayLike, labels: ArrayLike, thresholds: Mapping[str, float] | None = None, *, unit: str = UNIT
) -> Figure:
    """Distribution of the scores of each class, with thresholds by name.

    Scores far outside (and infinite ones) are counted in the outermost bins, so that one clip cannot squeeze the rest.

    Shape:
        - scores, labels: (clips,) each; NaN scores are left out.
    """
    return histograms({"": scores}, labels, thresholds, unit=unit)


def histograms(
    scores: Mapping[str, ArrayLike],
    labels: ArrayLike,
    thresholds: Mapping[str, float] | None = None,
    *,
    unit: str = UNIT,
) -> Figure:
    """The same of several scores of the same clips, one below the other on one axis.

    Shape:
        - scores: (clips,) each, by title; labels: (clips,).
    """
    tables = {name: np.asarray(values, dtype=np.float64).ravel() for name, values in scores.items()}
    real = np.asarray(labels).ravel() == 1
    lines = {name: at for name, at in (thresholds or {}).items() if np.isfinite(at)}
    every = np.concatenate(list(tables.values()))
    edges = _bins(every[np.isfinite(every)], list(lines.values()))
    fig = figure(1.0 + 2.6 * len(tables))
    grid = fig.subplots(len(tables), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, s) in zip(grid, tables.items(), strict=True):
        last = axes is grid[-1]
        panel(axes, safe(title), x=f"score ({unit})" if last else "", y="share of the class")
        for name, colour, hatch, chosen in (
            (CLASSES[0], SPOOF, "////", ~np.isnan(s) & ~real),
            (CLASSES[1], BONA_FIDE, "", ~np.isnan(s) & real),
        ):
            total = int(chosen.sum())
            heights = np.histogram(np.clip(s[chosen], edges[0], edges[-1]), edges)[0] / max(total, 1)
            axes.stairs(heights, edges, fill=True, facecolor=colour, alpha=0.35, hatch=hatch, edgecolor="white")
            axes.stairs(heights, edges, color=colour, linewidth=1.4, label=f"{name} ({total:,})")
        for (name, at), dash in zip(lines.items(), cycle(DASHES), strict=False):
            axes.axvline(at, color=INK, linestyle=dash, linewidth=1.1, label=f"{safe(name, 30)}: {at:.3g}")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        if np.isnan(s).all():
            say(axes, "no scores")
    if not np.isnan(every).all():
        legend_above(fig, grid[0])
    return fig


def _learning_curve(axes: Axes, phase: str, epochs: ArrayLike, values: ArrayLike) -> None:
    x, y = np.asarray(epochs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    seen = np.isfinite(x) & np.isfinite(y)
    if seen.any():
        colour, dash, marker = _PHASES[phase]
        dot = marker if seen.sum() <= 30 else ""
        axes.plot(x[seen], y[seen], color=colour, linestyle=dash, marker=dot, markersize=3.5, label=phase)


def _deviates(curve: DetCurve) -> tuple[Floats, Floats]:
    """Both rates as normal deviates; rates of 0 and 1 go to the frame, or a perfect detector would draw nothing."""
    edge = _DET_TICKS[0] / 2
    return ndtri(np.clip(curve.false_alarm, edge, 1 - edge)), ndtri(np.clip(curve.miss, edge, 1 - edge))


def _bins(finite: Floats, lines: list[float]) -> Floats:
    """Edges of 60 bins over the bulk of the scores and all thresholds."""
    low, high = np.quantile(finite, [0.001, 0.999]) if finite.size else (0.0, 0.0)
    return np.linspace(*limits([low, high, *lines]), 61)
