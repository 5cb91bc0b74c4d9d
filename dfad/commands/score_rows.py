"""A row for each file that was scored: what programs read of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

from dfad.errors import AudioError
from dfad.places import Place
from dfad.scoring.result import Result

COLUMNS = (
    *("path", "verdict", "p_spoof", "score", "threshold", "threshold_from", "calibrated", "unit", "prior"),
    *("raw_score", "raw_threshold", "aggregation", "duration_s", "warnings", "error", "scored_by"),
)

Row = Mapping[str, Any]


def row_of(path: Place, found: Result | AudioError | str, scored_by: str, *, windows: bool = False) -> Row:
    """The row of a file.

    Args:
        path: of the file.
        found: its result, or why there is none.
        scored_by: the run and how it scored.
        windows: whether what was said of every window comes along.
    """
    about: dict[str, Any] = dict.fromkeys(COLUMNS) | {"path": shown(str(path)), "warnings": [], "scored_by": scored_by}
    if isinstance(found, Result):
        whole = asdict(found)
        parts = whole.pop("windows")
        whole["warnings"] = list(found.warnings)
        about |= _without_nan(whole)
        return {**about, "windows": [_without_nan(part) for part in parts]} if windows else about
    return {**about, "error": shown(str(found).removeprefix(f"{path}: "))}


def shown(text: str) -> str:
    r"""A text that can be written and read again: bytes of a name that are no UTF-8 become \x.. .

    >>> shown("a\udcffb")
    'a\\xffb'
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def as_json(row: Row) -> str:
    """A row as a line of JSON, without its end."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def as_csv(row: Row) -> str:
    """A row as a record of CSV, without its end."""
    return _record(_flat(row).values())


def heading() -> str:
    """The first line of CSV."""
    return _record(COLUMNS)


def _flat(row: Row) -> dict[str, Any]:
    """A row without lists."""
    return {name: "; ".join(row[name]) if name == "warnings" else row[name] for name in COLUMNS}


def _record(values: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)  # what holds either of the two is quoted
    return text.getvalue().removesuffix("\r\n")


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """The same with None for NaN and infinities: JSON has no word for them."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in values.items()}
