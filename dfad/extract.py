"""Archives become folders: whole or not at all, and never a byte outside of them.

An archive is read twice: first every member is looked at, so that nothing is written of one that is damaged, too large
for the disk, or out to write elsewhere; then its files are laid into a folder beside the target, which is renamed.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dfad.download import require_space
from dfad.errors import DataError

Progress = Callable[[int, int], None]  # (bytes of the archive done, of all)

_SECTOR = 4096  # bytes; files take up whole ones
_BLOCK = 1 << 18  # bytes


def extract(archive: Path, target: Path, *, progress: Progress | None = None) -> Path:
    """Unpack a tar.gz so that what it holds becomes `target`; one folder around all of it is taken off.

    Args:
        archive: the file.
        target: must not exist, or be an empty folder.
        progress: told of the archive's bytes, each of which is read twice.

    Raises:
        DataError: for an archive that is damaged or has members that are no plain files and folders below it, a target
            that is taken, and a disk without room. The target is then not there.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} is in the way: expected no such folder, or an empty one; remove or rename it")
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        _look(archive, target.parent, progress)
        partial.mkdir()
        with _members(archive, progress, half=1) as (tar, members):
            for member in members:
                tar.extract(member, partial)
        inside = list(partial.iterdir())
        (inside[0] if len(inside) == 1 and inside[0].is_dir() else partial).replace(target)
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked into {target}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _look(archive: Path, place: Path, progress: Progress | None) -> None:
    """Refuse an archive before anything of it is written."""
    total = 0
    with _members(archive, progress, half=0) as (_, members):
        for member in members:
            if reason := _objection(member):
                raise DataError(f"{archive} is refused, nothing was unpacked: its member {member.name!r} {reason}")
            total += -(-member.size // _SECTOR) * _SECTOR
            require_space(place, total, f"unpacking {archive.name} (so far)")
    require_space(place, total, f"unpacking {archive.name}")


def _objection(member: tarfile.TarInfo) -> str:
    """What is wrong with a member, if anything is."""
    first, *rest = member.name.replace("\\", "/").split("/")
    if not first or ":" in first:
        return "has an absolute path"
    if ".." in (first, *rest):
        return "leads out of the folder"
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname!r}"
    if not member.isfile() and not member.isdir():
        return "is a device or a pipe"
    return ""


class _Reader:
    """A file that tells how far it was read, and remembers what was read last."""

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


@contextmanager
def _members(
    archive: Path, progress: Progress | None, half: int
) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """Open an archive; its members come in order, and after the last one the archive is known to be sound."""
    size = archive.stat().st_size if archive.is_file() else 0

    with archive.open("rb") as packed, gzip.GzipFile(fileobj=packed) as file:

        def told() -> None:
            if progress:
                progress(half * size + packed.tell(), 2 * size)

        reader = _Reader(file, told)  # type: ignore[arg-type]

        def each(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
            yield from tar
            if len(reader.last) < tarfile.BLOCKSIZE or any(reader.last):  # tarfile takes a broken header for the end
                raise tarfile.ReadError("no end of the archive where it should be")
            while reader.read(_BLOCK):  # up to gzip's own checksum
                pass

        try:
            with tarfile.open(fileobj=reader, mode="r:") as tar:  # type: ignore[call-overload]
                # Python's own checks beside ours; it has them from 3.11.4 on
                tar.extraction_filter = getattr(tarfile, "data_filter", None)
                yield tar, each(tar)
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{archive} is damaged, or no tar.gz: {str(error).lower()}; delete it and download it again"
            ) from None
