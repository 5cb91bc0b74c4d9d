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


def resolved(root: Root) -> Root:
    """The same place, by absolute paths."""
    if isinstance(root, Roots):
        return Roots({part: folder.resolve() for part, folder in root.parts.items()})
    return root.resolve()


def plain(root: Root) -> str | dict[str, str]:
    """The folder, or that of each part, as JSON holds it."""
    return {part: str(folder) for part, folder in root.parts.items()} if isinstance(root, Roots) else str(root)


def placed(stored: str | Mapping[str, str] | None) -> Root | None:
    """The root of which `plain` made this; None stays None."""
    if stored is None or isinstance(stored, str):
        return None if stored is None else Path(stored)
    return Roots({part: Path(folder) for part, folder in stored.items()})


def _below(folder: Path) -> str:
    return folder.resolve().as_posix().rstrip("/") + "/"
