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
from dfad.report.tables import Rows, share, shown_interval
from dfad.scores import ScoreTable

TITLES = {
    "timing": "timing",
    "level": "level",
    "dc": "DC",
    "band": "band",
    "noise": "noise floor",
    "container": "container",
}
HEADER = (
    "",
    "lost, same value",
    "lost, dealt",
    "AUROC",
    "EER",
    "miss",
    "false alarm",
    "bona fide moves",
    "spoof moves",
)
_DECISIONS = ("auroc", "eer", "cllr", "miss", "false_alarm")
_OWED = ("learnt",)
HOW = (
    "Every clip is scored as it is, and again with one nuisance treated and everything else as it was. Same value: "
    "what is left without the nuisance, at a value that comes from training clips. Dealt: each clip has the value of "
    "another scored clip, drawn at random, so that values are usual ones and say nothing about the label. What is lost "
    "in both ways, and can be told from the nuisance alone in training and here, had been learnt. What is lost in one "
    "way only may be due to the treatment: the detector never heard such clips, or evidence was taken away."
)


def rows(results: Mapping[str, Any]) -> Rows:
    """Below `HEADER`: the clean scores, and each group, worst first, at the common value."""
    found: Rows = [("as they are", "", "", *_numbers(results["clean"]), "", "")]
    for group in results["groups"]:
        same, swap = group["same"], group["swap"]
        lost = (_lost(same), _lost(swap))
        found.append((TITLES[group["group"]], *lost, *_numbers(same["values"]), *_moves(same)))
    return found


def sections(results: Mapping[str, Any], table: ScoreTable) -> list[Section]:
    """The parts of the page.

    Args:
        results: as `audit_run.json` holds them.
        table: with the scores under every treatment.
    """
    chart = picture(forest(results["groups"]))
    drawn = results["bootstrap"]
    unit = "clips" if drawn["unit"] == "clip" else f"values of {drawn['unit']}"
    intervals = f"95 % intervals: {drawn['resamples']:,} paired bootstrap resamples of {drawn['count']} {unit}."
    return [
        Section(
            "What the separation is owed to",
            f"{HOW} {intervals}",
            figures=[("share of the separation that is lost", chart, "share of the separation lost, by group")],
            table=(HEADER, rows(results)),
        ),
        *(_group(group, results, table, first=at == 0) for at, group in enumerate(results["groups"])),
        Section(
            "How the clips were treated",
            f"Common values are from {results['training']['clips']:,} of {results['training']['of']:,} training clips, "
            f"both classes alike; {results['swaps']} values were dealt to each clip, and their metrics averaged.",
            table=(("group", "same value"), [(TITLES[g["group"]], g["treatment"]) for g in results["groups"]]),
            text="\n".join(["skipped:", *results["skipped"].values()]) if results["skipped"] else None,
        ),
    ]


def write_intervention(path: Path, results: Mapping[str, Any], table: ScoreTable) -> Path:
    """Write the page, which is there whole or not at all."""
    title = f"{Path(results['run']).name}: audit by intervention"
    page = Page(title, _headline(results), results["notes"], sections(results, table))
    part = path.with_name(path.name + ".part")
    part.write_text(render(page), encoding="utf-8")
    return part.replace(path)


def forest(groups: Sequence[Mapping[str, Any]]) -> Figure:
    """The share of the separation that is lost, by group and treatment, with intervals."""
    fig = figure(1.2 + 0.5 * max(len(groups), 1))
    axes = panel(fig.subplots(), x="share of the separation that is lost")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.grid(visible=False, axis="y")
    ends = [0.0]
    for number, (key, name) in enumerate({"same": "the same value for every clip", "swap": "values dealt"}.items()):
        colour, marker = SERIES[number], "os"[number]
        for at, group in enumerate(groups):
            value, low, high = _known(group[key]["share"])
            place = at + 0.16 * (2 * number - 1)
            if not isfinite(value):
                continue
            axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot(value, place, marker, color=colour, markersize=6, markeredgecolor="white", clip_on=False)
            ends += [value, low, high]
        axes.plot([], [], marker, color=colour, linestyle="-", label=name)
    if len(ends) == 1:
        say(axes, "the detector does not separate")
    axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    axes.set(xlim=limits([*ends, 0.1]), ylim=(len(groups) - 0.5, -0.5))
    axes.set_yticks(range(len(groups)), [safe(TITLES[group["group"]]) for group in groups])
    axes.tick_params(axis="y", length=0)
    legend_above(fig, axes)
    return fig


