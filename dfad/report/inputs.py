"""Picture of what the network is given: waveform, features, and features after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dfad.report.style import INK, figure, panel, safe, say


@dataclass(frozen=True)
class Example:
    """One clip on its way into the network.

    Shape:
        - wave: (samples,) in [-1, 1].
        - features, augmented: (bins, frames), low frequencies first.

    Attributes:
        wave: the waveform.
        sample_rate: in Hz.
        features: before augmentation.
        augmented: after augmentation.
        title: what to call it, such as its class and id.
    """

    wave: ArrayLike
    sample_rate: float
    features: ArrayLike
    augmented: ArrayLike
    title: str


def inputs(examples: Sequence[Example]) -> Figure:
    """One row per example: its waveform, its features, and its features augmented, in the same colours."""
    fig = figure(0.3 + 1.65 * max(len(examples), 1))
    if not examples:
        axes = fig.subplots()
        axes.set_axis_off()
        say(axes, "no examples")
        return fig
    grid = fig.subplots(len(examples), 3, squeeze=False, width_ratios=(1.1, 1, 1))
    for row, (example, axes) in enumerate(zip(examples, grid, strict=True)):
        last = row == len(examples) - 1
        _wave(panel(axes[0], x="time (s)" if last else "", y="waveform"), example)
        before, after = (np.atleast_2d(np.asarray(f, np.float64)) for f in (example.features, example.augmented))
        low, high = _range(before)
        for image, name, place in ((before, "features (bin)", axes[1]), (after, "augmented (bin)", axes[2])):
            _image(panel(place, " ", x="frame" if last else "", y=name), image, low, high)
        # The title runs over all three panels, so it must not widen the first: the blank titles keep its place free.
        axes[0].annotate(
            safe(example.title),
            (0, 1),
            (0, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=10,
            color=INK,
            annotation_clip=False,
        ).set_in_layout(False)
    return fig


def heard(wave: ArrayLike, features: ArrayLike, sample_rate: float) -> Figure:
    """What the network is given of one clip: its features, or the waveform where the features are that.

    Shape:
        - wave: (samples,) in [-1, 1].
        - features: (bins, frames), low frequencies first; or (samples,).
    """
    fig = figure(2.4)
    values, sound = np.asarray(features, np.float64), np.asarray(wave)
    axes = fig.subplots()
    if values.ndim == 1:
        _wave(panel(axes, x="time (s)", y="waveform"), Example(values, sample_rate, values, values, ""))
        return fig
    _image(panel(axes, x="time (s)", y="features (bin)"), values, *_range(values), seconds=sound.size / sample_rate)
    return fig


def _wave(axes: Axes, example: Example) -> None:
    wave = np.asarray(example.wave, dtype=np.float64).ravel()
    axes.plot(np.arange(wave.size) / example.sample_rate, wave, color=INK, linewidth=0.4)
    top = max(0.1, float(np.nanmax(np.abs(wave), initial=0)))
    axes.set(xlim=(0, max(wave.size, 1) / example.sample_rate), ylim=(-1.05 * top, 1.05 * top))


def _image(axes: Axes, values: NDArray[np.float64], low: float, high: float, *, seconds: float | None = None) -> None:
    axes.grid(False)
    if values.size:
        extent = None if seconds is None else (0, seconds, -0.5, len(values) - 0.5)
        colours: dict[str, Any] = {"cmap": "viridis", "vmin": low, "vmax": high, "interpolation": "nearest"}
        axes.imshow(values, origin="lower", aspect="auto", extent=extent, **colours)
    else:
        say(axes, "empty")


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Colour range of both pictures, from the features before augmentation: masks and gains show as such."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.quantile(finite, [0.01, 0.99])
    return float(low), float(max(high, low + 1e-6))
