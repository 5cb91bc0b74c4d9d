"""Picture of an explanation: the clip and its score over time, and what of one crop speaks for spoof."""

from __future__ import annotations

import textwrap
from math import isnan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import gaussian_filter
from scipy.signal import get_window

from dfad.explain import Explanation, Map
from dfad.report.style import BONA_FIDE, INK, MUTED, SPOOF, Floats, figure, limits, panel, safe

TITLES = {"gradcam": "Grad-CAM", "gradients": "integrated gradients"}
READ = (
    "Orange speaks for spoof, blue for bona fide, by how the detector reacts to what it hears in the explained part. "
    "That is what this detector listens to, not proof of what was done to the sound: look whether the methods agree."
)
_RANGE = 80.0  # dB that spectrograms show
_WINDOW_S, _COLUMNS, _ROWS = 0.032, 800, 300
_SMOOTH = (1.5, 3.0)  # bands and frames, by which integrated gradients are blurred to be seen
_FULL = 0.98  # quantile of a map's size that has full colour
_LETTERS = 66  # on a line of the picture


def picture(found: Explanation, name: str) -> Figure:
    """Draw all of an explanation, on one time axis where the clip is as short as what the detector hears.

    Args:
        found: what is drawn.
        name: of the clip.
    """
    maps: list[Map | None] = [one for one in found.maps if one.name in TITLES]
    over_time, over_bands = found.map("occlusion-time"), found.map("occlusion-frequency")
    if over_bands and not maps:
        maps = [None]  # a spectrogram without anything over it
    whole = found.result.duration_s > len(found.around) / found.sample_rate + 0.01
    heights = [0.55, 1.25, 0.9] + [0.9] * whole + [1.35] * len(maps) + [0.8] * bool(over_time)
    fig = figure(sum(heights) + 0.4 * len(heights) + 1.1)
    fig.suptitle("\n".join(_lines(found, name)), x=0.01, ha="left", fontsize=10, color=INK)
    grid = fig.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=(9, 1))
    rows = iter(range(len(heights)))

    first = fig.add_subplot(grid[next(rows), 0])
    _waveform(_panel(first, _part("the clip", found, part=whole), y="wave"), found)
    row = next(rows)
    axes = _panel(fig.add_subplot(grid[row, 0], sharex=first), y="kHz")
    _spectrogram(axes, fig.add_subplot(grid[row, 1]), found)
    axes = _panel(fig.add_subplot(grid[next(rows), 0], sharex=first), x="seconds", y=_score_name(found))
    _scores(axes, found)
    first.set_xlim(found.around_s, found.around_s + len(found.around) / found.sample_rate)
    if whole:
        axes = _panel(fig.add_subplot(grid[next(rows), 0]), "all of the clip", x="seconds", y=_score_name(found))
        _scores(axes, found)
        axes.set_xlim(0, found.result.duration_s)

    below: Axes | None = None
    for one in maps:
        row = next(rows)
        title = TITLES[one.name] if one else "the explained part"
        below = _panel(fig.add_subplot(grid[row, 0], sharex=below), f"{title}, {span(found)}", y="kHz")
        _gray(below, found)
        if one:
            _overlay(below, one)
        below.set_ylim(0, found.sample_rate / 2000)
        if over_bands and one is maps[-1]:
            _bars(_panel(fig.add_subplot(grid[row, 1], sharey=below), x="less", y=""), over_bands, upright=False)
    if over_time:
        title = "how much less spoof without a slice, or a band (right)"
        below = _panel(fig.add_subplot(grid[next(rows), 0], sharex=below), title, x="seconds", y="less")
        _bars(below, over_time, upright=True)
    if below:
        below.set_xlim(found.start_s, found.start_s + found.crop_s)
    fig.supxlabel(textwrap.fill(READ, _LETTERS + 8), x=0.01, ha="left", fontsize=9, color=INK)
    return fig


def levels(wave: NDArray[np.float32], sample_rate: int, columns: int = _COLUMNS) -> Floats:
    """The spectrogram at evenly spread moments, dB re a full-scale sine. Shape: (samples,) -> (bins, columns)."""
    size = max(16, 2 * round(_WINDOW_S * sample_rate / 2))
    padded = np.pad(wave, size // 2)
    begins = np.linspace(0, len(wave), columns).round().astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(padded, (0, 1)), size)[begins]
    window = get_window("hann", size)
    amplitude = np.abs(rfft(frames * window)) * (2 / window.sum())
    return 20 * np.log10(np.maximum(amplitude, 1e-10)).T


def verdict(found: Explanation) -> str:
    """What the detector says of the whole clip, on a line."""
    whole = found.result
    chance = "" if isnan(whole.p_spoof) else f", P(spoof) {whole.p_spoof:.3f} at a prior of {whole.prior:g}"
    return f"{whole.verdict}{chance}, score {whole.score:.3g} against {whole.threshold:.3g} ({whole.threshold_from})"


def span(found: Explanation) -> str:
    """When the explained part is."""
    return f"{found.start_s:.2f} to {found.end_s:.2f} s"


def _lines(found: Explanation, name: str) -> list[str]:
    """The name, the verdict and the warnings, in lines that fit."""
    warned = ", ".join(warning.partition(":")[0] for warning in found.result.warnings)
    texts = [safe(name, _LETTERS), safe(verdict(found), 4 * _LETTERS), *([f"warnings: {warned}"] if warned else [])]
    return [line for text in texts for line in textwrap.wrap(text, _LETTERS)]


