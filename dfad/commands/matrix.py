"""`dfad matrix [FOLDER]`: trained on × tested on, from the evaluations that are stored beside the runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfad.commands.guard import guarded, writing
from dfad.commands.tables import export, note
from dfad.commands.where import Where, board_of
from dfad.errors import ConfigError, did_you_mean
from dfad.report.board import differing, metric_cell
from dfad.report.cross import Cross, cross, read_cross
from dfad.report.tables import is_share

FILL = "python eval.py -m run=runs/a,runs/b data=for_rerec,for_2sec"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad matrix")))


@app.command()
def matrix(
    folder: Annotated[Path, typer.Argument(help="folder of all runs")] = Path("runs"),
    metric: Annotated[str, typer.Option(help="as in metrics.json, without the split: eer, cllr, eer/unseen")] = "eer",
    where: Where = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw it as a heat map")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="as CSV, unrounded, a row per run and test set")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, unrounded, a row per run and test set")] = False,
) -> None:
    """Show a metric by training set and test set, mean ± sd over runs; a * marks the corpus that was trained on.

    Nothing is scored here. Runs bring their own test results, and eval.py fills in the rest:

    python eval.py -m run=runs/a,runs/b data=for_rerec,for_2sec
    """
    if csv and as_json:
        raise ConfigError("--csv and --json: choose one")
    if out and out.suffix != ".png":
        raise ConfigError(f"--out {out}: give a name that ends in .png")
    board = board_of(folder, where)
    done = board[board["status"] == "finished"]
    table = read_cross([folder / run for run in done["run"]], metric)
    for run, error in table.loc[table["error"].notna(), ["run", "error"]].itertuples(index=False):
        note(f"{run}: {error}")
    if len(table) and table["value"].isna().all():
        names = {name.removeprefix("test/") for name in board.columns if name.startswith("test/")}
        if metric not in names:
            raise ConfigError(f"--metric {metric}: no run has it; {did_you_mean(metric, names)}")
    found = cross(table)
    _note_mixed(found, done)
    if csv or as_json:
        export(table[table["error"].isna()].drop(columns="error"), as_json)
    elif not found.rows:
        print(f"no such finished runs in {folder}" if len(board) else f"no runs in {folder} yet")
    else:
        _show(found, metric)
    if out and found.rows:
        _draw(found, metric, out)


def _note_mixed(found: Cross, board: pd.DataFrame) -> None:
    """Say where runs of one row differ in more than their seed: their mean is of different things."""
    for row, runs in found.runs.items():
        differ = [name for name in differing(board[board["run"].isin(runs)]) if name not in ("seed", "data.path")]
        if differ:
            note(f"the runs trained on {row} differ in {', '.join(differ)} too; choose some: --where {differ[0]}=…")


def _show(found: Cross, metric: str) -> None:
    """Print the matrix."""
    console = Console(highlight=False)
    table = Table(title=Text(f"{metric}, trained on (rows) × tested on (columns)"), title_justify="left", box=None)
    table.add_column("")
    for name in found.columns:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row, name in enumerate(found.rows):
        cells = zip(found.means[row], found.sds[row], found.own[row], strict=True)
        texts = [f"{metric_cell(mean, sd) or '–'} {'*' if own else ' '}" for mean, sd, own in cells]
        table.add_row(*map(Text, (name, *texts)))
    if not console.is_terminal:
        console.width = 10_000  # nothing is folded in a file
    console.print(table)
    print("* the corpus that was trained on")
    if np.isnan(found.means[~found.own]).all():
        print(f"other corpora: {FILL}")


def _draw(found: Cross, metric: str, out: Path) -> None:
    """Write the heat map."""
    from dfad.report.groups import matrix as heat_map
    from dfad.report.style import png

    cells = zip(found.means, found.sds, strict=True)
    percent = is_share(metric)
    texts = [[_cell(*cell, percent=percent) for cell in zip(means, sds, strict=True)] for means, sds in cells]
    title = "EER" if metric == "eer" else metric
    title += " (%)" if percent else ""
    drawn = heat_map(found.means, found.rows, found.columns, metric=title, text=texts)
    with writing(out):
        out.write_bytes(png(drawn))
    print(f"picture {out}", file=sys.stderr)


def _cell(mean: float, sd: float, *, percent: bool) -> str:
    """A cell of the picture, whose title names the unit."""
    if mean != mean:
        return "–"
    scale, digits = (100, 1) if percent else (1, 3)
    return f"{scale * mean:.{digits}f}" + (f" ± {scale * sd:.{digits}f}" if sd == sd else "")
