"""Pictures of a suite: curves over strength, the worst conditions, what is wrong by perturbation and attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dfad.report.groups import Group, groups, matrix
from dfad.report.robust_tables import mean, number, perturbations, strength
from dfad.report.style import DASHES, SERIES, figure, limits, panel, safe, say

COLUMNS = 2
MOST_ATTACKS = 10
MARKERS = "osD^vP"


@dataclass(frozen=True)
class Curve:
    """One line of every panel.

    Attributes:
        name: for the legend.
        results: as `robustness.json` holds them.
        metric: that is drawn.
    """

    name: str
    results: Mapping[str, Any]
    metric: str


def curves(lines: Sequence[Curve], family: str) -> Figure:
    """A panel per perturbation with several strengths: shares over strength, from the clips as they are to the hardest.

    The band around a line is its 95 % interval. Where lines have other strengths, a panel has those of all, and a line
    has points at its own.

    Args:
        lines: in every panel; a metric that the clips as they are have not, as the success of an attack, begins at 0.
        family: laundering or adversarial.
    """
    every: dict[str, dict[str, Mapping[str, Any]]] = {}
    for line in lines:
        for name, members in perturbations(line.results, family).items():
            every.setdefault(name, {}).update({one["key"]: one for one in members})
    found = {name: sorted(each.values(), key=_hardness) for name, each in every.items() if len(each) > 1}
    order = sorted(found, key=lambda name: -(mean(found[name], lines[0].metric) or 0.0))
    rows = -(-len(order) // COLUMNS)
    fig = figure(0.75 + 1.75 * max(rows, 1))
    if not order:
        say(panel(fig.subplots()), "no perturbation has several strengths")
        return fig
    grid = fig.subplots(rows, COLUMNS, squeeze=False, sharey=True)
    top = 0.0
    for at, axes in enumerate(grid.ravel()):
        if at >= len(order):
            axes.set_visible(False)
            continue
        unit = found[order[at]][0]["unit"]
        panel(axes, safe(order[at], 24) + (f" ({unit})" if unit else ""))
        place = {one["key"]: x for x, one in enumerate(found[order[at]], 1)}
        axes.set_xticks(range(len(place) + 1), ["clean", *(strength(one) for one in found[order[at]])])
        axes.set_xlim(-0.2, len(place) + 0.3)
        top = max(top, *(_line(axes, line, look, order[at], family, place) for look, line in enumerate(lines)))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(4))
    grid[0, 0].set_ylim(0, min(1.02, limits([0.0, top, 0.1])[1]))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper left", ncols=min(3, len(lines)), fontsize=9, frameon=False)
    return fig


def _hardness(condition: Mapping[str, Any]) -> float:
    strength: float = condition["strength"] or 0.0
    return strength if condition["harder"] == "higher" else -strength


def _line(axes: Axes, line: Curve, look: int, name: str, family: str, place: Mapping[str, int]) -> float:
    """Draw one line of a panel, with a place for every condition; gives the highest point of it and its band."""
    members = perturbations(line.results, family).get(name, [])
    clean = line.results["clean"].get(line.metric, {"value": 0.0, "interval": [None, None]})
    points = [(number(part), *part["interval"]) for part in (clean, *(one[line.metric] for one in members))]
    y, low, high = np.array([[nan if each is None else each for each in point] for point in points]).T
    x = np.array([0, *(place[one["key"]] for one in members)])
    colour = SERIES[look % len(SERIES)]
    dash = next(dash for at, dash in enumerate(cycle(DASHES)) if at == look)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        *(x, y),
        color=colour,
        linestyle=dash,
        marker=MARKERS[look % len(MARKERS)],
        markersize=4,
        label=safe(line.name, 30),
        clip_on=False,
    )
    return float(np.max([y, high], initial=0.0, where=np.isfinite([y, high])))


def worst_conditions(results: Mapping[str, Any], family: str) -> Figure:
    """Every condition by its EER, the highest first, beside the clips as they are."""
    conditions = [one for one in results["conditions"] if one["family"] == family]
    conditions.sort(key=lambda one: -(number(one["eer"]) or 0.0))
    rows = []
    for one in conditions:
        value, low, high = (nan if each is None else each for each in (number(one["eer"]), *one["eer"]["interval"]))
        rows.append(Group(one["title"], value, low, high, one["clips"]["bona-fide"], one["clips"]["spoof"]))
    return groups(rows, whole=number(results["clean"]["eer"]), whole_name="as they are")


def by_attack(results: Mapping[str, Any]) -> Figure:
    """What is decided wrongly at the threshold, by perturbation: bona fide clips, and the spoof clips of each attack.

    Shares are means over the strengths of a perturbation. Of many attacks those are shown that pass most.
    """
    lines: dict[str, Sequence[Mapping[str, Any]]] = {"as they are": [results["clean"]]}
    for family in ("laundering", "adversarial"):
        lines |= perturbations(results, family)
    names = results["clean"]["by_attack"]
    passing = {
        line: {name: mean([one["by_attack"] for one in members], name) or 0.0 for name in names}
        for line, members in lines.items()
    }
    attacks = sorted(names, key=lambda name: -sum(shares[name] for shares in passing.values()))[:MOST_ATTACKS]
    real = [mean(members, "miss") for members in lines.values()]
    columns = ["bona fide", *attacks] if any(share is not None for share in real) else attacks
    values = [
        [*([nan if miss is None else miss] if len(columns) > len(attacks) else []), *(shares[name] for name in attacks)]
        for miss, shares in zip(real, passing.values(), strict=True)
    ]
    return matrix(
        values,
        list(lines),
        columns,
        metric="decided wrongly (%)",
        text=[["–" if share != share else f"{100 * share:.0f}" for share in row] for row in values],
        titles=("", ""),
        height=0.26,
    )
