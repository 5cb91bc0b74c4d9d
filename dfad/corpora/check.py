"""Look at every clip before anything is built on them: what it is, and whether it can be decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from dfad.audio import Limits, verify
from dfad.clips import Manifest
from dfad.cores import cores
from dfad.corpora.base import Progress
from dfad.errors import AudioError
from dfad.places import Piece
from dfad.roots import files

_BATCH = 256  # clips given to the threads at a time: a million futures would be a gigabyte, and no Ctrl-C
_LOOK = 4096  # bytes
T = TypeVar("T")


def broken(
    manifest: Manifest, rows: Sequence[int] | np.ndarray, *, limits: Limits, progress: Progress | None = None
) -> dict[str, str]:
    """Find the clips that cannot be used.

    Args:
        manifest: the clips.
        rows: which of them to decode.
        limits: what is refused unread.
        progress: told after every clip.

    Returns:
        The id of each broken clip and what is wrong with it, in manifest order.
    """
    seconds = manifest.frame["duration_s"].to_numpy(float)

    def test(row: int) -> str:
        path, expected = manifest.path(row), seconds[row]
        try:
            verify(path, expected_s=None if np.isnan(expected) else expected, limits=limits)
        except AudioError as error:
            return str(error)
        return ""

    rows = np.asarray(rows)
    order = rows[np.argsort(files(manifest.frame["id"].iloc[rows], manifest.root), kind="stable")]
    reasons = zip(order.tolist(), in_threads(test, order, progress), strict=True)
    found = {row: reason for row, reason in reasons if reason}
    return {str(manifest.ids[row]): found[row] for row in sorted(found)}


def fingerprint(manifest: Manifest, progress: Progress | None = None) -> str:
    """A hash of the table and of a look into every file: its size, its first and its middle bytes.

    Of what a pack holds it takes the checksums that stand in the pack, and reads nothing.

    A copy of a corpus keeps it; the same names with other audio, as a re-recorded or re-encoded copy has, do not.
    """

    def look(row: int) -> bytes:
        place = manifest.path(row)
        if isinstance(place, Piece):
            return place.look
        try:
            with place.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                first = file.read(_LOOK)
                file.seek(size // 2)
                return hashlib.blake2b(size.to_bytes(8, "little") + first + file.read(_LOOK), digest_size=16).digest()
        except (OSError, ValueError):
            return b"unreadable"  # the scan says why

    sha = hashlib.sha256(manifest.digest().encode())
    for found in in_threads(look, range(len(manifest)), progress):
        sha.update(found)
    return sha.hexdigest()


def in_threads(
    work: Callable[[int], T],
    rows: Sequence[int] | np.ndarray,
    progress: Progress | None = None,
    *,
    at_once: int = _BATCH,
) -> Generator[T, None, None]:
    """Do the work for every row and give the results in order; threads will do, as reading leaves Python's lock.

    So many rows are done, and their results kept, before the next are begun.
    """
    done = 0
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(rows), at_once):
            for result in pool.map(work, [int(row) for row in rows[start : start + at_once]]):
                yield result
                done += 1
                if progress:
                    progress(done, len(rows))
