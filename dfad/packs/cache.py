"""Which files of packs elsewhere are on this machine: fetched once, checked, and the least used ones deleted for new.

Ranks, loader processes and other runs share the folder. A file in it is whole and right: it got its name only after its
digest was found right. Whoever reads a file that another process deletes reads on; who comes too late fetches it again.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from dfad.download import Progress
from dfad.errors import DataError
from dfad.packs.format import File
from dfad.packs.stores import Where

_STEP_S = 10.0  # how exactly the time of the last use is kept


class Cache:
    """The files of one pack in a folder that several packs may share.

    Args:
        folder: of all packs.
        limit: bytes that it may hold, less the files that are being fetched.
        pack: what tells the pack from others, its list of files.
        source: where it lies.
    """

    def __init__(self, folder: Path, limit: int, pack: bytes, source: Where) -> None:
        self.folder, self.limit, self.source = folder, limit, source
        self.own = folder / hashlib.sha256(pack).hexdigest()[:16]

    def path(self, file: File, progress: Progress | None = None) -> Path:
        """Where a file is, after it has been fetched if need be.

        Raises:
            DataError: if it cannot be had, saying what to type then.
        """
        path = self.own / file.name
        if not path.is_file():
            try:
                self.own.mkdir(parents=True, exist_ok=True)
                self.source.bring(file, path, progress)
                self._make_room(path)
            except DataError as error:
                told = f"it is {file.name} of the pack {self.source}; the same command goes on"
                raise DataError(f"{error}\n{told}") from None
            except OSError as error:
                raise DataError(
                    f"cannot keep {file.name} of {self.source} in {self.folder}: {error.strerror or error}; "
                    "give another folder as data.cache=…"
                ) from None
        return path

    def open(self, file: File) -> int:
        """A descriptor of a file, and a note that it was used."""
        while True:
            path = self.path(file)
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:  # deleted just now
                continue
            if time.time() - os.fstat(descriptor).st_mtime > _STEP_S:
                with suppress(OSError):
                    os.utime(path)
            return descriptor

    def _make_room(self, new: Path) -> None:
        """Delete what was not used for longest, until the rest is within the limit."""
        with FileLock(self.folder / ".lock"):
            found = []
            for path in self.folder.glob("*/*.tar"):
                with suppress(FileNotFoundError):
                    about = path.stat()
                    found.append((about.st_mtime, about.st_size, path))
            over = sum(size for _, size, _ in found) - self.limit
            for _, size, path in sorted(found):
                if over <= 0:
                    return
                if path != new:
                    path.unlink(missing_ok=True)
                    over -= size
