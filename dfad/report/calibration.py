"""Pictures of calibration: whether scores mean what they say, and what a decision costs at every prior.

Made as those of `figures.py`: from plain arrays, and a detector that cannot be measured is named with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from math import log

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.special import expit

from dfad.errors import MetricError
from dfad.metrics import calibration
from dfad.report.style import DASHES, INK, MUTED, SERIES, figure, legend_above, panel, safe, say, without

ASVSPOOF5 = log(1.9)  # effective prior log-odds of bona fide in track 1 of ASVspoof 5
_PRIORS = np.linspace(-6, 6, 121)
_TICKS = np.arange(-6, 7, 2)
_MARKERS = ("o", "s", "^", "D")


def reliability(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], p_spoof: float = 0.5) -> Figure:
    """Stated P(spoof) against the share of spoof, and how many clips stand behind each point.

    Args:
        curves: (log-likelihood ratios, labels) by name.
        p_spoof: prior of spoof, whatever the share of spoof clips.

    Shape:
        - log-likelihood ratios, labels: (clips,) each, as everywhere in `dfad.metrics`.
    """
    columns = _columns(curves, 14)
    fig = figure(5.2 + 0.2 * -(-len(curves) // columns))
    upper, lower = fig.subplots(2, sharex=True, height_ratios=(4, 1))
    panel(upper, y="share of spoof")
    panel(lower, x=f"stated P(spoof), at a prior of {p_spoof:.3g}", y="clips")
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, zorder=1)
    styles = zip(cycle(SERIES), cycle(DASHES), cycle(_MARKERS), strict=False)
    for (name, (llrs, labels)), (colour, dash, marker) in zip(curves.items(), styles, strict=False):
        line = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 5}
        try:
            found = calibration.reliability(llrs, labels, p_spoof=p_spoof)
        except MetricError as error:
            upper.plot([], [], **line, label=without(name, error))
            continue
        label = f"{safe(name, 40)}: ECE {found.ece:.1%}"
        upper.plot(found.predicted, found.observed, **line, clip_on=False, label=label)
        lower.vlines(found.predicted, 0.5, found.clips, color=colour, linewidth=1.4)
        lower.plot(found.predicted, found.clips, marker, color=colour, markersize=4, clip_on=False)
    upper.set(xlim=(0, 1), ylim=(0, 1))
    lower.set_yscale("log")
    lower.set_ylim(bottom=0.5)
    lower.minorticks_off()
    if curves:
        legend_above(fig, upper, columns)
    else:
        say(upper, "no scores")
    return fig


def cost_over_prior(curves: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Normalised cost at every prior: as the scores stand, and with the best threshold of each prior.

    The gap between both lines of a detector is what calibration would mend.

    Args:
        curves: (scores, labels) by name.

    Shape:
        - scores, labels: (clips,) each, as everywhere in `dfad.metrics`.
    """
    columns = _columns(curves, 24)
    fig = figure(4.2 + 0.2 * -(-(len(curves) + 3) // columns))
    axes = panel(fig.subplots(), x="prior log-odds of bona fide; below: P(spoof)", y="normalised cost")
    for (name, (scores, labels)), colour in zip(curves.items(), cycle(SERIES), strict=False):
        try:
            costs = calibration.cost_over_prior(scores, labels, _PRIORS)
        except MetricError as error:
            axes.plot([], [], color=colour, label=without(name, error))
            continue
        axes.plot(_PRIORS, np.minimum(costs.actual, 2), color=colour, label=safe(name, 40))
        axes.plot(_PRIORS, costs.minimum, color=colour, linestyle="--", linewidth=1.2)
    axes.axhline(1, color=MUTED, linewidth=0.8, zorder=1)
    axes.axvline(ASVSPOOF5, color=MUTED, linestyle=":", linewidth=1.2, zorder=1, label="prior of ASVspoof 5")
    axes.set(xlim=(_PRIORS[0], _PRIORS[-1]), ylim=(0, 1.1))
    axes.set_xticks(_TICKS, [f"{odds}\n{100 * expit(-odds):.3g}%".replace("-", "−") for odds in _TICKS])
    if curves:
        axes.plot([], [], "-", color=INK, label="as the scores stand")
        axes.plot([], [], "--", color=INK, linewidth=1.2, label="with the best threshold")
        legend_above(fig, axes, columns)
    else:
        say(axes, "no scores")
    return fig


def _columns(names: Mapping[str, object], longest: int) -> int:
    return 2 if all(len(name) <= longest for name in names) else 1
