"""Decode every clip once before anything is built on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dfad.audio import Limits, verify
from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.errors import AudioError

_BATCH = 256  # clips given to the threads at a time: a million futures would be a gigabyte, and no Ctrl-C


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

    found: dict[str, str] = {}
    done = 0
    # threads will do: the decoders leave Python's lock while they work
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4) as pool:
        for start in range(0, len(rows), _BATCH):
            batch = [int(row) for row in rows[start : start + _BATCH]]
            for row, reason in zip(batch, pool.map(test, batch), strict=True):
                done += 1
                if reason:
                    found[str(manifest.ids[row])] = reason
                if progress:
                    progress(done, len(rows))
    return found
