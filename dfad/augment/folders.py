"""Folders of noises and of room responses: which files there are, what names their content, how one is decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dfad.audio import SUFFIXES, Limits, load, probe
from dfad.augment.base import Sometimes
from dfad.errors import DataError
from dfad.knobs import Later

_ANY_LENGTH = Limits(min_duration_s=0.0)  # a room response may be short
_LOOK = 4096  # bytes


@dataclass(frozen=True)
class Folder:
    """A folder of audio files, however deep they lie in it.

    Attributes:
        path: of the folder.
        option: the key that named it, for messages.
    """

    path: Path
    option: str

    def check(self) -> None:
        """Look at the header of every file.

        Raises:
            DataError: if the folder is missing or holds no audio, or for a file that cannot be used.
        """
        for file in self.files:
            probe(file, limits=_ANY_LENGTH)

    def fingerprint(self) -> str:
        """A hash of names, sizes, and of the first and middle bytes of every file; another place keeps it."""
        return _fingerprint(self.path, self.files)

    def load(self, which: float, sample_rate: int, seconds: float, position: float = 0.0) -> np.ndarray:
        """Decode some seconds of a file, or all of a shorter one.

        Args:
            which: of the files, from 0 to 1.
            sample_rate: Hz.
            seconds: how much of it, at most.
            position: from where, 0 at its start and 1 at the last place that fits.

        Shape:
            (samples,) float32
        """
        files = self.files
        path = files[int(which * len(files))]
        return load(path, sample_rate=sample_rate, crop_s=seconds, position=position, limits=_ANY_LENGTH)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in an order that is the same everywhere.

        Raises:
            DataError: if the folder is missing or holds no audio.
        """
        if not self.path.is_dir():
            raise DataError(f"{self.option}={self.path}: there is no such folder; give one with audio files in it")
        if not (found := _listed(self.path)):
            raise DataError(f"{self.option}={self.path}: no audio files in it; known are {', '.join(sorted(SUFFIXES))}")
        return found


class FolderUser(Sometimes):
    """An augmentation that may be given a folder."""

    folder: Annotated[Path | None, Later] = Field(
        None, description="of audio files: noises for the kind folder, or measured room responses instead"
    )

    @property
    def key(self) -> str:
        """Of the effect in the options; begins the names of its draws."""
        return type(self).__name__.lower()

    @property
    def files(self) -> Folder:
        """The folder, where there is one."""
        assert self.folder is not None
        return Folder(self.folder, f"augment.{self.key}.folder")

    def require(self, at: str) -> None:
        """Refuse a folder without audio files."""
        if self.folder is not None:
            self.files.check()

    def identity(self) -> dict[str, Any]:
        """What can change a run's numbers: of a folder its content, not its path."""
        values = super().identity()
        if self.folder is not None:
            values["folder"] = self.files.fingerprint()
        return values


@lru_cache(maxsize=8)
def _listed(folder: Path) -> tuple[Path, ...]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return tuple(sorted(files, key=lambda path: path.relative_to(folder).as_posix()))


@lru_cache(maxsize=8)
def _fingerprint(folder: Path, files: tuple[Path, ...]) -> str:
    sha = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            size = path.stat().st_size
            sha.update(f"{path.relative_to(folder).as_posix()}\x1f{size}\x1f".encode() + file.read(_LOOK))
            file.seek(size // 2)
            sha.update(file.read(_LOOK))
    return sha.hexdigest()
