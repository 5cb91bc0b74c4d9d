"""A file of rows that grows as files are scored, and goes on where it was after any end."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfad.commands.score_rows import COLUMNS, Row, as_csv, as_json, heading
from dfad.errors import BusyError, ConfigError

_SYNC_S = 1.0  # what a power cut may cost
FORMATS: dict[str, tuple[str, Callable[[Row], str]]] = {".jsonl": ("", as_json), ".csv": (heading() + "\n", as_csv)}


class Growing:
    """Rows on disk, one write for each, so that a kill tears the last one at most.

    Attributes:
        done: what the file holds already, by path: some of the columns.
    """

    def __init__(self, descriptor: int, path: Path, scored_by: str) -> None:
        self.descriptor, self.synced = descriptor, time.monotonic()
        begin, self.text = FORMATS[path.suffix]
        content = _read(descriptor)
        end = _end(content, quoted=path.suffix == ".csv")
        self.done = _rows(content, end, path)
        if others := {str(row["scored_by"]) for row in self.done.values()} - {scored_by}:
            raise ConfigError(
                f"{path} holds scores by {sorted(others)[0]}, these would be by {scored_by}: another run or other "
                "options; give another file as --out, or remove this one"
            )
        if end < len(content):
            os.ftruncate(descriptor, end)
        if not end and begin:
            self._write(begin)

    def __call__(self, row: Row) -> None:
        """Add a row."""
        self._write(self.text(row) + "\n")
        if time.monotonic() - self.synced > _SYNC_S:
            os.fsync(self.descriptor)
            self.synced = time.monotonic()

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self.descriptor, data) :]


@contextmanager
def growing(path: Path, scored_by: str) -> Iterator[Growing]:
    """Open a file of rows, or begin one; no two commands write to it at a time.

    Args:
        path: .jsonl or .csv.
        scored_by: what scores now; rows by anything else are refused.

    Raises:
        BusyError: if another process writes to it.
        ConfigError: for a file that cannot be written or locked, or holds something else.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"--out {path}: write {' or '.join(f'{path.stem}{end}' for end in FORMATS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{path} is being written by another process; wait for it, or give another") from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"cannot lock {path}, so that two processes could write to it: {reason}; give an --out on a file "
                "system that has locks (Lustre: mounted with the option flock)"
            ) from None
        yield Growing(descriptor, path, scored_by)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()


def _end(content: bytes, *, quoted: bool) -> int:
    """Where the last whole row ends: a line end that is not within quotes.

    >>> _end(b'a,"b\\nc"\\nd,"e\\n', quoted=True)
    8
    """
    end = content.rfind(b"\n") + 1
    if quoted:
        while end and content.count(b'"', 0, end) % 2:
            end = content.rfind(b"\n", 0, end - 1) + 1
    return end


def _rows(content: bytes, end: int, path: Path) -> dict[str, dict[str, Any]]:
    """What the whole rows of a file hold, by path.

    Raises:
        ConfigError: if it is no such file.
    """
    begin = (FORMATS[path.suffix][0] or '{"path": ').encode()
    try:
        if content[: len(begin)] != begin[: len(content)]:
            raise ValueError(f"it begins with {content[:20]!r}")
        text = content[:end].decode()
        if path.suffix == ".csv":
            reader = csv.DictReader(io.StringIO(text, newline=""))
            if end and tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError("other columns")
            found = {row["path"]: {**row, "p_spoof": float(row["p_spoof"] or "nan")} for row in reader}
        else:
            found = {row["path"]: row for row in map(json.loads, text.split("\n")[:-1])}
        keys = ("verdict", "error", "p_spoof", "scored_by")
        return {name: {key: row[key] for key in keys} for name, row in found.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} holds something else than rows of `dfad score` ({error}); give another file"
        ) from None
