"""Suites of several runs beside each other: a table of all numbers, a heat map, a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dfad.report.groups import matrix
from dfad.report.page import Headline, Page, Section, render
from dfad.report.robust_figures import Curve, curves
from dfad.report.robust_tables import KINDS, TITLES, graded, number, points
from dfad.report.style import png
from dfad.report.tables import Rows, shown, shown_interval

Suites = Mapping[str, Mapping[str, Any]]  # what each robustness.json holds, by the name of the run
METRICS = (*TITLES, "eer_added")
CLEAN = "as they are"
MEANS = {
    "laundering": "mean, laundering",
    "laundering/seen": "mean, training had like",
    "laundering/unseen": "mean, training had not",
    "adversarial": "mean, attacks",
}
OVER = {"laundering": ("eer", "EER"), "adversarial": ("fake_to_real", "fakes that pass among those that were caught")}
RUNS = ("", "as they are", "laundered", "95 % interval", "added", "times", "attacked")


def long(suites: Suites) -> pd.DataFrame:
    """A row per run and condition, unrounded, with the ends of intervals; clips as they are and means have rows too."""
    return pd.DataFrame(
        [{"run": name, **about, **_numbers(part)} for name, one in suites.items() for about, part in _parts(one)]
    )


def _parts(results: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    named = ("family", "name", "strength", "unit", "seen")
    yield {"key": "clean", **dict.fromkeys(named)}, {"eer_fakes": results["clean"]["eer"], **results["clean"]}
    for one in results["conditions"]:
        yield {"key": one["key"], **{name: one[name] for name in named}}, one
    for kind, means in results["means"].items():
        yield {"key": f"mean/{kind}", **dict.fromkeys(named)} | {"family": kind.split("/")[0]}, means


def _numbers(part: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"snr_db": part.get("snr_db")}
    for name in METRICS:
        value = part.get(name)
        found[name] = number(value)
        if isinstance(value, Mapping):
            found[f"{name} low"], found[f"{name} high"] = value["interval"]
    return found


def grid(suites: Suites, metric: str) -> tuple[list[str], list[list[float]], list[list[bool]]]:
    """One metric by condition (rows) and run (columns).

    Returns:
        Titles of the rows: the clips as they are, every condition that a run has, means; the values, NaN where a run
        has none; and whether training had the like.
    """
    lines: dict[str, str] = {}
    cells: dict[tuple[str, str], tuple[float, bool]] = {}
    for name, results in suites.items():
        titles = {one["key"]: one["title"] for one in results["conditions"]}
        for about, part in _parts(results):
            key = about["key"]
            kind = key.removeprefix("mean/")
            lines.setdefault(key, titles.get(key, CLEAN if key == "clean" else MEANS.get(kind, kind)))
            value = number(part.get(metric))
            cells[key, name] = (nan if value is None else value, bool(about["seen"]))
    order = [key for key in lines if not key.startswith("mean/") and key != "clean"]
    keys = ["clean", *order, *(f"mean/{kind}" for kind in KINDS if f"mean/{kind}" in lines)]
    found = [[cells.get((key, name), (nan, False)) for name in suites] for key in keys]
    return (
        [lines[key] for key in keys],
        [[value for value, _ in row] for row in found],
        [[seen for _, seen in row] for row in found],
    )


def cell(value: float, seen: bool, metric: str) -> str:
    """A number of the grid, in percent without the sign; a * where training had the like."""
    if value != value:
        return "–"
    text = points(value, 0.0) if metric == "eer_added" else f"{100 * value:.1f}" if is_rate(metric) else f"{value:.3f}"
    return text + ("*" if seen else "")


def is_rate(metric: str) -> bool:
    """Whether a metric is a share of clips."""
    return metric != "cllr"


def title(metric: str) -> str:
    """What a metric is called, with its unit."""
    name = TITLES.get(metric, "EER above that of clips as they are")
    return f"{name}, %" if is_rate(metric) else f"{name}, bits"


def heat_map(suites: Suites, metric: str) -> Figure:
    """One metric by condition and run."""
    lines, values, _ = grid(suites, metric)
    text = [row[1:] for row in cells(suites, metric)]
    return matrix(values, lines, list(suites), metric=title(metric), text=text, titles=("", ""), height=0.25)


def run_rows(suites: Suites) -> Rows:
    """Below `RUNS`: a row per run; the attack that works best is one of those that all have that were attacked."""
    rows: Rows = []
    attacks = [keys for results in suites.values() if (keys := _keys(results, "adversarial"))]
    shared = set.intersection(*attacks) if attacks else set()
    for name, results in suites.items():
        means = results["means"].get("laundering")
        attacked = [number(one["fake_to_real"]) for one in results["conditions"] if one["key"] in shared]
        known = [share for share in attacked if share is not None]
        laundered: tuple[str, ...] = ("", "", "", "")
        if means:
            times = number(means["eer_times"])
            laundered = (
                shown("eer", number(means["eer"])),
                shown_interval("eer", means["eer"]["interval"]),
                points(number(means["eer_added"]), 0.0),
                "n/a" if times is None else f"{times:.2f}",
            )
        clean = shown("eer", number(results["clean"]["eer"]))
        rows.append((name, clean, *laundered, shown("eer", max(known)) if known else ""))
    return rows


def _keys(results: Mapping[str, Any], family: str) -> set[str]:
    return {one["key"] for one in results["conditions"] if one["family"] == family}


def write_page(path: Path, suites: Suites, metric: str, notes: Sequence[str]) -> Path:
    """Write the page, which is there whole or not at all."""
    means = {name: one["means"]["laundering"]["eer"] for name, one in suites.items() if "laundering" in one["means"]}
    first = [
        Headline(name, shown("eer", number(eer)), "EER, mean over laundering", shown_interval("eer", eer["interval"]))
        for name, eer in means.items()
    ]
    page = Page(f"Robustness of {', '.join(suites)}", first, notes, _sections(suites, metric))
    part = path.with_name(path.name + ".part")
    part.write_text(render(page), encoding="utf-8")
    return part.replace(path)


def cells(suites: Suites, metric: str) -> Rows:
    """A row per condition, and its number in every run."""
    lines, values, seen = grid(suites, metric)
    return [
        (line, *(cell(value, had, metric) for value, had in zip(numbers, marks, strict=True)))
        for line, numbers, marks in zip(lines, values, seen, strict=True)
    ]


def _sections(suites: Suites, metric: str) -> list[Section]:
    heat = (title(metric), png(heat_map(suites, metric)), f"{title(metric)} by condition and run")
    return [
        Section(
            "Run by run",
            "EER; laundered: the mean over the strengths of each perturbation, then over perturbations; added: points "
            "above the clips as they are; times: as a multiple of them. Attacked: the share of the fakes caught before "
            "that pass under the attack that works best.",
            table=(RUNS, run_rows(suites)),
        ),
        *(_over_strength(suites, family) for family in OVER if any(graded(one, family) for one in suites.values())),
        Section(
            "Condition by condition",
            "A * marks where the training of a run had the like.",
            figures=[heat],
            table=((title(metric), *suites), cells(suites, metric)),
        ),
    ]


def _over_strength(suites: Suites, family: str) -> Section:
    metric, what = OVER[family]
    drawn = png(curves([Curve(name, results, metric) for name, results in suites.items()], family))
    return Section(
        f"Over strength: {KINDS[family]}",
        f"{what}, from the clips as they are to the hardest; bands are 95 % intervals.",
        figures=[(what, drawn, f"{what} over strength, by run")],
    )
