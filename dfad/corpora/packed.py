"""A corpus in a pack, which `dfad pack` makes of any other: clips, splits and notes are those of that one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dfad.clips import Manifest
from dfad.corpora.base import CorpusKnobs, Progress
from dfad.download import readable
from dfad.errors import ConfigError
from dfad.knobs import Free
from dfad.packs import open_pack, where
from dfad.packs.ahead import in_use


class PackedKnobs(CorpusKnobs):
    """Options of a corpus in a pack."""

    name: Literal["packed"] = "packed"
    path: Annotated[str, Free] = Field(description="its folder, or its address: https://… s3://… gs://… az://…")
    window: int | None = Field(
        None, ge=1, description="shuffle within so many chunks, for packs beyond the disk; null: within all of them"
    )
    cache: Annotated[Path, Free] = Field(Path("data/packs"), description="where chunks from elsewhere are kept")
    cache_gb: Annotated[float, Free] = Field(50.0, gt=0, description="how much of them; the least used ones go")
    scan: Annotated[bool, Free] = Field(False, description="decode every clip once more, as packing did")

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Read the table of a pack, whose digest stands in its list; chunks are read as clips are wanted."""
        limit = round(self.cache_gb * 1e9)
        manifest, pack = open_pack(where(self.path), self.cache, limit, progress)
        if pack.cache and self.window is None and pack.listing.size > limit:
            raise ConfigError(
                f"the pack {self.path} has {readable(pack.listing.size)}, more than data.cache_gb={self.cache_gb:g}: "
                "in any order, hardly a chunk would be there when a clip of it is wanted; raise data.cache_gb, or "
                "train with data.window=16"
            )
        if pack.cache and self.window and (need := in_use(pack, self.window)) > limit:
            raise ConfigError(
                f"data.window={self.window}: chunks for {readable(need)} are in use or fetched ahead, more than "
                f"data.cache_gb={self.cache_gb:g}; raise that, or lower the window"
            )
        return manifest
