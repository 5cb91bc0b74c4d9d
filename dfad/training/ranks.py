"""Ranks: the processes that train or score together, one for each device of this machine, or of several."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
import torch.distributed
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

from dfad.errors import ConfigError, DataError, DfadError

JOBS = {"train": "dfad.training.fit", "evaluate": "dfad.training.task"}  # modules with a function `follow`
READY = b"ready"
INTERNAL = 70  # exit code of a rank for an error that is no DfadError
T = TypeVar("T")


@dataclass(frozen=True)
class Rank:
    """Which of the processes this is."""

    number: int = 0
    world: int = 1
    port: int = 0  # where rank 0 waits for the others
    told: int | None = None  # pipe to rank 0
    meet: Callable[[], Rank] | None = None  # where there is no pipe, as a launcher has started the ranks
    address: str = "127.0.0.1"  # of rank 0
    node: int = 0  # which of the hosts this is
    local: int | None = None  # which of the host's ranks, if there are several hosts

    def ready(self) -> Rank:
        """Tell rank 0 that what can fail alone is behind, and learn where to meet; after that it goes with rank 0.

        Input is read bare: the lock of `sys.stdin` would be held for ever, and loader processes close it.
        """
        if self.meet:
            return self.meet()
        assert self.told is not None
        os.write(self.told, READY)
        os.close(self.told)
        port = int(os.read(0, 32))
        threading.Thread(target=_go_with_rank_0, daemon=True).start()
        return replace(self, port=port)

    @property
    def environment(self) -> list[Any]:
        """What Lightning's Trainer takes as `plugins`; nothing for a lone process."""
        return [_Started(self)] if self.world > 1 else []


ALONE = Rank()


def _go_with_rank_0() -> None:
    os.read(0, 1)  # ends when rank 0 does
    os.killpg(0, signal.SIGKILL)  # loader processes too


class _Started(ClusterEnvironment):
    """Tells Lightning that all ranks have been started, and which one this is, without environment variables."""

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self.rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.rank.address

    @property
    def main_port(self) -> int:
        return self.rank.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.rank.world

    def set_world_size(self, size: int) -> None:
        """It is known already."""

    def global_rank(self) -> int:
        return self.rank.number

    def set_global_rank(self, rank: int) -> None:
        """It is known already."""

    def local_rank(self) -> int:
        return self.rank.number if self.rank.local is None else self.rank.local

    def node_rank(self) -> int:
        return self.rank.node


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute in so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, number))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gathered(parts: list[T], world: int) -> list[T]:
    """The parts of all ranks; they need not be equally many."""
    if world == 1:
        return parts
    everyone: list[list[T]] = [[] for _ in range(world)]
    torch.distributed.all_gather_object(everyone, parts)
    return [part for rank in everyone for part in rank]


def other_error(number: int, code: int, text: str) -> Exception:
    """What made another rank fail, as it has told it."""
    if code == INTERNAL or code < 0 or not text:
        return RuntimeError(f"rank {number} ended with code {code}\n{text}".rstrip())
    return {2: ConfigError, 3: DataError}.get(code, DfadError)(text)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
