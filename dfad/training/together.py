"""Several devices: this process is rank 0, and starts one for each of the others beside it.

They take part in training and scoring only. Whatever is made once (manifest and scan, run folder, lock, results,
report, dashboards) is made here, so that nothing has to be guarded against being done twice.
"""

from __future__ import annotations

import json
import os
import select
import signal
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

from dfad.errors import STOPPED, ConfigError, DfadError
from dfad.training import meeting
from dfad.training.config import DeviceKnobs
from dfad.training.ranks import ALONE, INTERNAL, JOBS, READY, Rank, free_port, other_error, threads
from dfad.training.stops import ASKING, waited_for

_GRACE_S = 15.0  # for rank 0 to leave by itself


def require_hosts(devices: DeviceKnobs) -> None:
    """Refuse several hosts where no launcher has started a process on each.

    Raises:
        ConfigError: saying what to type.
    """
    if devices.num_nodes > 1 and not meeting.current:
        raise ConfigError(
            f"trainer.num_nodes={devices.num_nodes}, but this process was started alone; type on every host: torchrun "
            f"--nnodes {devices.num_nodes} --nproc-per-node {devices.devices} --rdzv-backend c10d "
            "--rdzv-endpoint FIRST_HOST:29500 train.py …"
        )


@contextmanager
def together(devices: DeviceKnobs, job: str, details: dict[str, Any]) -> Iterator[Rank]:
    """Start the other ranks on a job, and end them with it; or tell it those that a launcher has started.

    Args:
        devices: how many, and of which kind.
        job: which of `JOBS` they follow.
        details: what the job's `follow` is given besides its rank, as plain data.

    Yields:
        The rank of this process, 0.

    Raises:
        DfadError: what made another rank fail.
    """
    if launched := meeting.current:
        with threads(torch.get_num_threads() // devices.devices), launched.together(job, details) as rank:
            yield rank
        return
    if devices.devices == 1:
        yield ALONE
        return
    others: list[_Other] = []
    done = threading.Event()
    with threads(torch.get_num_threads() // devices.devices), _signals() as heard:
        try:
            for number in range(1, devices.devices):
                others.append(_Other.start(Rank(number, devices.devices), job, details))
            port = _meet(others)
            threading.Thread(target=_watch, args=(others, heard, done), daemon=True).start()
            yield Rank(0, devices.devices, port)
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
    process: subprocess.Popen[bytes]
    said: IO[bytes] = field(repr=False)

    @classmethod
    def start(cls, rank: Rank, job: str, details: dict[str, Any]) -> _Other:
        """Start it in a session of its own: Ctrl-C is for rank 0, which ends the others."""
        home, environment = Path(__file__).parents[2], dict(os.environ)
        if (home / "pyproject.toml").is_file():  # not installed, perhaps
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH")]))
        said = TemporaryFile()  # noqa: SIM115  # closed in `end`
        command = [sys.executable, "-P", "-m", __name__]  # -P: never import what lies in the working folder
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
        other = cls(rank.number, process, said)
        task = {"number": rank.number, "world": rank.world, "threads": torch.get_num_threads(), "job": job}
        other.tell(json.dumps({**task, "details": details}))
        return other

    def tell(self, line: str) -> None:
        """Send a line. The pipe stays open after it: its end tells that rank 0 is gone, however that happened."""
        assert self.process.stdin is not None
        rest = memoryview((line + "\n").encode())
        try:
            while rest:
                rest = rest[self.process.stdin.write(rest) :]
        except BrokenPipeError:
            self.process.wait()
            raise self.error() from None

    @property
    def failed(self) -> bool:
        return bool(self.process.poll())

    def error(self) -> Exception:
        self.said.seek(0)
        return other_error(self.number, self.process.returncode, self.said.read().decode(errors="replace").strip())

    def end(self) -> None:
        """Kill it, loader processes included, if it is still there."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.said):
            assert stream is not None
            stream.close()


def _meet(others: list[_Other]) -> int:
    """Wait until all are ready, as who waits for a rank that is gone waits long; then say where to meet.

    Returns:
        The port, chosen only now so that nobody else takes it.
    """
    waiting = {other.process.stdout: other for other in others if other.process.stdout}
    while waiting:
        for stream in select.select(list(waiting), [], [])[0]:
            other = waiting.pop(stream)
            if stream.read(len(READY)) != READY:
                other.process.wait()
                raise other.error()
    port = free_port()
    for other in others:
        other.tell(str(port))
    return port


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


@contextmanager
def _signals() -> Iterator[int | None]:
    """A pipe on which signals are heard even while this thread waits for other ranks; None outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        os.close(reading)


def _watch(others: list[_Other], heard: int | None, done: threading.Event) -> None:
    """End this process if it should stop, or another rank failed, and it goes on waiting, as NCCL can for long."""
    asked = 0
    while not done.wait(0.5):
        numbers = os.read(heard, 64) if heard is not None and select.select([heard], [], [], 0)[0] else b""
        asked += sum(number in ASKING for number in numbers)
        code = 128 + signal.SIGINT if signal.SIGINT in numbers else STOPPED
        stop = signal.SIGINT in numbers or asked > waited_for.is_set()  # a training may take its time after the first
        failed = next((other for other in others if other.failed), None)
        if (stop or failed) and not done.wait(_GRACE_S):
            text = f"error {failed.error()}" if failed else "stopped: it did not leave by itself"
            print(text, file=sys.stderr, flush=True)
            for other in others:
                other.end()
            os._exit(code if stop else 1)


def _follow() -> int:
    """Be another rank; the task comes as a line of JSON."""
    task = json.loads(sys.stdin.readline())
    told = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever is printed here is printed by rank 0 too
    rank = Rank(task["number"], task["world"], told=told)
    try:
        with threads(task["threads"]):
            import_module(JOBS[task["job"]]).follow(rank, **task["details"])
    except DfadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Exception:
        print(format_exc(), file=sys.stderr)
        return INTERNAL
    return 0


if __name__ == "__main__":
    code = _follow()
    sys.stderr.flush()
    os._exit(code)  # no waiting for rank 0 to take leave of the process group
