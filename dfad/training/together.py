"""Several devices: this process is rank 0, and starts one for each of the others beside it.

They take part in training and scoring only. Whatever is made once (manifest and scan, run folder, lock, results,
report, dashboards) is made here, so that nothing has to be guarded against being done twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from traceback import format_exc
from typing import IO, Any

import torch

from dfad.errors import ConfigError, DataError, DfadError
from dfad.training.config import DeviceKnobs
from dfad.training.ranks import ALONE, Rank, free_port, threads

JOBS = {"train": "dfad.training.fit", "evaluate": "dfad.training.evaluation"}  # modules with a function `follow`
_GRACE_S = 20.0  # for rank 0 to notice by itself that another rank is gone
_INTERNAL = 70  # exit code of a rank for an error that is no DfadError


@contextmanager
def together(devices: DeviceKnobs, job: str, details: dict[str, Any]) -> Iterator[Rank]:
    """Start the other ranks on a job, and end them with it.

    Args:
        devices: how many, and of which kind.
        job: which of `JOBS` they follow.
        details: what the job's `follow` is given besides its rank, as plain data.

    Yields:
        The rank of this process, 0.

    Raises:
        DfadError: what made another rank fail.
    """
    if devices.devices == 1:
        yield ALONE
        return
    rank = Rank(0, devices.devices, free_port())
    with threads(torch.get_num_threads() // rank.world):
        others = [_Other.start(Rank(number, rank.world, rank.port), job, details) for number in range(1, rank.world)]
        done = threading.Event()
        threading.Thread(target=_watch, args=(others, done), daemon=True).start()
        try:
            for other in others:
                other.meet()
            yield rank
            _wait(others)
        except DfadError:
            raise
        except Exception as error:
            if cause := _cause(others, patience_s=5.0):
                raise cause from error
            raise
        finally:
            done.set()
            for other in others:
                other.end()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


@dataclass
class _Other:
    """One of the other ranks: its process, and what it says when it fails."""

    number: int
    process: subprocess.Popen[str]
    said: IO[bytes] = field(repr=False)

    @classmethod
    def start(cls, rank: Rank, job: str, details: dict[str, Any]) -> _Other:
        home = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
        said = TemporaryFile()  # noqa: SIM115  # closed in `end`
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for rank 0, which ends the others
        )
        assert process.stdin is not None
        place = {"rank": [rank.number, rank.world, rank.port], "threads": torch.get_num_threads()}
        task = {**place, "job": job, "details": details}
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()  # and stays open: its end tells that rank 0 is gone, however that happened
        return cls(rank.number, process, said)

    def meet(self) -> None:
        """Wait until it is ready: who waits for a rank that is gone waits long."""
        assert self.process.stdout is not None
        if not self.process.stdout.read():
            self.process.wait()
            raise self.error()

    @property
    def failed(self) -> bool:
        return bool(self.process.poll())

    def error(self) -> Exception:
        self.said.seek(0)
        text, code = self.said.read().decode(errors="replace").strip(), self.process.returncode
        if code == _INTERNAL or code < 0 or not text:
            return RuntimeError(f"rank {self.number} ended with code {code}\n{text}".rstrip())
        return {2: ConfigError, 3: DataError}.get(code, DfadError)(text)

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.said):
            stream.close()


def _wait(others: list[_Other]) -> None:
    """Let the others end; they have done all that this process has, so it takes a moment at most."""
    deadline = time.monotonic() + 60
    for other in others:
        try:
            other.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return  # they are ended
        if other.failed:
            raise other.error()


def _cause(others: list[_Other], *, patience_s: float) -> Exception | None:
    """What made another rank fail, if that is why this one did: a broken connection is noticed first."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if failed := [other for other in others if other.failed]:
            errors = [other.error() for other in failed]
            return next((error for error in errors if isinstance(error, DfadError)), errors[0])
        time.sleep(0.05)
    return None


def _watch(others: list[_Other], done: threading.Event) -> None:
    """End this process if another rank failed and this one goes on waiting for it, as NCCL can for long."""
    while not done.wait(0.5):
        if failed := next((other for other in others if other.failed), None):
            if not done.wait(_GRACE_S):
                print(f"error {failed.error()}", file=sys.stderr, flush=True)
                os._exit(failed.process.returncode if failed.process.returncode > 0 else 1)
            return


def _follow() -> int:
    """Be another rank: the task comes as a line of JSON, and when the input ends, so does this process."""
    task = json.loads(sys.stdin.readline())
    # not through sys.stdin: its lock would be held for ever, and loader processes close it
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
    pipe = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever is printed here is printed by rank 0 too
    number, world, port = task["rank"]
    rank = Rank(number, world, port, pipe)
    try:
        with threads(task["threads"]):
            import_module(JOBS[task["job"]]).follow(rank, **task["details"])
    except DfadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Exception:
        print(format_exc(), file=sys.stderr)
        return _INTERNAL
    return 0


if __name__ == "__main__":
    code = _follow()
    sys.stderr.flush()
    os._exit(code)  # no waiting for rank 0 to take leave of the process group
