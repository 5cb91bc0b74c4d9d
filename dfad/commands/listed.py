"""The files that words of a command line mean: files, folders, patterns, and lists on stdin."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from dfad.audio import SUFFIXES, is_audio

Found = tuple[Path, str]  # a file and "", or what gives none and why


def listed(words: Iterable[str], stdin: BinaryIO | None = None) -> list[Found]:
    """Find files, each once, in the order of the words and sorted below each.

    A file that is named is taken whatever it is called; a folder gives the files below it with a suffix of audio, and
    links to folders are followed once. A word with *, ? or [ that is no file is a pattern, ** any folders in it.

    Args:
        words: as they were typed; `-` stands for the names on stdin.
        stdin: names one a line, or ended by NUL bytes if there are any.
    """
    found: dict[str, Found] = {}
    for word in _with_stdin(words, stdin):
        for path, wrong in _of_word(word):
            found.setdefault(os.path.abspath(path), (path, wrong))  # noqa: PTH100  (a loop of links has no end)
    return list(found.values())


def _with_stdin(words: Iterable[str], stdin: BinaryIO | None) -> Iterator[str]:
    for word in words:
        if word == "-":
            names = (stdin or sys.stdin.buffer).read()
            ending = b"\0" if b"\0" in names else b"\n"
            yield from (os.fsdecode(name.removesuffix(b"\r")) for name in names.split(ending) if name.strip())
        else:
            yield word


def _of_word(word: str) -> Iterator[Found]:
    path = Path(word)
    if _is_folder(path):
        yield from _below(path)
    elif not os.path.lexists(path) and glob.has_magic(word):
        matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207  (a pattern may be absolute)
        if not matches:
            yield path, "no file matches this pattern"
        for match in map(Path, matches):
            yield from _below(match) if _is_folder(match) else [(match, "")]
    else:
        yield path, ""


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # the decoder will say what is wrong with such a name
        return False


def _below(folder: Path) -> Iterator[Found]:
    """Files of audio below a folder; hidden ones are passed by."""
    refused: list[Found] = []
    files: list[Found] = []
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        refused.append((Path(os.fsdecode(error.filename)), (error.strerror or str(error)).lower()))

    for place, below, names in os.walk(folder, followlinks=True, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if (real := os.path.realpath(place)) in seen:  # a link that leads back
            below.clear()
            continue
        seen.add(real)
        files += [(Path(place, name), "") for name in names if is_audio(name)]
    if not files and not refused:
        yield folder, f"no audio below this folder; known suffixes: {', '.join(sorted(SUFFIXES))}"
    yield from sorted([*files, *refused])