def _part(title: str, found: Explanation, *, part: bool) -> str:
    where = "; shaded: the explained part" if _partly(found) else ""
    return f"{title}{' around it' if part else ''}{where}"


def _partly(found: Explanation) -> bool:
    """Whether the explained part is not everything."""
    return found.end_s - found.start_s < found.result.duration_s - 0.01


def _panel(axes: Axes, title: str = "", x: str = "", y: str = "") -> Axes:
    panel(axes, title, x, y)
    axes.title.set_fontsize(10)
    axes.xaxis.label.set_fontsize(9)
    return axes


def _score_name(found: Explanation) -> str:
    return "score" if isnan(found.p_threshold) else "P(spoof)"


def _waveform(axes: Axes, found: Explanation) -> None:
    time = found.around_s + np.arange(len(found.around)) / found.sample_rate
    axes.plot(time, found.around, color=INK, linewidth=0.4)
    axes.set_ylim(limits([float(np.abs(found.around).max()), -float(np.abs(found.around).max())]))
    axes.tick_params(labelbottom=False)
    _mark(axes, found)


def _mark(axes: Axes, found: Explanation) -> None:
    """Show where the explained part is, if that is not everything."""
    if _partly(found):
        axes.axvspan(found.start_s, found.end_s, facecolor=MUTED, alpha=0.15)


def _spectrogram(axes: Axes, beside: Axes, found: Explanation) -> None:
    image = levels(found.around, found.sample_rate)
    top = max(image.max(), -80.0)
    extent = (found.around_s, found.around_s + len(found.around) / found.sample_rate, 0, found.sample_rate / 2000)
    axes.grid(False)
    shown = axes.imshow(
        image, origin="lower", aspect="auto", extent=extent, cmap="viridis", vmin=top - _RANGE, vmax=top
    )
    axes.tick_params(labelbottom=False)
    beside.set_axis_off()
    place = beside.inset_axes((0, 0, 0.25, 1))
    axes.figure.colorbar(shown, cax=place)
    place.set_title("dBFS", loc="left", fontsize=8, color=INK)
    place.tick_params(labelsize=8, color=MUTED, labelcolor=INK)


def _gray(axes: Axes, found: Explanation) -> None:
    """The explained part as the detector hears it, pale enough to be painted over."""
    image = levels(found.heard, found.sample_rate)
    top = max(image.max(), -80.0)
    extent = (found.start_s, found.start_s + found.crop_s, 0, found.sample_rate / 2000)
    axes.grid(False)
    axes.imshow(image, origin="lower", aspect="auto", extent=extent, cmap="Greys", vmin=top - _RANGE, vmax=top + 40)
    if found.end_s - found.start_s < found.crop_s - 0.001:  # where a short clip begins anew
        for start in np.arange(found.end_s, found.start_s + found.crop_s, found.end_s - found.start_s):
            axes.axvline(start, color=INK, linestyle=":", linewidth=0.9)


def _overlay(axes: Axes, one: Map) -> None:
    values = gaussian_filter(one.values, _SMOOTH) if one.name == "gradients" else one.values
    full = np.quantile(np.abs(values), _FULL) or 1.0
    rows, columns = (_nearest(edges, n) for edges, n in ((one.hertz, _ROWS), (one.seconds, _COLUMNS)))
    share = np.clip(values / full, -1, 1)[np.ix_(rows, columns)]
    colours = np.where(share[..., None] > 0, to_rgb(SPOOF), to_rgb(BONA_FIDE))
    extent = (one.seconds[0], one.seconds[-1], one.hertz[0] / 1000, one.hertz[-1] / 1000)
    axes.imshow(np.dstack([colours, 0.85 * np.abs(share)]), origin="lower", aspect="auto", extent=extent)


def _nearest(edges: Floats, count: int) -> NDArray[np.intp]:
    """Which cell each of evenly spread points lies in: a picture of uneven cells is drawn faster of even ones."""
    points = np.linspace(edges[0], edges[-1], count, endpoint=False) + (edges[-1] - edges[0]) / (2 * count)
    return np.searchsorted(edges, points, side="right") - 1


def _bars(axes: Axes, one: Map, *, upright: bool) -> None:
    """What the score of spoof changes by without each slice: orange where the slice speaks for spoof."""
    values = one.values.ravel()
    colours = np.where(values > 0, SPOOF, BONA_FIDE)
    edges = one.seconds if upright else one.hertz / 1000
    place, size = edges[:-1], np.diff(edges)
    if upright:
        axes.bar(place, values, size, align="edge", color=colours)
        axes.axhline(0, color=MUTED, linewidth=0.6)
    else:
        axes.barh(place, values, size, align="edge", color=colours)
        axes.axvline(0, color=MUTED, linewidth=0.6)
        axes.tick_params(labelleft=False)


def _scores(axes: Axes, found: Explanation) -> None:
    """A bar for each window, as long as it is, over the threshold."""
    chances = not isnan(found.p_threshold)
    threshold = found.p_threshold if chances else found.result.threshold
    for window in found.result.windows:
        value = window.p_spoof if chances else window.score
        spoof = value > threshold if chances else value < threshold
        axes.plot([window.start_s, window.end_s], [value, value], color=SPOOF if spoof else BONA_FIDE, linewidth=2)
    axes.axhline(threshold, color=INK, linestyle="--", linewidth=0.9)
    axes.annotate("threshold", (1, threshold), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", fontsize=8, color=INK).set_in_layout(False)  # fmt: skip
    axes.set_ylim((-0.05, 1.05) if chances else None)
    _mark(axes, found)
