"""A corpus listed in a CSV or Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dfad.clips import Manifest
from dfad.corpora.base import CorpusKnobs, Progress
from dfad.errors import DataError
from dfad.knobs import Free


class ManifestKnobs(CorpusKnobs):
    """Options of a corpus given by its manifest."""

    name: Literal["manifest"] = "manifest"
    path: Annotated[Path, Free] = Field(description="CSV or Parquet with path, label and any other columns")
    root: Annotated[Path | None, Free] = Field(
        None, description="what its paths are relative to; null: what the Parquet says, else its folder"
    )

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Read the file."""
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder; use data=folder, or give a CSV or Parquet file")
        return Manifest.read(self.path, root=self.root)
