"""The body of a request on its way into a file without a name: limited while it comes, and never kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import Receive

from dfad.places import memory_file
from dfad.serve.limits import MB, Limits
from dfad.serve.refusals import RefusedError

_DRAIN_S = 5.0


class Uploads:
    """Takes uploads; all that are under way can be given up at once."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.closing = limits, False
        self.deadlines: set[asyncio.Timeout] = set()

    def give_up(self) -> None:
        """Refuse those under way, and all that come."""
        self.closing = True
        now = asyncio.get_running_loop().time()
        for deadline in self.deadlines:
            deadline.reschedule(now)

    @asynccontextmanager
    async def received(self, headers: Mapping[str, str], receive: Receive) -> AsyncIterator[int]:
        """An open file with the whole body in it.

        Raises:
            RefusedError: if it is too large, too slow or empty, or the server shuts down.
        """
        promised = headers.get("content-length", "0")
        if int(promised if promised.isdecimal() else 0) > self.limits.max_bytes:
            raise self._too_large()
        with memory_file() as file:
            try:
                async with asyncio.timeout(self.limits.upload_s) as deadline:
                    self.deadlines.add(deadline)
                    if self.closing:
                        deadline.reschedule(0)
                    size = await self._copy(receive, file)
            except TimeoutError:
                if self.closing:
                    raise shutting_down() from None
                raise RefusedError(408, f"the upload took longer than {self.limits.upload_s:g} s") from None
            finally:
                self.deadlines.discard(deadline)
            if not size:
                raise RefusedError(400, "the file is empty: send the audio file as the body of the request")
            yield file

    async def _copy(self, receive: Receive, file: int) -> int:
        size = 0
        async for data in body(receive):
            size += len(data)
            if size > self.limits.max_bytes:
                raise self._too_large()
            os.write(file, data)
        return size

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"larger than {self.limits.max_bytes / MB:g} MiB")


def shutting_down() -> RefusedError:
    """What all are told who are not served any more."""
    return RefusedError(503, "the server is shutting down", retry_s=5)


async def body(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of a body as they come.

    Raises:
        RefusedError: if the client has gone, whom no answer will reach.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the upload ended before its end")
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def drain(receive: Receive, most: int) -> None:
    """Let a client that is refused end its upload, within reason: many show an answer only after that."""
    size = 0
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for data in body(receive):
                size += len(data)
                if size > most:
                    return
    except (TimeoutError, RefusedError):
        return
