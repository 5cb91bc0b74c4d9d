"""Whether the files of a pack are what its list says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from dfad.download import Progress
from dfad.errors import DataError
from dfad.packs.format import File, Listing
from dfad.packs.stores import Where


def damaged(source: Where, listing: Listing, progress: Progress | None = None) -> Iterator[tuple[File, str]]:
    """Check every file, fetching one after the other where they lie elsewhere.

    Yields:
        Each file that is missing or another, and what is wrong with it.
    """
    total, done = listing.clips.size + listing.size, 0
    with tempfile.TemporaryDirectory(prefix="dfad-pack-") as folder:
        for file in (listing.clips, *listing.chunks):
            copy = Path(folder) / file.name
            try:
                source.bring(file, copy)
            except DataError as error:
                yield file, str(error)
            finally:
                copy.unlink(missing_ok=True)
            done += file.size
            if progress:
                progress(done, total)
