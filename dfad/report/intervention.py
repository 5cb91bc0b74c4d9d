"""What an audit by intervention looks like: a page, its parts, and the rows that the screen shows too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dfad.report.figures import histograms
from dfad.report.page import Headline, Page, Section, render
from dfad.report.style import MUTED, SERIES, figure, legend_above, limits, panel, safe, say
from dfad.report.style import png as picture
from dfad.report.tables import Rows, shown, shown_interval
from dfad.scores import ScoreTable

TITLES = {"dc": "DC", "noise": "noise floor"}  # of groups that are not called as in the results
VERDICTS = {
    "learnt": "learnt",
    "hurt": "the treatment hurts",
    "sensitive": "not needed, but heard",
    "disturbed": "better without",
    "none": "no reliance found",
    "blind": "cannot be heard",
    "open": "nothing to lose",
}
TOLD = ("learnt", "hurt", "sensitive", "disturbed")  # in a section of their own
HEADER = ("", "lost", "95 % interval", "lost, dealt", "95 % interval", "AUROC", "Δ bona fide", "Δ spoof")
HOW = (
    "Every clip is scored as it is, and again with one nuisance treated and everything else as it was. Lost: the share "
    "of the separation, AUROC − 0.5, that is gone when every clip has the same value, which comes from training clips. "
    "Dealt: each clip has the value of another scored clip, drawn at random, so that values are usual ones and say "
    "nothing about the label. What is lost in both ways, and can be told from the nuisance alone in training and here, "
    "had been learnt. What is lost in one way only may be due to the treatment: the detector never heard such clips, "
    "or evidence was taken away. Nuisances overlap: silence is where the noise floor shows. Δ: by how much the mean "
    "score of a class moves at the same value."
)


def title(group: Mapping[str, Any]) -> str:
    """A group with its verdict, as people read it."""
    return f"{_name(group)}: {VERDICTS[group['verdict']]}"


def rows(results: Mapping[str, Any]) -> Rows:
    """Below `HEADER`: the clean scores, and each group, worst first, at the common value."""
    found: Rows = [("as they are", "", "", "", "", _area(results["clean"]), "", "")]
    for group in results["groups"]:
        lost = [part for key in ("same", "swap") for part in _lost(group[key]["share"])]
        found.append((_name(group), *lost, _area(group["same"]["values"]), *_moves(group["same"])))
    return found


def sections(results: Mapping[str, Any], table: ScoreTable) -> list[Section]:
    """The parts of the page.

    Args:
        results: as `audit_run.json` holds them.
        table: with the scores under every treatment.
    """
    drawn = results["bootstrap"]
    unit = "clips" if drawn["unit"] == "clip" else f"values of {drawn['unit']}"
    intervals = f"95 % intervals: {drawn['resamples']:,} paired bootstrap resamples of {drawn['count']} {unit}."
    chart = picture(forest(results["groups"]))
    told = [group for group in results["groups"] if group["verdict"] in TOLD]
    rest = [group for group in results["groups"] if group not in told]
    parts = [
        Section(
            "What the separation is owed to",
            f"{HOW} {intervals}",
            figures=[("share of the separation that is lost", chart, "share of the separation lost, by group")],
            table=(HEADER, rows(results)),
        )
    ]
    parts += [_group(group, results, table, drawn=at == 0) for at, group in enumerate(told)]
    if rest:
        said = [(_name(group), VERDICTS[group["verdict"]], f"it {group['words']}") for group in rest]
        parts.append(
            Section("The other groups" if told else "The groups", table=(("", "verdict", "what was found"), said))
        )
    about = results["training"]
    parts.append(
        Section(
            "How the clips were treated",
            f"Common values come from {about['clips']:,} of {about['of']:,} training clips, both classes alike. "
            f"{results['swaps']} values were dealt to each clip in turn; metrics are means over the turns.",
            table=(("", "same value"), [(_name(group), group["treatment"]) for group in results["groups"]]),
            text="\n".join(["skipped:", *results["skipped"].values()]) if results["skipped"] else None,
        )
    )
    return parts


def write_intervention(path: Path, results: Mapping[str, Any], table: ScoreTable) -> Path:
    """Write the page, which is there whole or not at all."""
    name = f"{Path(results['run']).name}: audit by intervention"
    page = Page(name, _headline(results), results["notes"], sections(results, table))
    part = path.with_name(path.name + ".part")
    part.write_text(render(page), encoding="utf-8")
    return part.replace(path)


def forest(groups: Sequence[Mapping[str, Any]]) -> Figure:
    """The share of the separation that is lost, by group and treatment, with intervals."""
    fig = figure(1.2 + 0.5 * max(len(groups), 1))
    axes = panel(fig.subplots(), x="share of the separation that is lost")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.grid(visible=False, axis="y")
    ends: list[float] = []
    for side, (key, name) in enumerate({"same": "the same value for every clip", "swap": "values dealt"}.items()):
        colour, marker = SERIES[side], "os"[side]
        axes.plot([], [], marker, color=colour, linestyle="-", label=name)
        for at, group in enumerate(groups):
            value, low, high = _known(group[key]["share"])
            if isfinite(value):
                place = at + 0.32 * (side - 0.5)
                axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
                axes.plot(value, place, marker, color=colour, markersize=6, markeredgecolor="white", clip_on=False)
                ends += [value, low, high]
    if not ends:
        say(axes, "the detector does not separate these clips")
    axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    axes.set(xlim=limits([*ends, 0.0, 0.1]), ylim=(len(groups) - 0.5, -0.5))
    axes.set_yticks(range(len(groups)), [safe(_name(group)) for group in groups])
    axes.tick_params(axis="y", length=0)
    legend_above(fig, axes)
    return fig


def _headline(results: Mapping[str, Any]) -> list[Headline]:
    clean, split = results["clean"], results["split"]
    where = "all splits" if split == "all" else f"split {split}"
    found = [
        Headline("AUROC", shown("auroc", clean["auroc"]["value"]), where, _between("auroc", clean)),
        Headline("EER", shown("eer", clean["eer"]["value"]), where, _between("eer", clean)),
    ]
    learnt = [group for group in results["groups"] if group["verdict"] == "learnt"]
    for group in learnt[:3]:
        lost, between = _lost(group["share"])
        found.append(Headline(f"owed to {_name(group)}", lost, "of the separation is lost without it", between))
    if not learnt:
        found.append(Headline("owed to a nuisance", "none found", f"of {len(results['groups'])} groups"))
    return found


def _group(group: Mapping[str, Any], results: Mapping[str, Any], table: ScoreTable, *, drawn: bool) -> Section:
    """One group, with pictures of its scores if they shall be drawn."""
    header = ("", "AUROC", "95 % interval", "EER", "Cllr, bits", "miss", "false alarm")
    lines = [("as they are", *_metrics(results["clean"]))]
    lines += [(name, *_metrics(group[key]["values"])) for key, name in (("same", "same value"), ("swap", "dealt"))]
    pictures = []
    if drawn:
        treated = table.frame[f"score:{group['group']}"].to_numpy(np.float64)
        lined = {} if results["threshold"] is None else {"threshold": results["threshold"]}
        both = histograms({"as they are": table.scores, group["treatment"]: treated}, table.labels, lined)
        pictures.append(("scores before and after", picture(both), f"scores as they are, and {group['treatment']}"))
    heading = title(group)
    words = f"The detector {group['words']}."
    return Section(heading[0].upper() + heading[1:], words, figures=pictures, table=(header, lines))


def _name(group: Mapping[str, Any]) -> str:
    return TITLES.get(group["group"], group["group"])


def _area(values: Mapping[str, Any]) -> str:
    return shown("auroc", values["auroc"]["value"])


def _metrics(values: Mapping[str, Any]) -> tuple[str, ...]:
    rest = (shown(name, values[name]["value"]) for name in ("eer", "cllr", "miss", "false_alarm"))
    return (_area(values), _between("auroc", values), *rest)


def _between(name: str, values: Mapping[str, Any]) -> str:
    return shown_interval(name, values[name]["interval"])


def _moves(effect: Mapping[str, Any]) -> tuple[str, str]:
    """By how much the mean score of each class moves."""
    return _signed(f"{effect['shift']['bona-fide']:+.2f}"), _signed(f"{effect['shift']['spoof']:+.2f}")


def _lost(measured: Mapping[str, Any]) -> tuple[str, str]:
    """A share in whole percents, and its interval."""
    value, low, high = (_signed(f"{100 * number:.0f}") for number in _known(measured))
    known = measured["value"] is not None
    return f"{value} %" if known else "n/a", f"{low} … {high} %" if measured["interval"][0] is not None else ""


def _signed(number: str) -> str:
    """A number as it is written, with a minus and no negative zero.

    >>> _signed("-0.00"), _signed("-1"), _signed("+0.00")
    ('0.00', '−1', '0.00')
    """
    return number.lstrip("+-") if not float(number) else number.replace("-", "−")


def _known(measured: Mapping[str, Any]) -> tuple[float, float, float]:
    """Value, low and high; NaN where there is none."""
    value, low, high = (nan if number is None else number for number in (measured["value"], *measured["interval"]))
    return value, low, high
