"""A stream of samples becomes overlapping windows as long as what a detector hears."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dfad.audio import fit

Wave = NDArray[np.float32]
Piece = tuple[int, Wave]  # the sample at which a window starts, and its samples


class Cutter:
    """Cuts a stream; no more of it is kept than a window, a hop and the block that came last.

    Args:
        size: of a window, samples.
        hop: from the start of a window to that of the next, samples; at most `size`, so that nothing goes unheard.

    Attributes:
        samples: that came so far.

    >>> cutter = Cutter(4, 2)
    >>> [start for block in (np.zeros(5), np.zeros(4)) for start, _ in cutter(block)], [s for s, _ in cutter.last()]
    ([0, 2, 4], [5])
    """

    def __init__(self, size: int, hop: int) -> None:
        if not 1 <= hop <= size:
            raise ValueError(f"a hop of {hop} samples, expected 1 to {size}")
        self.size, self.hop = size, hop
        self.rest: Wave = np.zeros(0, np.float32)
        self.samples = self.next = 0

    def __call__(self, wave: Wave) -> Iterator[Piece]:
        """Take the next samples, and give the windows that they complete. Shape: (samples,)."""
        self.rest = np.concatenate((self.rest, wave))
        self.samples += len(wave)
        begin = self.samples - len(self.rest)
        while self.next + self.size <= self.samples:
            yield self.next, self.rest[self.next - begin : self.next - begin + self.size]
            self.next += self.hop
        self.rest = self.rest[max(0, min(self.next, self.samples - self.size) - begin) :]

    def last(self) -> Iterator[Piece]:
        """Give the window that ends where the stream does, if none did; one that fits nowhere is repeated."""
        if 0 < self.samples < self.size:
            yield 0, fit(self.rest, self.size)
        elif self.samples and self.next - self.hop + self.size < self.samples:
            yield self.samples - self.size, self.rest[-self.size :]
