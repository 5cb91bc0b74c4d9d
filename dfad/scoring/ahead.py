"""Several streams read ahead by threads, and handed on in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Full, Queue
from threading import Event
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_S = 0.1  # how soon a thread that waits sees that it should end


class _End:
    """Stands behind the last item of a stream; holds what went wrong, if anything did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Stream(Generic[T]):
    """A stream that one thread fills while another takes from it."""

    def __init__(self, items: Iterable[T], kept: int, stop: Event) -> None:
        self.items, self.stop = items, stop
        self.queue: Queue[T | _End] = Queue(kept)

    def fill(self) -> None:
        end = _End()
        try:
            for item in self.items:
                if not self._put(item):
                    return
        except BaseException as error:  # it is raised where the stream is read
            end = _End(error)
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        while not self.stop.is_set():
            try:
                self.queue.put(item, timeout=_LOOK_S)
            except Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[T]:
        while not isinstance(item := self.queue.get(), _End):
            yield item
        if item.error:
            raise item.error


def ahead(streams: Iterable[Iterable[T]], *, threads: int, kept: int) -> Generator[Iterator[T]]:
    """Give streams in order while threads read them and some of those that follow.

    Each must be read to its end, or to its error, before the next is asked for.

    Args:
        streams: taken as they are needed.
        threads: that read.
        kept: items of a stream that wait to be taken; a thread waits while there are so many.
    """
    stop = Event()
    waiting: deque[_Stream[T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    try:
        for items in streams:
            stream = _Stream(items, kept, stop)
            waiting.append(stream)
            pool.submit(stream.fill)
            if len(waiting) > 2 * threads:
                yield iter(waiting.popleft())
        while waiting:
            yield iter(waiting.popleft())
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
