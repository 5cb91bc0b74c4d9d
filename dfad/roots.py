"""Where the clips of a corpus lie: a folder, a pack, or one of these for each part of a mix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dfad.places import Place, Store


@dataclass(frozen=True)
class Roots:
    """The place of each part; `roots / id` is where a clip lies, as for a single folder.

    >>> Roots({"for": Path("data/for_2sec"), "mine": Path("my")}) / "mine/a/b.wav"
    PosixPath('my/a/b.wav')
    """

    parts: Mapping[str, Path | Store]

    def __truediv__(self, id_: str) -> Place:
        part, _, rest = id_.partition("/")
        return self.parts[part] / rest

    def __str__(self) -> str:
        return ", ".join(f"{part}: {below}" for part, below in self.parts.items())


Root = Path | Store | Roots


def places(ids: pd.Series, root: Root) -> pd.Series:
    """Absolute paths of clips, by which those of two manifests can be compared, whatever the ids are relative to."""
    if not isinstance(root, Roots):
        return address(root) + ids
    found = ids.copy()
    for part, below in root.parts.items():
        inside = ids.str.startswith(f"{part}/")
        found = found.mask(inside, address(below) + ids.str.slice(len(part) + 1))
    return found


def files(ids: pd.Series, root: Root) -> np.ndarray:
    """In which larger files clips lie: by these numbers sorted, each of those is read once.

    Shape:
        (clips,) -> (clips,) int64; 0 for clips that are files
    """
    found = np.zeros(len(ids), np.int64)
    if isinstance(root, Store):
        return root.files(ids.to_numpy())
    for part, below in root.parts.items() if isinstance(root, Roots) else ():
        inside = ids.str.startswith(f"{part}/").to_numpy()
        found[inside] = files(ids[inside].str.slice(len(part) + 1), below)
    return found


def address(place: Path | Store) -> str:
    """Where a folder or a pack is, the same whatever the current folder, with a slash at its end."""
    text = str(place)
    return (text if "://" in text else Path(text).resolve().as_posix()).rstrip("/") + "/"


def seen_from(root: Root, folder: Path) -> Root:
    """The same place, by a path relative to a folder if it lies below that, else by absolute paths."""
    if isinstance(root, Roots):
        return Roots(
            {part: below.resolve() if isinstance(below, Path) else below for part, below in root.parts.items()}
        )
    if isinstance(root, Store):
        return root
    place, here = root.resolve(), folder.resolve()
    return place.relative_to(here) if place.is_relative_to(here) else place


def plain(root: Root) -> str | dict[str, str]:
    """The folder or pack, or that of each part, as JSON holds it."""
    return {part: str(below) for part, below in root.parts.items()} if isinstance(root, Roots) else str(root)


def placed(stored: str | Mapping[str, str], folder: Path) -> Root:
    """The root of which `plain` made this; a relative path begins at the folder."""
    if isinstance(stored, str):
        return folder / stored
    return Roots({part: Path(below) for part, below in stored.items()})
