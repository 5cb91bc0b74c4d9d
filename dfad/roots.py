"""Where the clips of a mix of corpora lie: a folder for each part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Roots:
    """The folder of each part; `roots / id` is where a clip lies, as for a single folder.

    >>> Roots({"for": Path("data/for_2sec"), "mine": Path("my")}) / "mine/a/b.wav"
    PosixPath('my/a/b.wav')
    """

    parts: Mapping[str, Path]

    def __truediv__(self, id_: str) -> Path:
        part, _, rest = id_.partition("/")
        return self.parts[part] / rest

    def __str__(self) -> str:
        return ", ".join(f"{part}: {folder}" for part, folder in self.parts.items())


Root = Path | Roots


def places(ids: pd.Series, root: Root) -> pd.Series:
    """Absolute paths of clips, by which those of two manifests can be compared, whatever the ids are relative to."""
    if not isinstance(root, Roots):
        return _below(root) + ids
    found = ids.copy()
    for part, folder in root.parts.items():
        inside = ids.str.startswith(f"{part}/")
        found = found.mask(inside, _below(folder) + ids.str.slice(len(part) + 1))
    return found


def seen_from(root: Root, folder: Path) -> Root:
    """The same place, by a path relative to a folder if it lies below that, else by absolute paths."""
    if isinstance(root, Roots):
        return Roots({part: below.resolve() for part, below in root.parts.items()})
    place, here = root.resolve(), folder.resolve()
    return place.relative_to(here) if place.is_relative_to(here) else place


def plain(root: Root) -> str | dict[str, str]:
    """The folder, or that of each part, as JSON holds it."""
    return {part: str(folder) for part, folder in root.parts.items()} if isinstance(root, Roots) else str(root)


def placed(stored: str | Mapping[str, str], folder: Path) -> Root:
    """The root of which `plain` made this; a relative path begins at the folder."""
    if isinstance(stored, str):
        return folder / stored
    return Roots({part: Path(below) for part, below in stored.items()})


def _below(folder: Path) -> str:
    return folder.resolve().as_posix().rstrip("/") + "/"
