"""Chunks that are fetched a little before they are wanted, beside the work on those before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Semaphore, Thread

from dfad.errors import DataError
from dfad.packs.format import File
from dfad.packs.pack import Pack

AHEAD = 2  # chunks


def in_use(pack: Pack, window: int | None, ranks: int = 1) -> int:
    """Bytes of the chunks that ranks of a host read at a time or have fetched for soon; all where clips come anyhow."""
    whole, largest = pack.listing.size, pack.listing.largest
    return whole if window is None else min(whole, ranks * (window + 1 + AHEAD) * largest)


@contextmanager
def fetched_ahead(chunks: Sequence[tuple[Pack, File]], wanted: Sequence[int]) -> Iterator[Callable[[int], None]]:
    """Fetch chunks in order, in a thread, never more than a few before their time.

    What goes wrong there is not told: whoever reads the chunk meets it too, and tells which clip it was for.

    Args:
        chunks: those that lie elsewhere.
        wanted: when each is first wanted, ascending, in any unit.

    Yields:
        A function to be told how far the work is, in that unit.
    """
    allowed, going, told = Semaphore(AHEAD), True, 0

    def fetch() -> None:
        for pack, chunk in chunks:
            allowed.acquire()
            if not going:
                return
            with suppress(DataError, OSError):
                pack.bring(chunk)

    def reached(place: int) -> None:
        nonlocal told
        while told < len(wanted) and wanted[told] <= place:
            told += 1
            allowed.release()

    Thread(target=fetch, daemon=True).start()
    try:
        yield reached
    finally:
        going = False
        allowed.release()
