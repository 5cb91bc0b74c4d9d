"""`dfad runs [FOLDER]`: the table of all runs, chosen, sorted, averaged over seeds or groups, or as CSV and JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from dfad.commands.guard import guarded
from dfad.commands.tables import export, note, print_table
from dfad.commands.where import Where, board_of, known_key, option_key
from dfad.errors import ConfigError
from dfad.report.board import METRICS, differing, ordered
from dfad.report.over import other_clips, over_seeds, over_values

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad runs")))


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="folder of all runs")] = Path("runs"),
    where: Where = None,
    sort: Annotated[str, typer.Option(metavar="KEY", help="order; -KEY: the highest first")] = METRICS[0],
    seeds: Annotated[bool, typer.Option("--over-seeds", help="mean ± sd over the seeds of each configuration")] = False,
    by: Annotated[
        str | None, typer.Option(metavar="KEY", help="mean and worst over the values of an option, such as hold_out")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="KEY,KEY,…", help="what is shown, such as run,model.lr,val/eer")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="only the first N rows")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="as CSV, unrounded, every column")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, unrounded, every column")] = False,
) -> None:
    """Show all runs, the best by validation first.

    Keys are those of the command line and of metrics.json: model=cnn, seed=1, model.lr<0.01, val/eer<0.1; and
    run, status (finished, running, failed, unfinished, damaged), epochs, when, error.

    With --by, seeds of one value are averaged first; low and high are a 95 % interval of the mean over the values.
    """
    if csv and as_json:
        raise ConfigError("--csv and --json: choose one")
    if seeds and by:
        raise ConfigError("--by and --over-seeds: choose one; --by averages the seeds of each value first")
    all_runs = board = board_of(folder, where)
    key = option_key(by, board) if by and len(board) else None
    if seeds or key:
        _note_left_out(board, key)
        board = over_values(board, key) if key else over_seeds(board)
    options = [name for name in differing(board) if name != key]
    name = sort.removeprefix("-")
    board = ordered(board, known_key(name, board), descending=sort.startswith("-"))
    wanted = [known_key(word.strip(), board) for word in columns.split(",")] if columns else None
    rest = len(board) - limit if limit else 0
    board = board.head(limit) if limit else board
    if csv or as_json:
        export(board[wanted] if wanted else board, as_json)
        return
    if not len(board):
        some = where or len(all_runs)
        print(f"no such runs in {folder}" if some else f"no runs in {folder} yet; python train.py makes one")
        return
    if not (seeds or key):
        options = [option for option in options if option not in ("model", "frontend", "data")]  # the run's name says
    means = [*options, "groups", "seeds", "test/eer", "test/eer worst"] if key else [*options, "seeds", *METRICS]
    usual = means if seeds or key else ["run", "status", *options, *METRICS]
    print_table(board, wanted or usual, [] if wanted else options)
    if rest > 0:
        print(f"… and {rest} more")
    if key and len(board) == 1 and rest <= 0 and not wanted:
        print()
        _show_values(all_runs, key)


def _note_left_out(board: pd.DataFrame, key: str | None) -> None:
    """Say which runs are not in the means, and whether some should not be in one mean."""
    finished = board["status"] == "finished"
    if not finished.all():
        note(f"{int((~finished).sum())} runs are not finished, and not in the means")
    if key is None:
        return
    if without := int((finished & board[key].isna()).sum()):
        note(f"{without} finished runs have no {key}, and are not in the means")
    if key.startswith("data") and (mixed := other_clips(board, key)):
        note(f"runs of {', '.join(map(str, mixed))} differ in their clips: the corpus was changed between them")


def _show_values(board: pd.DataFrame, key: str) -> None:
    """Print a row per value of an option, the worst first."""
    table = over_seeds(board[board[key].notna()]).copy()  # in one piece, for a column more
    shown = [key, "seeds", "test/eer"]
    counts = ["test/n_bona_fide", "test/n_spoof"]
    if set(counts) <= set(table) and table[counts].notna().all(axis=None):
        pairs = zip(*(table[name] for name in counts), strict=True)
        table["test clips"] = [f"{bona_fide:g} + {spoof:g}" for bona_fide, spoof in pairs]
        shown.append("test clips")
    print_table(ordered(table, "test/eer", descending=True), shown)
