"""`dfad runs [FOLDER]`: the table of all runs, chosen, sorted, averaged over seeds, or as CSV and JSON."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from dfad.commands.guard import guarded
from dfad.commands.tables import print_table
from dfad.errors import ConfigError, did_you_mean
from dfad.report.board import METRICS, STATUSES, differing, ordered, over_seeds, read_board, run_folders

_CONDITION = re.compile(r"(?P<key>[^=!<>]+?)\s*(?P<sign><=|>=|!=|=|<|>)\s*(?P<value>.*)")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad runs")))


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="folder of all runs")] = Path("runs"),
    where: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="only such runs; also != < > <= >=; may be repeated")
    ] = None,
    sort: Annotated[str, typer.Option(metavar="KEY", help="order; -KEY: the highest first")] = METRICS[0],
    seeds: Annotated[bool, typer.Option("--over-seeds", help="mean ± sd over the seeds of each configuration")] = False,
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
    """
    if csv and as_json:
        raise ConfigError("--csv and --json: choose one")
    board = read_board(_folders(folder))
    _note_damaged(board)
    for condition in where or ():
        board = _chosen(board, condition)
    if seeds:
        open_runs = int((board["status"] != "finished").sum())
        if open_runs:
            _note(f"{open_runs} runs are not finished, and not in the means")
        board = over_seeds(board)
    options = differing(board)
    name = sort.removeprefix("-")
    board = ordered(board, _known(name, board), descending=sort.startswith("-"))
    wanted = [_known(key.strip(), board) for key in columns.split(",")] if columns else None
    rest = len(board) - limit if limit else 0
    board = board.head(limit) if limit else board
    if csv or as_json:
        _export(board[wanted] if wanted else board, as_json)
        return
    if not len(board):
        print(f"no such runs in {folder}" if where else f"no runs in {folder} yet; python train.py makes one")
        return
    if not seeds:
        options = [option for option in options if option not in ("model", "frontend", "data")]  # the run's name says
    usual = [*options, "seeds", *METRICS] if seeds else ["run", "status", *options, *METRICS]
    print_table(board, wanted or usual, [] if wanted else options)
    if rest > 0:
        print(f"… and {rest} more")


def _folders(home: Path) -> list[Path]:
    if (home / "config.yaml").is_file():
        raise ConfigError(f"{home} is one run; dfad runs {home.parent} shows all that lie beside it")
    if not home.exists():
        if home == Path("runs"):
            return []
        raise ConfigError(f"no folder {home}; runs lie in runs/, or where runs=… put them")
    if not home.is_dir():
        raise ConfigError(f"{home} is no folder; dfad runs takes the folder of all runs")
    return run_folders(home)


def _chosen(board: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The runs that fulfil a condition; one without such a value fulfils `!=` only."""
    match = _CONDITION.fullmatch(condition.strip())
    if not match:
        raise ConfigError(f"--where {condition}: not understood; write it as model=cnn, seed!=0 or 'val/eer<0.1'")
    key, sign, text = match["key"], match["sign"], match["value"].strip()
    if not len(board):
        return board
    column = board[_known(key, board)]
    if key == "status" and text not in STATUSES:
        raise ConfigError(f"--where {condition}: no such status; {did_you_mean(text, STATUSES)}")
    if sign in ("=", "!="):
        same = column.map(lambda value: _is(value, text)).astype(bool)
        return board[same if sign == "=" else ~same]
    numbers = pd.to_numeric(column, errors="coerce")
    try:
        bound = float(text)
    except ValueError:
        raise ConfigError(f"--where {condition}: {text!r} is no number; text is compared by = and !=") from None
    return board[{"<": numbers < bound, ">": numbers > bound, "<=": numbers <= bound, ">=": numbers >= bound}[sign]]


def _is(value: Any, text: str) -> bool:
    """Whether a stored value is what was typed: numbers by value, everything else as YAML writes it."""
    if value is None or isinstance(value, bool):
        return text.lower() == {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        try:
            return float(value) == float(text)
        except ValueError:
            return False
    return str(value).replace(" ", "") == text.replace(" ", "")


def _known(key: str, board: pd.DataFrame) -> str:
    """The column of a key.

    Raises:
        ConfigError: if there is none, with the one that was meant.
    """
    if key in board.columns:
        return key
    same_end = [name for name in board.columns if name.endswith((f".{key}", f"/{key}"))]
    usual = [name for name in board.columns if name.count("/") < 2]
    near = f"did you mean '{same_end[0]}'?" if same_end else did_you_mean(key, usual)
    raise ConfigError(f"no key {key!r} in these runs; {near}")


def _export(board: pd.DataFrame, as_json: bool) -> None:
    """Write to stdout what a program reads: NaN as null or an empty cell, nothing rounded."""
    if as_json:
        rows = [
            {str(key): None if value != value else value for key, value in row.items()}
            for row in board.to_dict("records")
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print(board.to_csv(index=False, lineterminator="\n"), end="")


def _note_damaged(board: pd.DataFrame) -> None:
    damaged = board[board["status"] == "damaged"]
    if len(damaged):
        _note(f"{len(damaged)} of {len(board)} folders cannot be read:")
        for run, error in zip(damaged["run"], damaged["error"], strict=True):
            print(f"  {run}: {error}", file=sys.stderr)


def _note(text: str) -> None:
    print(f"note {text}", file=sys.stderr)
