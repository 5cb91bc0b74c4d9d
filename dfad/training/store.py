"""The store in which ranks that a launcher has started write; rank 0 holds it, so that it ends with rank 0."""

from __future__ import annotations

import atexit
import json
import time
from datetime import timedelta
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from torch import distributed
from torch._C._distributed_c10d import TCPStore

from dfad.errors import ConfigError
from dfad.training.launched import Place

LOOK_S = 0.1  # how soon a process that waits sees what others wrote
_PATIENCE = timedelta(minutes=30)  # for the first word of a host that comes up late


class Store:
    """Words by their names, which begin with that of the launch: whoever comes to the wrong port finds none.

    Args:
        here: the place of this process.

    Raises:
        ConfigError: if the processes cannot meet.
    """

    def __init__(self, here: Place) -> None:
        self._here, self._closing = here, Event()
        self._welcoming: Thread | None = None
        try:
            self._store = self._open()
        except (RuntimeError, distributed.DistError) as error:
            raise ConfigError(
                f"the processes cannot meet at {here.address}:{here.port}: {str(error).splitlines()[0]}\n"
                "MASTER_ADDR and MASTER_PORT name another place"
            ) from error

    def has(self, *names: str) -> bool:
        """Whether any of them is written."""
        return any(self._store.check([self._key(name)]) for name in names)

    def tell(self, name: str, content: Any) -> None:
        """Write plain data."""
        self._store.set(self._key(name), json.dumps(content))

    def told(self, name: str) -> Any:
        """Read what is written."""
        return json.loads(self._store.get(self._key(name)))

    def wait(self, *names: str, until: float = float("inf")) -> None:
        """Wait for any of them; signals are heard meanwhile, as the store's own waiting would not.

        Args:
            names: of what others write.
            until: when to give up, by `time.monotonic`.
        """
        while not self.has(*names) and time.monotonic() < until:
            time.sleep(LOOK_S)

    def close(self) -> None:
        """Answer nobody from now on: a thread must not be inside of the store while the interpreter ends."""
        self._closing.set()
        if self._welcoming:
            self._welcoming.join(timeout=10)

    def _open(self) -> TCPStore:
        """Hold the store, or connect to it.

        Where torchrun listens itself its own store only says where ours is. It outlives a restart of the processes,
        which hosts count differently, so each of the others asks under a name that no process before it had.
        """
        here, first = self._here, self._here.number == 0
        if not here.hosted:
            return TCPStore(here.address, here.port, is_master=first, timeout=_PATIENCE, wait_for_workers=False)
        board = TCPStore(here.address, here.port, is_master=False, timeout=_PATIENCE)
        if first:
            store = TCPStore(here.address, 0, is_master=True, timeout=_PATIENCE, wait_for_workers=False)
            self._welcoming = Thread(target=self._welcome, args=(board, store.port), daemon=True)
            self._welcoming.start()
            atexit.register(self.close)
            return store
        answer = self._key(f"answers/{uuid4().hex}")
        board.set(self._key(f"asks/{here.number}"), answer)
        while not board.check([answer]):
            time.sleep(LOOK_S)
        return TCPStore(here.address, int(board.get(answer)), is_master=False, timeout=_PATIENCE)

    def _welcome(self, board: TCPStore, port: int) -> None:
        """Tell whoever asks where the store of rank 0 is, as late as they may come."""
        answered = set()
        while not self._closing.wait(LOOK_S):
            for asks in (self._key(f"asks/{number}") for number in range(1, self._here.world)):
                try:
                    if board.check([asks]) and (answer := board.get(asks)) not in answered:
                        answered.add(answer)
                        board.set(answer.decode(), str(port))
                except distributed.DistError:
                    return  # torchrun is gone

    def _key(self, name: str) -> str:
        return f"dfad/{self._here.name}/{name}"
