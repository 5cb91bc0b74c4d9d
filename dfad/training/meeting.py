"""Ranks that a launcher has started, on one host or many, meet in a store: rank 0 says there what is to be done.

The others do nothing but follow, print nothing, and end with rank 0's exit code; what makes one fail, rank 0 tells.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from traceback import format_exc
from typing import Any, NoReturn

import torch
from torch import distributed

from dfad.errors import ConfigError, DfadError
from dfad.training.launched import Place, place
from dfad.training.ranks import INTERNAL, JOBS, Rank, free_port, other_error
from dfad.training.ranks import threads as computing_in
from dfad.training.stops import leave, listen
from dfad.training.store import LOOK_S, Store

_LEAVING_S = 5.0  # for what one process waits of another that should be about to leave
_GONE = "gone"  # told by a rank that has ended because of a failure
GOES_ON = "the same command goes on after the last checkpoint"
SHARED = "all hosts need the same files at the same paths: work on a shared file system, such as runs=/shared/runs"
current: Meeting | None = None  # of this process, once it has met the others


@dataclass
class Meeting:
    """A store in which all ranks write.

    Attributes:
        place: of this process.
        jobs: how many there have been; every one has names of its own.
        lost: whether another rank may be gone.
    """

    place: Place
    jobs: int = 0
    lost: bool = False
    store: Store = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.store = Store(self.place)
        # torch meets at a port of its own for each job, as a sweep has many
        os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None)

    @contextmanager
    def together(self, job: str, details: dict[str, Any]) -> Iterator[Rank]:
        """Have the others do a job beside rank 0, which this process is.

        Yields:
            The rank.

        Raises:
            DfadError: what made another rank fail.
        """
        if self.lost or self.store.has(_GONE):
            raise DfadError("another rank has failed before; type the command again")
        self.jobs += 1
        task = {"job": job, "details": details, "folder": str(Path.cwd()), "threads": torch.get_num_threads()}
        try:
            self.store.tell(self._of("job"), task)
            self._wait_for_all("ready")
            port = free_port()
            self.store.tell(self._of("port"), port)
            yield self._rank(port)
            self._wait_for_all("done")
        except DfadError:
            raise
        except Exception as error:  # a broken connection is noticed before what broke it
            time.sleep(20 * LOOK_S)
            self._raise_failure()
            if not _is_broken(error):
                raise
            self.lost = True
            raise DfadError(f"another rank is gone: {str(error).splitlines()[0]}\n{GOES_ON}") from error
        finally:
            self.store.tell(self._of("left"), None)
            if distributed.is_initialized():
                distributed.destroy_process_group()

    def end(self, code: int) -> None:
        """Have the others end with a code, and wait a moment for them, as the store may end with this process."""
        self.jobs += 1
        self.store.tell(self._of("job"), {"end": code})
        until = time.monotonic() + _LEAVING_S
        for number in range(1, self.place.world):
            self.store.wait(self._of(f"done/{number}"), until=until)
        self.store.close()

    def follow(self) -> int:
        """Do the share of another rank in all that comes, and give the exit code."""
        while True:
            self.jobs += 1
            self.store.wait(self._of("job"))
            task = self.store.told(self._of("job"))
            if "end" in task:
                self._say("done")
                return int(task["end"])
            try:
                self._do(**task)
            except SystemExit:  # by a signal, after which rank 0 ends too
                self.jobs += 1
                self._say("done")
                raise
            if distributed.is_initialized():
                distributed.destroy_process_group()

    def _do(self, job: str, details: dict[str, Any], folder: str, threads: int) -> None:
        number = self.place.number

        def ready() -> Rank:
            self._say("ready")
            self.store.wait(self._of("port"), self._of("left"))
            if not self.store.has(self._of("port")):
                raise DfadError("rank 0 did not get that far")
            return self._rank(int(self.store.told(self._of("port"))))

        try:
            _enter(folder)
            with computing_in(threads):
                import_module(JOBS[job]).follow(Rank(number, self.place.world, meet=ready), **details)
        except DfadError as error:
            self._fail(error.exit_code, str(error))
        except Exception:
            self._fail(INTERNAL, format_exc())
        self._say("done")

    def _fail(self, code: int, text: str) -> None:
        """Tell rank 0 why this one fails, and wait until it has left the job, perhaps by an error of its own.

        If it does not in a while, it waits for this one's share: this process ends, and so does that waiting.
        """
        self.store.tell(self._of("failed"), {"number": self.place.number, "code": code, "text": text})
        for what in ("ready", "done"):
            self._say(what)
        met = self.store.has(self._of("port"))  # before that nothing but the store is waited in
        self.store.wait(self._of("left"), until=time.monotonic() + _LEAVING_S if met else float("inf"))
        if not self.store.has(self._of("left")):
            self.store.tell(_GONE, None)
            os._exit(code)

    def _wait_for_all(self, what: str) -> None:
        for number in range(1, self.place.world):
            self.store.wait(self._of(f"{what}/{number}"), self._of("failed"))
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self.store.has(self._of("failed")):
            told = self.store.told(self._of("failed"))
            self.lost = self.lost or told["code"] == INTERNAL  # such as a broken connection to one that is gone
            raise other_error(**told)

    def _rank(self, port: int) -> Rank:
        here = self.place
        return Rank(
            here.number, here.world, port, local=here.local, node=here.number // here.devices, address=here.address
        )

    def _of(self, what: str) -> str:
        return f"{self.jobs}/{what}"

    def _say(self, what: str) -> None:
        self.store.tell(self._of(f"{what}/{self.place.number}"), None)


def _is_broken(error: Exception) -> bool:
    """Whether it tells of a connection to another rank."""
    return isinstance(error, RuntimeError) and any(
        word in str(error).lower() for word in ("gloo", "nccl", "connection", "peer")
    )


def _enter(folder: str) -> None:
    """Work in the folder that rank 0 works in, so that relative paths mean the same."""
    try:
        os.chdir(folder)
    except OSError:
        raise ConfigError(f"there is no folder {folder} on {socket.gethostname()}; {SHARED}") from None


def require_shared(folder: Path) -> None:
    """Refuse a run folder that another host does not see.

    Raises:
        ConfigError: saying so.
    """
    if not folder.is_dir():
        raise ConfigError(f"{socket.gethostname()} does not see {folder.absolute()}, which rank 0 has made; {SHARED}")


def meet() -> Meeting | None:
    """Meet the others that a launcher has started beside this process; None if it was started alone.

    Whoever else finds the launcher's variables has got them from such a process, and meets nobody.
    """
    global current
    here = place()
    current = Meeting(here) if here else None
    return current


def place_met() -> Place | None:
    """Which of the processes this is that have met; None if it was started alone."""
    return current.place if current else None


def follow(here: Meeting) -> int:
    """Be another rank: nothing is printed, as rank 0 prints it."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    listen(leave)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        return here.follow()
    except distributed.DistError:
        return 1  # rank 0 is gone


def _interrupted(number: int, frame: Any) -> NoReturn:
    """End quietly: whoever is interrupted with this one says so."""
    raise SystemExit(128 + number)
