"""The order of an epoch over packs that are larger than the disk: a shuffle that looks at a few chunks at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from operator import itemgetter
from pathlib import Path
from typing import Self

import numpy as np

from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs, MixKnobs
from dfad.corpora.packed import PackedKnobs
from dfad.download import readable
from dfad.errors import ConfigError
from dfad.packs import Pack
from dfad.packs.ahead import fetched_ahead, in_use
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
        windowed = {part: (knobs.window, pack) for part, knobs, pack in _packs(manifest, data) if knobs.window}
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
        fetches = [(pack, pack.listing.chunks[chunk]) for _, pack, chunk in found]
        with fetched_ahead(fetches, wanted) if fetches else nullcontext() as reached:
            for start in starts:
                if reached:
                    reached(start)
                yield start


def require_room(manifest: Manifest, data: CorpusKnobs, ranks: int) -> None:
    """Refuse caches without room for what the ranks of a host read at a time of all packs that share them.

    Raises:
        ConfigError: saying how much room is needed.
    """
    shared: dict[Path, list[tuple[str, int, Pack]]] = {}
    for part, knobs, pack in _packs(manifest, data):
        if pack.cache:
            name = f"data.parts.{part}.cache_gb" if part else "data.cache_gb"
            shared.setdefault(pack.cache.folder.resolve(), []).append((name, in_use(pack, knobs.window, ranks), pack))
    for folder, found in shared.items():
        need, room = sum(need for _, need, _ in found), min(pack.cache.limit for _, _, pack in found if pack.cache)
        if need > room:
            wanted = " ".join(f"{name}={ceil(need / 1e8) / 10:g}" for name, _, _ in found)
            raise ConfigError(
                f"{folder} may hold {readable(room)}, and {ranks} {'ranks' if ranks > 1 else 'rank'} of this host need "
                f"chunks for {readable(need)} at a time, more than that; type {wanted}, or a smaller window"
            )


def _packs(manifest: Manifest, data: CorpusKnobs) -> Iterator[tuple[str, PackedKnobs, Pack]]:
    """The parts of a corpus that are packs; the name of a corpus that is no mix is empty."""
    parts = data.parts if isinstance(data, MixKnobs) else {"": data}
    roots = manifest.root.parts if isinstance(manifest.root, Roots) else {"": manifest.root}
    for part, knobs in parts.items():
        if isinstance(knobs, PackedKnobs) and isinstance(pack := roots[part], Pack):
            yield part, knobs, pack
