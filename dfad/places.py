"""Where a clip is: a file of its own, or a piece of a larger one that a store of pieces knows.

What is built on clips takes a `Place` and reads it by `dfad.audio`, whichever it is.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


class Piece(ABC):
    """The bytes of an audio file that lie within another file; as text it is named for a message."""

    @abstractmethod
    def read(self, start: int = 0, count: int | None = None) -> bytes:
        """Read bytes of the audio file, fewer where it ends.

        Raises:
            AudioError: if they cannot be had.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes of the audio file."""

    @property
    @abstractmethod
    def look(self) -> bytes:
        """What tells these bytes from others, without reading them."""


class Store(ABC):
    """Pieces by the ids of clips: `store / id` is one. As text it is the folder or address where it lies."""

    @abstractmethod
    def __truediv__(self, id_: str) -> Piece: ...

    @abstractmethod
    def files(self, ids: np.ndarray) -> np.ndarray:
        """In which of its larger files the clips lie, by number. Shape: (clips,) of str -> (clips,) int64."""


Place = Path | Piece


@contextmanager
def opened(place: Place) -> Iterator[int]:
    """Give a descriptor of the audio file, at its start.

    Raises:
        OSError, ValueError: if there is none.
        AudioError: if a piece cannot be had.
    """
    if isinstance(place, Path):
        descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not block us
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    else:
        data = memoryview(place.read())
        with memory_file() as descriptor:
            while data:
                data = data[os.write(descriptor, data) :]
            os.lseek(descriptor, 0, os.SEEK_SET)
            yield descriptor


def size_of(place: Place) -> int:
    """Bytes of the audio file."""
    return place.stat().st_size if isinstance(place, Path) else place.size


@contextmanager
def memory_file() -> Iterator[int]:
    """A file without a name, in memory where the system has such, and gone when it is closed."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("dfad", os.MFD_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryFile() as file:
            yield file.fileno()
