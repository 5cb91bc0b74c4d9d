"""What lies on disk: audio below a folder, and the folders and files by which a corpus is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from dfad.audio import is_audio
from dfad.errors import DataError


def files_below(folder: Path, wanted: Callable[[str], bool] = is_audio) -> list[str]:
    """Paths of files below a folder, relative to it, sorted; each folder is listed once, and no file is opened.

    Links to folders are followed, each folder once. Hidden folders are passed by.

    Args:
        folder: where to look.
        wanted: tells by a file's name whether it is meant.

    Raises:
        DataError: for a folder that may not be read, or names that are not UTF-8.
    """
    found: list[str] = []
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: {(error.strerror or str(error)).lower()}")

    for place, below, files in os.walk(folder, followlinks=True, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if (real := os.path.realpath(place)) in seen:
            below.clear()
            continue
        seen.add(real)
        relative = Path(place).relative_to(folder).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        found += [prefix + name for name in files if wanted(name)]
    if odd := [name for name in found if not name.isascii() and name.encode(errors="ignore").decode() != name]:
        raise DataError(f"{folder}: {len(odd)} file names are not UTF-8, the first: {odd[0]!a}; rename them")
    return sorted(found)


def files_in(folders: Iterable[Path], root: Path, wanted: Callable[[str], bool] = is_audio) -> list[str]:
    """Paths of files below several folders, relative to a root in which these lie; see `files_below`."""
    found: list[str] = []
    for folder in folders:
        prefix = f"{folder.relative_to(root).as_posix()}/"
        found += [prefix + name for name in files_below(folder, wanted)]
    return found


def look(
    path: Path, depth: int, *, closed: Callable[[str], bool], wanted: Callable[[str], bool]
) -> tuple[list[Path], list[Path]]:
    """Find what tells where a corpus lies: closed folders, and wanted files outside them.

    Args:
        path: where to look.
        depth: how many folders deep, below it.
        closed: tells by a folder's name that it is one to be found, and not to be looked into: a million files may be
            in it. The path itself may be one.
        wanted: tells by a file's name that it is one to be found.

    Returns:
        The closed folders and the wanted files, sorted by depth and name.
    """
    if closed(path.absolute().name) and path.is_dir():
        return [path if path.name else path.absolute()], []
    folders: list[Path] = []
    files: list[Path] = []
    level = [path]
    for _ in range(depth + 1):
        deeper: list[Path] = []
        for place in level:
            try:
                with os.scandir(place) as entries:
                    here = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
            except OSError:  # a search passes by what it may not see
                continue
            for entry in here:
                if not entry.is_dir():
                    files += [place / entry.name] if wanted(entry.name) else []
                else:
                    (folders if closed(entry.name) else deeper).append(place / entry.name)
        level = deeper
    return folders, files


def above(folders: Collection[Path]) -> Path:
    """The folder in which all of some folders lie."""
    return Path(os.path.commonpath([folder.parent for folder in folders]))
