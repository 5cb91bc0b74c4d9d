"""The order of an epoch over packs that are larger than the disk: a shuffle that looks at a few chunks at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from operator import itemgetter
from typing import Self

import numpy as np

from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs, MixKnobs
from dfad.corpora.packed import PackedKnobs
from dfad.packs import Pack
from dfad.packs.ahead import fetched_ahead
from dfad.roots import Roots, files


@dataclass(frozen=True)
class Windows:
    """When the clips of packs come in an epoch.

    An epoch puts the chunks in a random order and lets each clip wait for a random part of the window: it comes between
    the turn of its chunk and that of the chunk `window` places later. So every clip still comes as often as it would,
    no more than `window` + 1 chunks are in use at a time, and a new one is wanted when an old one is done. What is in
    no such pack comes at any time.

    Attributes:
        group: of each clip, its pack; -1 if it is in none that has a window. Shape: (clips of the manifest,)
        chunk: of each clip, its chunk's number in its pack, if it is in one. Shape: (clips of the manifest,)
        windows: of each pack.
        packs: themselves.
    """

    group: np.ndarray
    chunk: np.ndarray
    windows: tuple[int, ...]
    packs: tuple[Pack, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest, data: CorpusKnobs) -> Self | None:
        """The windows of a corpus; None where every clip may come at any time."""
        parts = data.parts if isinstance(data, MixKnobs) else {"": data}
        roots = manifest.root.parts if isinstance(manifest.root, Roots) else {"": manifest.root}
        windowed = {
            part: (knobs.window, pack)
            for part, knobs in parts.items()
            if isinstance(knobs, PackedKnobs) and knobs.window and isinstance(pack := roots[part], Pack)
        }
        if not windowed:
            return None
        group = np.full(len(manifest), -1, np.int64)
        for number, part in enumerate(windowed):
            group[(manifest.frame["corpus"] == part).to_numpy() if part else slice(None)] = number
        windows, packs = zip(*windowed.values(), strict=True)
        return cls(group, files(manifest.frame["id"], manifest.root), windows, packs)

    def order(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """In which order rows that were shuffled are read.

        Shape:
            rows: (draws,) int64 -> (draws,) int64, positions in `rows`
        """
        when = random.random(len(rows))  # from 0, the beginning of the epoch, to 1
        for group, window in enumerate(self.windows):
            inside = self.group[rows] == group
            wanted, chunk = np.unique(self.chunk[rows[inside]], return_inverse=True)
            turn = random.permutation(len(wanted))[chunk]
            when[inside] = (turn + window * when[inside]) / (len(wanted) + window)
        return np.argsort(when, kind="stable")

    def ahead(self, rows: np.ndarray, starts: range) -> Iterator[int]:
        """Give the starts of batches, and fetch chunks before the batches that read them.

        Shape:
            rows: (draws,) int64, in the order in which they are read
        """
        rest = rows[starts.start :]
        found: list[tuple[int, Pack, int]] = []  # when a chunk is first wanted, of which pack, its number
        for group, pack in enumerate(self.packs):
            if pack.cache:
                inside = np.flatnonzero(self.group[rest] == group)
                chunks, first = np.unique(self.chunk[rest[inside]], return_index=True)
                places = (starts.start + inside[first]).tolist()
                found += zip(places, [pack] * len(places), chunks.tolist(), strict=True)
        found.sort(key=itemgetter(0))
        wanted = [place for place, _, _ in found]
        files = [(pack, pack.listing.chunks[chunk]) for _, pack, chunk in found]
        with fetched_ahead(files, wanted) if files else nullcontext() as reached:
            for start in starts:
                if reached:
                    reached(start)
                yield start
