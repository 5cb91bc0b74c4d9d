"""Sweeps: many jobs in one command, each by itself, with a record of what became of them and a table at the end.

A launcher may do the jobs in other processes, one after the other or at once. What such a process does not share with
the command it takes from the environment, and it leaves what became of its job in a small file.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from dfad.commands.guard import attempt
from dfad.errors import IN_RUN, DfadError, RunError, when_free

RECORDS = ".sweeps"  # in the folder of runs
_TOLD = "DFAD_SWEEP"  # environment variable, by which other processes know their sweep
_Values = dict[str, Any]
_current: str | None = None
_sweep: Sweep | None = None  # of this process


def sweep_name() -> str | None:
    """The name of the sweep to which the job that is on belongs; None outside of one."""
    return _current


class Sweep:
    """What became of the jobs of one command.

    Args:
        words: the command line as typed, less `-m`: the same words are the same sweep.
        token: tells this call of the command from others.
        elsewhere: whether this is another process than the command's.
        place: folder in which other processes leave what became of their jobs, if it is they who do them.
    """

    def __init__(
        self, words: Sequence[str], token: str | None = None, *, elsewhere: bool = False, place: Path | None = None
    ) -> None:
        self.words, self.token, self.elsewhere, self.place = list(words), token or uuid4().hex[:8], elsewhere, place
        self.name = f"sweep-{hashlib.sha256(json.dumps(self.words).encode()).hexdigest()[:8]}"
        self.jobs: list[dict[str, Any]] = []  # overrides, run, exit_code, error
        self.home: Path | None = None  # the folder of runs
        self.count: int | None = None
        self._done: dict[str, dict[str, Any]] = {}  # configuration → job

    @classmethod
    def begin(cls, words: Sequence[str]) -> Sweep:
        """The sweep of a command, which every process knows that is started from now on."""
        global _sweep
        _sweep = cls(words)
        _sweep._tell()
        return _sweep

    def collect_in(self, place: Path) -> None:
        """Have other processes leave there what becomes of their jobs."""
        self.place = place.absolute()
        self._tell()

    def _tell(self) -> None:
        place = str(self.place) if self.place else None
        told = {"words": self.words, "token": self.token, "process": os.getpid(), "place": place}
        os.environ[_TOLD] = json.dumps(told)

    @classmethod
    def here(cls) -> Sweep:
        """The sweep to which the jobs of this process belong."""
        global _sweep
        if _sweep is None:
            told = json.loads(os.environ[_TOLD])
            place = Path(told["place"]) if told["place"] else None
            _sweep = cls(told["words"], told["token"], elsewhere=True, place=place)
            if os.getppid() == told["process"]:  # not so under submitit, whose jobs shall go on
                threading.Thread(target=_end_with, args=(told["process"],), daemon=True).start()
        return _sweep

    def job(
        self,
        values: Callable[[], _Values],
        command: Callable[[_Values], Path | None],
        *,
        words: list[str],
        count: int | None,
        number: int | None = None,
    ) -> None:
        """Do one job by itself, and write down what became of it.

        Args:
            values: gives the job's configuration.
            command: does the work, and gives the run folder if it trained one.
            words: those of its options that the sweep varies.
            count: how many jobs the sweep has, if that can be told beforehand.
            number: which of them this is, from 0.
        """
        from rich import get_console

        say = partial(get_console().print, markup=False, highlight=False, soft_wrap=True)
        number, self.count = len(self.jobs) if number is None else number, count
        say(f"[{number + 1}/{count or '?'}] {' '.join(words)}")
        job: dict[str, Any] = {"overrides": words, "run": None, "exit_code": 0, "error": None}

        def work() -> None:
            given = values()
            if "runs" in given and self.home is None:
                self.home = Path(str(given["runs"]))
            same = self._done.setdefault(json.dumps(given, sort_keys=True), job)
            if same is not job:
                job.update({**same, "overrides": words})
                say(f"the same as job {self.jobs.index(same) + 1}")
                return
            try:
                folder = when_free(lambda: command(given)) if self.elsewhere else command(given)
            except Exception as error:  # a run folder writes its name on what goes wrong in it
                notes = (
                    note.removeprefix(IN_RUN) for note in getattr(error, "__notes__", ()) if note.startswith(IN_RUN)
                )
                job["run"] = next(notes, None)
                raise
            job["run"] = str(folder) if folder else None

        with self._named(), isolated():
            failure = attempt(work)
        if failure:
            job.update(exit_code=failure.exit_code, error=failure.text)
        self.jobs.append(job)
        if self.elsewhere and self.place:
            home = str(self.home) if self.home else None
            _write(self._parts(self.place) / f"{number:06}.json", {"job": job, "home": home, "count": count})
        else:
            self._write_record()

    def finish(self) -> int:
        """Print the table of the sweep, and give the exit code: the highest of its jobs."""
        place, failure = self.place, None
        if not self.jobs and place:
            failure = attempt(lambda: self._collect(self._parts(place)))
        if self.jobs and self.home:
            from dfad.commands.tables import show_sweep

            show_sweep(self.jobs, self.name)
        codes = [int(job["exit_code"]) for job in self.jobs]
        return max([*codes, failure.exit_code if failure else 0])

    def _collect(self, parts: Path) -> None:
        """Gather what other processes left.

        Raises:
            DfadError: if a job left nothing.
        """
        found = [json.loads(path.read_text()) for path in sorted(parts.glob("*.json"))]
        self.jobs = [part["job"] for part in found]
        self.count = next((part["count"] for part in found), None)
        self.home = next((Path(part["home"]) for part in found if part["home"]), None)
        self._write_record()
        if len(found) < (self.count or 1):
            raise DfadError(
                f"of {self.count or 'all'} jobs {len(found)} have left word in {parts}; the same command does what is "
                "missing"
            )
        shutil.rmtree(parts, ignore_errors=True)

    def _parts(self, place: Path) -> Path:
        return place / f"{self.name}.{self.token}"

    @contextmanager
    def _named(self) -> Iterator[None]:
        global _current
        _current = self.name
        try:
            yield
        finally:
            _current = None

    def _write_record(self) -> None:
        if self.home:
            content = {"format": 1, "words": self.words, "count": self.count, "jobs": self.jobs}
            _write(self.home / RECORDS / f"{self.name}.json", content)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, however that happened."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _write(path: Path, content: Any) -> None:
    """Store plain data, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        part.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RunError(f"cannot write to {path.parent}: {reason}; choose another folder, runs=…") from None


@contextmanager
def isolated() -> Iterator[None]:
    """Give a job the process as it was before the first, and free what it leaves.

    What Lightning and we set for a job: environment variables, the refusal of operations that are not deterministic,
    the state of the random numbers, filters of warnings.
    """
    import torch

    environment, threads = dict(os.environ), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        gc.collect()  # trainer, detector and data module hold each other
        torch.cuda.empty_cache()  # nothing, unless a GPU was used
