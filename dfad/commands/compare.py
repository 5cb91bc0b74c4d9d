"""`dfad compare A B`: whether two detectors differ by more than chance on the same clips."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import guarded
from dfad.commands.scored import Scored, scored
from dfad.commands.tables import note
from dfad.errors import ConfigError
from dfad.evaluation.compare import compare, in_words
from dfad.metrics.bootstrap import untold

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad compare")))


@app.command()
def command(
    a: Annotated[Path, typer.Argument(help="a run, a folder of its evals/, or a file of scores")],
    b: Annotated[Path, typer.Argument(help="another, of the same clips")],
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help="for files that have no labels")] = None,
    thresholds: Annotated[
        str | None, typer.Option(metavar="A,B", help="else those that the runs deploy, and 0 for files")
    ] = None,
    cluster: Annotated[str | None, typer.Option(metavar="COLUMN", help="drawn as a whole; clip: single clips")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="of the bootstrap")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="all numbers, unrounded")] = False,
) -> None:
    """Compare two detectors: the difference of their EERs by a paired bootstrap, their decisions by McNemar's test."""
    if labels and a.is_dir() and b.is_dir():
        raise ConfigError("--labels is for files of scores, and both are folders of dfad, which have their labels")
    pair = [scored(place, labels=None if place.is_dir() else labels) for place in (a, b)]
    at = _thresholds(thresholds, pair)
    watch = untold if as_json else Bar("drawing clips", "resamples")  # stdout is for the numbers alone
    found = compare(pair[0].table, pair[1].table, at, cluster=cluster, resamples=resamples, progress=watch)
    if found.unit.note:
        note(found.unit.note)
    names = ("A", "B") if pair[0].name == pair[1].name else (pair[0].name, pair[1].name)
    if as_json:
        values = {**asdict(found), "differs": found.differs, "thresholds": at, "names": names}
        values["unit"] = found.unit.name
        values["interval"] = [None if isnan(end) else end for end in found.interval]
        print(json.dumps(values, indent=1, ensure_ascii=False))
        return
    CONSOLE.print(f"A = {escape(str(a))}\nB = {escape(str(b))}")
    for line in in_words(found, ("A", "B")):
        CONSOLE.print(escape(line))
    unit = "clips" if found.unit.name == "clip" else f"clusters by {found.unit.name}"
    CONSOLE.print(
        f"{resamples:,} paired resamples of {found.unit.count} {unit}; thresholds {at[0]:.4g} and {at[1]:.4g}"
    )


def _thresholds(text: str | None, pair: list[Scored]) -> tuple[float, float]:
    if text is None:
        first, second = (side.deployed.decides_at if side.deployed else 0.0 for side in pair)
        return first, second
    try:
        first, second = (float(word) for word in text.split(","))
        if isnan(first) or isnan(second):
            raise ValueError
    except ValueError:
        raise ConfigError(f"--thresholds {text}: give two numbers with a comma between, such as 0,0.35") from None
    return first, second
