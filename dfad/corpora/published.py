"""A corpus that others publish and that lies somewhere below a folder: what is said where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from dfad.corpora.base import AbsentError, CorpusKnobs
from dfad.corpora.signs import recognised
from dfad.errors import DataError
from dfad.knobs import Free


class PublishedKnobs(CorpusKnobs):
    """Options of a published corpus."""

    home: ClassVar[str]  # where it is published
    path: Annotated[Path, Free] = Field(description="folder in which it lies")

    def find(self) -> Path | None:
        """The folder to which its ids are relative; None if it is not below `path`."""
        raise NotImplementedError

    def absent(self, expected: str) -> DataError:
        """The error for a corpus that is not there; `expected` says by what it would be known."""
        if self.path.is_file():
            return DataError(f"{self.path} is a file; unpack it, and give the folder as data.path=…")
        there = recognised(self.path, self.name)
        return AbsentError(f"no {self.name} at {self.path}: expected {expected}{there}\n{self.hint}")

    @property
    def get(self) -> str:
        """What to type to get it."""
        return f"get it ({self.home}): dfad prepare {self.name} --root {self.path}"

    @property
    def hint(self) -> str:
        """What to type to get it, or to say where it is."""
        return f"{self.get}\nor say where a copy lies: data.path=…"
