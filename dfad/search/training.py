"""The process of one training: what `process` starts, and talks with."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfad.errors import IN_RUN, DfadError, when_free
from dfad.search.process import STOP
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.followed import EndedError, Followed
from dfad.training.runs import ENDED
from dfad.training.scoring import SILENT
from dfad.training.trainer import MONITOR


class _Worker:
    """The worker, as the training sees it: pipes that are read and written bare, as loader processes are forks."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever is printed here is for nobody
        self._heard, self._rest = threading.Semaphore(0), b""
        self._answers: list[str] = []
        threading.Thread(target=self._hear, daemon=True).start()

    def tell(self, **what: Any) -> None:
        os.write(self._out, (json.dumps(what) + "\n").encode())

    def hear(self) -> str:
        self._heard.acquire()
        return self._answers.pop(0)

    def _hear(self) -> None:
        while chunk := os.read(0, 65536):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._answers.append(line.decode())
                self._heard.release()
        os.killpg(0, signal.SIGKILL)  # the worker is gone; loader processes too


def _train(worker: _Worker, config: Mapping[str, Any], study: str) -> None:
    """Train as told, and tell of it. What validation says is all that the study hears."""

    def ends(rows: list[dict[str, float]]) -> bool:
        for row in rows:
            worker.tell(epoch=int(row["epoch"]), value=row[MONITOR], asks=row is rows[-1])
        return bool(rows) and worker.hear() == STOP

    followed = Followed(ends, f"by study {study}, as others did better")
    try:
        run = when_free(lambda: train(TrainConfig.read(config), SILENT, [followed])).run
    except EndedError as ended:
        (note,) = (note for note in ended.__notes__ if note.startswith(IN_RUN))
        folder = Path(note.removeprefix(IN_RUN))
        (folder / "error.txt").replace(folder / ENDED)  # it did not fail
        worker.tell(run=str(folder), value=None)
        return
    with (run.folder / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows[followed.told :]:  # the last one, or all of a run that was there
        worker.tell(epoch=int(row["epoch"]), value=float(row[MONITOR]), asks=False)
    value = run.read_json("metrics.json")["values"][MONITOR]
    if value is None or not math.isfinite(value):
        raise DfadError(f"{MONITOR} is no number: it diverged")
    worker.tell(run=str(run.folder), value=value)


def _main() -> None:
    """Be the process of a training."""
    worker = _Worker()
    try:
        _train(worker, **json.loads(worker.hear()))
    except DfadError as error:
        worker.tell(error=str(error), code=error.exit_code)
    except Exception as error:
        worker.tell(error=f"{type(error).__name__}: {error}", code=1)


if __name__ == "__main__":
    _main()
