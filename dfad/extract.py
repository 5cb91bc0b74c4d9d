"""Archives become folders: whole or not at all, and never a byte outside of them.

An archive is read twice: first every member is looked at, so that nothing is written of one that is too large for the
disk or out to write elsewhere (a tar is then known to be sound, too); then its files are laid into a hidden folder of
the target, and moved from there once all of them have come.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from dfad.download import require_space
from dfad.errors import DataError
from dfad.packed import Progress, members

_SECTOR = 4096  # bytes; files take up whole ones


def extract(archive: Path | Sequence[Path], into: Path, *, progress: Progress | None = None) -> None:
    """Unpack an archive into a folder, beside what is there.

    Args:
        archive: a zip, a tar, or a tar in gzip, bzip2 or xz; the file, or its parts in order.
        into: the folder. A file that is there already may only be one that the archive has too, of the same size.
        progress: told of the archive's bytes, each of which is read twice.

    Raises:
        DataError: for an archive that is damaged or has members that are no plain files and folders below it, a file in
            the way, and a disk without room. Nothing of the archive is then in the folder.
    """
    parts = [archive] if isinstance(archive, Path) else list(archive)
    partial = into / f".{parts[0].name}.partial"
    try:
        into.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        _look(parts, into, _half(progress, 0))
        partial.mkdir()
        _write(parts, partial, _half(progress, 1))
        _require_way(partial, into)
        _move(partial, into)
    except OSError as error:
        raise DataError(f"{parts[0]} cannot be unpacked into {into}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _half(progress: Progress | None, half: int) -> Progress | None:
    """Progress of the first or the second reading."""
    return (lambda done, size: progress(half * size + done, 2 * size)) if progress else None


def _look(parts: Sequence[Path], place: Path, progress: Progress | None) -> None:
    """Refuse an archive before anything of it is written."""
    total = 0
    with members(parts, progress) as entries:
        for member in entries:
            if member.objection:
                raise DataError(
                    f"{parts[0]} is refused, nothing was unpacked: its member {member.name!r} {member.objection}"
                )
            total += max(1, -(-member.size // _SECTOR)) * _SECTOR
            require_space(place, total, f"unpacking {parts[0].name} (so far)")
    require_space(place, total, f"unpacking {parts[0].name}")


def _write(parts: Sequence[Path], partial: Path, progress: Progress | None) -> None:
    with members(parts, progress) as entries:
        for member in entries:
            target = partial / member.name
            if member.folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            source = member.open()
            assert source is not None  # it is a file
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)


def _require_way(partial: Path, into: Path) -> None:
    """Refuse to lay anything over what is not the same."""
    for new in partial.rglob("*"):
        there = into / new.relative_to(partial)
        if there.is_dir() if new.is_dir() else there.is_file() and there.stat().st_size == new.stat().st_size:
            continue
        if there.exists() or there.is_symlink():
            raise DataError(f"{there} is in the way, and is not what the archive has there; remove or rename it")


def _move(partial: Path, into: Path) -> None:
    """Move what a folder holds into another, whole folders at once where there are none of their names."""
    for new in sorted(partial.iterdir()):
        there = into / new.name
        if new.is_dir() and there.is_dir():
            _move(new, there)
        else:
            new.replace(there)
