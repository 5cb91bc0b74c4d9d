"""Which runs a command is about: the folders of runs, conditions on them, and the keys that are typed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from dfad.commands.tables import note
from dfad.errors import ConfigError, did_you_mean
from dfad.report.board import STATUSES, option_names, read_board, run_folders

Where = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="only such runs; also != < > <= >=; may be repeated")
]
_CONDITION = re.compile(r"(?P<key>[^=!<>]+?)\s*(?P<sign><=|>=|!=|=|<|>)\s*(?P<value>.*)")


def board_of(home: Path, where: list[str] | None) -> pd.DataFrame:
    """The board of the runs in a folder that fulfil all conditions; folders that cannot be read are told.

    Raises:
        ConfigError: if there is no such folder, or a condition is not understood.
    """
    board = read_board(_folders(home))
    _note_damaged(board)
    for condition in where or ():
        board = _chosen(board, condition)
    return board


def known_key(key: str, board: pd.DataFrame) -> str:
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


def option_key(key: str, board: pd.DataFrame) -> str:
    """The option that a key means: the key itself, or the only one that ends in it.

    Raises:
        ConfigError: if there is none, or if there are several.
    """
    options = option_names(board)
    found = [key] if key in options else [name for name in options if name.endswith(f".{key}")]
    if len(found) > 1:
        raise ConfigError(f"{key} may be {' or '.join(found)}; type one of them")
    if not found and key in board.columns:
        raise ConfigError(f"{key} is no option; choose one that runs differ in, such as data.hold_out")
    return found[0] if found else known_key(key, board)


def _folders(home: Path) -> list[Path]:
    if (home / "config.yaml").is_file():
        raise ConfigError(f"{home} is one run; give {home.parent}, the folder of all runs")
    if not home.exists():
        if home == Path("runs"):
            return []
        raise ConfigError(f"no folder {home}; runs lie in runs/, or where runs=… put them")
    if not home.is_dir():
        raise ConfigError(f"{home} is no folder; give the folder of all runs")
    return run_folders(home)


def _chosen(board: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The runs that fulfil a condition; one without such a value fulfils `!=` only."""
    match = _CONDITION.fullmatch(condition.strip())
    if not match:
        raise ConfigError(f"--where {condition}: not understood; write it as model=cnn, seed!=0 or 'val/eer<0.1'")
    key, sign, text = match["key"], match["sign"], match["value"].strip()
    if not len(board):
        return board
    column = board[known_key(key, board)]
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


def _note_damaged(board: pd.DataFrame) -> None:
    damaged = board[board["status"] == "damaged"]
    if len(damaged):
        note(f"{len(damaged)} of {len(board)} folders cannot be read:")
        for run, error in zip(damaged["run"], damaged["error"], strict=True):
            print(f"  {run}: {error}", file=sys.stderr)
