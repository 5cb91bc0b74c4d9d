"""Archives as streams of members: zip, tar, and tar in gzip, bzip2 or xz, whole or cut into parts, told by content.

Nothing is written here. Members come with what speaks against unpacking them; `extract` decides.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from dfad.errors import DataError

Progress = Callable[[int, int], None]  # (bytes of the archive done, of all)

_BLOCK = 1 << 18  # bytes
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError),
    *(ValueError, OverflowError, NotImplementedError),  # what else the readers of headers make of nonsense
)


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as it stands there.
        size: bytes that it says it unpacks to.
        folder: whether it is one.
        objection: why it must not be unpacked; empty if nothing speaks against it.
        open: gives its content, until the next member is asked for.
    """

    name: str
    size: int
    folder: bool
    objection: str
    open: Callable[[], IO[bytes] | None]


@contextmanager
def members(archive: Sequence[Path], progress: Progress | None = None) -> Iterator[Iterator[Member]]:
    """Open an archive; its members come in order, and after the last one a tar is known to have ended well.

    Args:
        archive: the file, or its parts in order, as `split` makes them.
        progress: told of the archive's bytes.

    Raises:
        DataError: for what is damaged, or no archive.
    """
    shown = str(archive[0]) + (f" and {len(archive) - 1} more parts" if len(archive) > 1 else "")
    with ExitStack() as stack:
        packed: Any = stack.enter_context(io.BufferedReader(_Parts(archive), _BLOCK))
        size = sum(path.stat().st_size for path in archive)

        def told(done: int) -> None:
            if progress:
                progress(done, size)

        try:
            magic = packed.peek(8)
            if magic.startswith(b"PK"):
                yield _zip(stack.enter_context(zipfile.ZipFile(packed)), size, told)
            else:
                plain = stack.enter_context(_decompressed(packed, magic))
                reader = _Reader(plain, lambda: told(packed.tell()))
                yield _tar(stack.enter_context(tarfile.open(fileobj=reader, mode="r:")), reader)  # type: ignore[call-overload]
        except (*_BROKEN, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # bzip2 has no error of its own
                raise
            reason = str(error).lower() or "it is cut off"
            raise DataError(f"{shown} is damaged, or no archive: {reason}; delete it and download it again") from None


def _zip(archive: zipfile.ZipFile, size: int, told: Callable[[int], None]) -> Iterator[Member]:
    done = 0
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        objection = _name(info.filename)
        if stat.S_ISLNK(kind):
            objection = objection or "is a link"
        elif kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            objection = objection or "is a device or a pipe"
        elif info.flag_bits & 1:
            objection = objection or "is encrypted"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            objection = objection or f"is packed by method {info.compress_type}, which Python does not know"
        yield Member(info.filename, info.file_size, info.is_dir(), objection, partial(archive.open, info))
        done += info.compress_size
        told(min(done, size))
    told(size)


def _tar(archive: tarfile.TarFile, reader: _Reader) -> Iterator[Member]:
    for info in archive:
        objection = _name(info.name)
        if info.issym() or info.islnk():
            objection = objection or f"is a link to {info.linkname!r}"
        elif not info.isfile() and not info.isdir():
            objection = objection or "is a device or a pipe"
        yield Member(info.name, info.size, info.isdir(), objection, partial(archive.extractfile, info))
    if len(reader.last) < tarfile.BLOCKSIZE or any(reader.last):  # tarfile takes a broken header for the end
        raise tarfile.ReadError("no end of the archive where it should be")
    while reader.read(_BLOCK):  # up to the checksum of what packs it
        pass


def _name(name: str) -> str:
    """What is wrong with the name of a member, if anything is."""
    first, *rest = name.replace("\\", "/").split("/")
    if not first or ":" in first:
        return "has an absolute path"
    if ".." in (first, *rest):
        return "leads out of the folder"
    return "has a name that no file can have" if "\0" in name else ""


def _decompressed(packed: IO[bytes], magic: bytes) -> Any:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=packed)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(packed)
    return lzma.LZMAFile(packed) if magic.startswith(b"\xfd7zXZ") else packed


class _Reader:
    """A file that tells when it was read, and remembers what was read last."""

    def __init__(self, file: IO[bytes], told: Callable[[], None]) -> None:
        self.file, self.told, self.last = file, told, b""

    def read(self, size: int = -1) -> bytes:
        self.last = self.file.read(size)
        self.told()
        return self.last

    def seek(self, place: int, whence: int = 0) -> int:
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()


class _Parts(io.RawIOBase):
    """Several files as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.starts = [0]
        for path in paths:
            self.starts.append(self.starts[-1] + path.stat().st_size)
        self.at, self.part, self.file = 0, 0, paths[0].open("rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, place: int, whence: int = 0) -> int:
        self.at = place + (0, self.at, self.starts[-1])[whence]
        return self.at

    def readinto(self, buffer: Any) -> int:
        part = next((i for i in range(len(self.paths)) if self.starts[i] <= self.at < self.starts[i + 1]), None)
        if part is None:
            return 0
        if part != self.part:
            self.file.close()
            self.part, self.file = part, self.paths[part].open("rb")
        self.file.seek(self.at - self.starts[part])
        count = self.file.readinto(buffer)
        self.at += count
        return count

    def close(self) -> None:
        self.file.close()
        super().close()
