"""Dashboards mirror the run folder: what they show stands there already, so they can be filled or completed later.

A `Board` is one kind of dashboard. `Mirror` decides what it is told and when: the rows of `curves.csv` as they come,
and everything else once the run is finished. A marker in the folder, `<board>.json`, says what has been mirrored where.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from rich.markup import escape

from dfad.errors import DfadError
from dfad.training.runs import Run


@dataclass(frozen=True)
class HeardClip:
    """A scored clip as the detector heard it.

    Attributes:
        id: of the clip.
        label: its class.
        attack: that made it; empty for bona fide.
        score: log-odds of bona fide.
        p_spoof: calibrated, where the run is.
        error: `miss`, `false alarm`, or nothing if the decision was right.
        wave: the crop. Shape: (samples,) in [-1, 1].
        sample_rate: of the crop, Hz.
        picture: PNG file of its features.
    """

    id: str
    label: str
    attack: str
    score: float
    p_spoof: float
    error: str
    wave: np.ndarray
    sample_rate: int
    picture: Path


class Board(Protocol):
    """One kind of dashboard; it may raise whatever it likes, only a `DfadError` ends the run."""

    name: str
    clips: int  # how many of the worst test clips it shows

    def key(self, run: Run) -> str:
        """Name the place of a run: as long as that stays the same, nothing is sent there twice."""

    def open(self, run: Run, *, goes_on: bool) -> None:
        """Begin, or go on with what another process began."""

    def row(self, values: Mapping[str, float]) -> None:
        """Show one epoch; one that is there already is left as it is."""

    def results(self, run: Run, clips: Sequence[HeardClip]) -> None:
        """Show all else that a finished run has stored."""

    def close(self, *, failed: bool) -> str:
        """End, and tell people how to get there."""


class Mirror(Callback):
    """Keeps a board in step with a run folder, and closes it whatever happens.

    Args:
        board: the dashboard.
        say: prints a line.
    """

    def __init__(self, board: Board, say: Callable[[str], None]) -> None:
        self.board, self.say = board, say
        self.run: Run | None = None  # while the board is open
        self.rows = 0  # shown by this process
        self.lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._training_goes_on():
            self._close(failed=kind is not None or self.lost)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the board."""
        if trainer.is_global_zero:
            with self._training_goes_on():
                self._open(Run(Path(trainer.default_root_dir)))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the new row; `Curves`, which writes it, comes before this callback."""
        if trainer.is_global_zero and self.run and not self.lost:
            with self._training_goes_on():
                self._show_rows(self.run)

    def finish(self, run: Run, clips: Callable[[], Sequence[HeardClip]]) -> None:
        """Show all of a finished run, unless that was done before with the same results.

        Args:
            run: whose folder is mirrored, report and figures included.
            clips: gives the worst test clips.
        """
        if self.lost:
            return
        marker = self._marker(run)
        results = hashlib.sha256((run.folder / "metrics.json").read_bytes()).hexdigest()[:8]
        if not marker.get("complete") or marker.get("results") != results:  # it may have been judged anew
            heard = clips()
            with run.working(), self._training_goes_on():
                self._open(run)
                self._show_rows(run)
                self.board.results(run, heard)
                where = self._close(failed=False)
                marker = {"key": self.board.key(run), "complete": True, "where": where, "results": results}
                run.write_json(f"{self.board.name}.json", marker)
        if marker.get("complete"):
            self.say(f"dashboard {escape(marker['where'])}")

    def _open(self, run: Run) -> None:
        if self.run:
            return
        before = self._marker(run)
        self.board.open(run, goes_on=bool(before))
        self.run = run
        run.write_json(f"{self.board.name}.json", before or {"key": self.board.key(run), "complete": False})

    def _show_rows(self, run: Run) -> None:
        """Show the rows that came to `curves.csv` since the last time; at first all, those of earlier processes too."""
        with (run.folder / "curves.csv").open() as file:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        for row in rows[self.rows :]:
            self.board.row(row)
        self.rows = len(rows)

    def _close(self, *, failed: bool) -> str:
        if not self.run:
            return ""
        self.run = None
        return self.board.close(failed=failed)

    def _marker(self, run: Run) -> dict[str, Any]:
        """What the folder says of this place; nothing if it was mirrored elsewhere, or not at all."""
        marker = run.read_json(f"{self.board.name}.json") or {}
        return marker if marker.get("key") == self.board.key(run) else {}

    @contextmanager
    def _training_goes_on(self) -> Iterator[None]:
        """Tell in a line that a dashboard failed, in whatever way: no training shall end for that."""
        try:
            yield
        except DfadError:
            raise
        except Exception as error:
            if not self.lost:
                self.say(
                    f"[yellow]note[/] the dashboard stopped: {escape(_first_line(error))}; "
                    "the run goes on without, and the same command completes it later"
                )
            self.lost = True


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
