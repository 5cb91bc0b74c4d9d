"""Where a pack lies: what every such place does, and a folder that does it. The others: `web` and `buckets`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from dfad.download import Progress, check
from dfad.errors import DataError
from dfad.packs.format import File

SMALL = 1 << 30  # bytes of what is read into memory, at most


class Where(Protocol):
    """The files of a pack, wherever they lie. As text it is what a user types."""

    def read(self, name: str) -> bytes | None:
        """A small file; None if there is none of that name."""

    def bring(self, file: File, target: Path, progress: Progress | None = None) -> None:
        """Fetch a file, or go on with that, and check it; it is whole at `target`, or not there at all."""

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, whole or not at all."""

    def size(self, name: str) -> int | None:
        """Bytes of a file, None if there is none."""

    def put(self, path: Path, name: str) -> None:
        """Take a file that was made in `workshop`, whole or not at all."""

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""

    def workshop(self) -> AbstractContextManager[Path]:
        """The folder in which files are made, of which this process has the only use."""


class Folder:
    """A folder on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str) -> bytes | None:
        """Read a small file."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def bring(self, file: File, target: Path, progress: Progress | None = None) -> None:
        """Check it where it is."""
        check(self.path / file.name, size=file.size, sha256=file.sha256)

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        part = self.path / f"{name}.part"
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / name)

    def size(self, name: str) -> int | None:
        """Its bytes."""
        path = self.path / name
        return path.stat().st_size if path.is_file() else None

    def put(self, path: Path, name: str) -> None:
        """Rename it."""
        path.replace(self.path / name)

    def delete(self, name: str) -> None:
        """Delete it."""
        (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """The folder itself, so that what is made need only be renamed."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0.2):
                yield self.path
        except Timeout:
            raise DataError(f"{self} is in use by another process; wait for it, or give another --out") from None


class Elsewhere:
    """What places that are not on this machine have in common."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def __str__(self) -> str:
        return self.address