def _headline(results: Mapping[str, Any]) -> list[Headline]:
    clean = results["clean"]
    found = [
        Headline(
            "AUROC", f"{clean['auroc']['value']:.4f}", f"{results['split']}, as the clips are", _between(clean["auroc"])
        ),
        Headline("EER", share(clean["eer"]["value"]), "the same", shown_interval("eer", clean["eer"]["interval"])),
    ]
    for group in [group for group in results["groups"] if group["verdict"] in _OWED][:3]:
        value, low, high = _known(group["share"])
        hint = f"of the separation is lost without {TITLES[group['group']]}"
        found.append(
            Headline(TITLES[group["group"]], f"{_percent(value)} %", hint, f"{_percent(low)} … {_percent(high)} %")
        )
    if len(found) == 2:
        found.append(Headline("owed to a nuisance", "none found", f"of {len(results['groups'])} that were treated"))
    return found


def _group(group: Mapping[str, Any], results: Mapping[str, Any], table: ScoreTable, *, first: bool) -> Section:
    name = group["group"]
    header = (
        "",
        "AUROC",
        "95 % interval",
        "EER",
        "Cllr, bits",
        "miss",
        "false alarm",
        "bona fide moves",
        "spoof moves",
    )
    lines = [("as they are", *_metrics(results["clean"]), "", "")]
    lines += [
        (title, *_metrics(group[key]["values"]), *_moves(group[key]))
        for key, title in (("same", "same value"), ("swap", "dealt"))
    ]
    pictures = []
    if first and group["verdict"] not in ("none", "blind", "open"):
        scores = {"as they are": table.scores, group["treatment"]: table.frame[f"score:{name}"].to_numpy(np.float64)}
        deployed = {} if results["threshold"] is None else {"threshold": results["threshold"]}
        pictures = [("scores", picture(histograms(scores, table.labels, deployed)), f"scores before and after, {name}")]
    return Section(
        f"{TITLES[name]}: {group['verdict']}".capitalize(),
        f"The detector {group['words']}.",
        figures=pictures,
        table=(header, lines),
    )


def _numbers(values: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{values['auroc']['value']:.4f}",
        *(share(values[name]["value"]) for name in ("eer", "miss", "false_alarm")),
    )


def _metrics(values: Mapping[str, Any]) -> tuple[str, ...]:
    area, eer, cllr, miss, false_alarm = (values[name]["value"] for name in _DECISIONS)
    bits = "n/a" if cllr is None else f"{cllr:.3f}"
    return (f"{area:.4f}", _between(values["auroc"]), share(eer), bits, share(miss), share(false_alarm))


def _moves(effect: Mapping[str, Any]) -> tuple[str, str]:
    """By how much the mean score of each class moves."""
    return f"{effect['shift']['bona-fide']:+.2f}", f"{effect['shift']['spoof']:+.2f}"


def _lost(effect: Mapping[str, Any]) -> str:
    value, low, high = _known(effect["share"])
    if not isfinite(value):
        return "n/a"
    return f"{_percent(value)} %" + (f" ({_percent(low)} … {_percent(high)})" if isfinite(low) else "")


def _percent(share: float) -> str:
    return f"{round(100 * share)}".replace("-", "−")


def _between(measured: Mapping[str, Any]) -> str:
    low, high = measured["interval"]
    return "" if low is None else f"{low:.4f} … {high:.4f}"


def _known(measured: Mapping[str, Any]) -> tuple[float, float, float]:
    """Value, low and high; NaN where there is none."""
    return tuple(nan if number is None else number for number in (measured["value"], *measured["interval"]))  # type: ignore[return-value]
