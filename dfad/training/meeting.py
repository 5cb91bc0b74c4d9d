"""Ranks that a launcher has started, on one host or many, meet in a store: rank 0 says there what is to be done.

The others do nothing but follow, print nothing, and end with rank 0's exit code; what makes one fail, rank 0 tells.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Thread
from traceback import format_exc
from typing import Any
from uuid import uuid4

import torch
from torch import distributed
from torch._C._distributed_c10d import TCPStore

from dfad.errors import ConfigError, DfadError
from dfad.training.launched import Place, place
from dfad.training.ranks import INTERNAL, JOBS, Rank, free_port, other_error
from dfad.training.ranks import threads as computing_in
from dfad.training.stops import leave, listen

_LOOK_S = 0.1  # how soon a process that waits sees what others wrote
_PATIENCE = timedelta(minutes=30)  # for the first word of a host that comes up late
GOES_ON = "the same command goes on after the last checkpoint"
SHARED = "all hosts need the same files at the same paths: work on a shared file system, such as runs=/shared/runs"


@cache
def meeting() -> Meeting | None:
    """Where this process meets the others; None if it was started alone."""
    here = place()
    return Meeting(here) if here else None


@dataclass
class Meeting:
    """A store in which all ranks write.

    Attributes:
        place: of this process.
        jobs: how many there have been; every one has keys of its own.
        lost: whether another rank has failed, and may be gone.
    """

    place: Place
    jobs: int = 0
    lost: bool = False
    store: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self.store = _store(self.place)
        except (RuntimeError, distributed.DistError) as error:
            raise ConfigError(
                f"the processes cannot meet at {self.place.address}:{self.place.port}: "
                f"{str(error).splitlines()[0]}\nMASTER_ADDR and MASTER_PORT name another place"
            ) from error
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
        if self.lost:
            raise DfadError("another rank has failed before; type the command again")
        self.jobs += 1
        task = {"job": job, "details": details, "folder": str(Path.cwd()), "threads": torch.get_num_threads()}
        try:
            self._tell("job", task)
            for number in range(1, self.place.world):
                self._wait(f"ready/{number}")
                self._raise_failure()
            port = free_port()
            self._tell("port", port)
            yield self._rank(port)
            for number in range(1, self.place.world):
                self._wait(f"done/{number}")
                self._raise_failure()
        except DfadError:
            raise
        except Exception as error:  # a broken connection is noticed before what broke it
            self.lost = True
            time.sleep(20 * _LOOK_S)
            self._raise_failure()
            if not _is_broken(error):
                raise
            raise DfadError(f"another rank is gone: {str(error).splitlines()[0]}\n{GOES_ON}") from error
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()

    def end(self, code: int) -> None:
        """Have the others end with a code, and wait a moment for them, as the store may end with this process."""
        self.jobs += 1
        self._tell("job", {"end": code})
        for number in range(1, self.place.world):
            self._wait(f"done/{number}", at_most_s=3)

    def follow(self) -> int:
        """Do the share of another rank in all that comes, and give the exit code."""
        while True:
            self.jobs += 1
            self._wait("job")
            task = self._told("job")
            if "end" in task:
                self._tell(f"done/{self.place.number}", None)
                return int(task["end"])
            try:
                self._do(**task)
            except SystemExit:  # by a signal, after which rank 0 ends too
                self.jobs += 1
                self._tell(f"done/{self.place.number}", None)
                raise
            if distributed.is_initialized():
                distributed.destroy_process_group()

    def _do(self, job: str, details: dict[str, Any], folder: str, threads: int) -> None:
        number = self.place.number

        def ready() -> Rank:
            self._tell(f"ready/{number}", None)
            self._wait("port")
            return self._rank(int(self._told("port")))

        try:
            _enter(folder)
            with computing_in(threads):
                import_module(JOBS[job]).follow(Rank(number, self.place.world, meet=ready), **details)
        except DfadError as error:
            self._fail(error.exit_code, str(error))
        except Exception:
            self._fail(INTERNAL, format_exc())
        self._tell(f"done/{number}", None)

    def _fail(self, code: int, text: str) -> None:
        """Tell rank 0 why this one fails, and end if it does not say anything else in a while."""
        self._tell("failed", {"number": self.place.number, "code": code, "text": text})
        for name in ("ready", "done"):
            self._tell(f"{name}/{self.place.number}", None)
        if distributed.is_initialized():  # rank 0 waits in there
            os._exit(code)

    def _raise_failure(self) -> None:
        if self.store.check([self._key("failed")]):
            self.lost = True
            raise other_error(**self._told("failed"))

    def _rank(self, port: int) -> Rank:
        here = self.place
        return Rank(
            here.number, here.world, port, local=here.local, node=here.number // here.devices, address=here.address
        )

    def _key(self, name: str) -> str:
        return f"{self.jobs}/{name}"

    def _tell(self, name: str, content: Any) -> None:
        self.store.set(self._key(name), json.dumps(content))

    def _told(self, name: str) -> Any:
        return json.loads(self.store.get(self._key(name)))

    def _wait(self, name: str, at_most_s: float = float("inf")) -> None:
        """Wait until something is written; signals are heard meanwhile, as the store's own waiting would not."""
        began = time.monotonic()
        while not self.store.check([self._key(name)]) and time.monotonic() - began < at_most_s:
            time.sleep(_LOOK_S)


def _store(here: Place) -> TCPStore:
    """The store that rank 0 holds, so that it ends with rank 0.

    Where torchrun listens itself its own store only says where that is. It outlives a restart of the processes, which
    hosts count differently, so each of the others asks under a name that no process before it had.
    """
    first = here.number == 0
    if not here.hosted:
        return TCPStore(here.address, here.port, is_master=first, timeout=_PATIENCE, wait_for_workers=False)
    board = TCPStore(here.address, here.port, is_master=False, timeout=_PATIENCE)
    if first:
        store = TCPStore(here.address, 0, is_master=True, timeout=_PATIENCE, wait_for_workers=False)
        Thread(target=_welcome, args=(board, here.world, store.port), daemon=True).start()
        return store
    name = uuid4().hex
    board.set(f"dfad/asks/{here.number}", name)
    while not board.check([f"dfad/answers/{name}"]):
        time.sleep(_LOOK_S)
    port = int(board.get(f"dfad/answers/{name}"))
    return TCPStore(here.address, port, is_master=False, timeout=_PATIENCE)


def _welcome(board: TCPStore, world: int, port: int) -> None:
    """Tell whoever asks where the store of rank 0 is, as late as they may come."""
    answered = set()
    while True:
        for number in range(1, world):
            if board.check([f"dfad/asks/{number}"]) and (name := board.get(f"dfad/asks/{number}")) not in answered:
                answered.add(name)
                board.set(f"dfad/answers/{name.decode()}", str(port))
        time.sleep(_LOOK_S)


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


def follow(here: Meeting) -> int:
    """Be another rank: nothing is printed, as rank 0 prints it."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    listen(leave)
    try:
        return here.follow()
    except distributed.DistError:
        return 1  # rank 0 is gone
