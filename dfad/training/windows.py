"""The order of an epoch over packs that are larger than the disk: a shuffle that looks at a few chunks at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs, MixKnobs
from dfad.corpora.packed import PackedKnobs
from dfad.packs import Pack
from dfad.roots import Roots


@dataclass(frozen=True)
class Windows:
    """When the clips of packs come in an epoch.

    An epoch puts the chunks in a random order and lets each clip wait for a random part of the window: it comes between
    the turn of its chunk and that of the chunk `window` places later. So every clip still comes as often as it would,
    no more than `window` + 1 chunks are in use at a time, and a new one is wanted when an old one is done. What is in
    no such pack comes at any time.

    Attributes:
        group: of each clip, its pack; -1 if it is in none that has a window. Shape: (clips of the manifest,)
        chunk: of each clip, its chunk's number in its pack. Shape: (clips of the manifest,)
        windows: of each pack.
    """

    group: np.ndarray
    chunk: np.ndarray
    windows: tuple[int, ...]

    @classmethod
    def of(cls, manifest: Manifest, data: CorpusKnobs) -> Self | None:
        """The windows of a corpus; None where every clip may come at any time."""
        mix = isinstance(manifest.root, Roots)
        parts = data.parts if isinstance(data, MixKnobs) else {"": data}
        roots = manifest.root.parts if isinstance(manifest.root, Roots) else {"": manifest.root}
        group, chunk = np.full((2, len(manifest)), -1, np.int64)
        windows: list[int] = []
        ids = manifest.frame["id"]
        for part, knobs in parts.items():
            pack = roots[part]
            if not isinstance(knobs, PackedKnobs) or knobs.window is None or not isinstance(pack, Pack):
                continue
            inside = (manifest.frame["corpus"] == part).to_numpy() if mix else np.ones(len(manifest), bool)
            group[inside] = len(windows)
            chunk[inside] = pack.files(ids[inside].str.slice(len(part) + 1 if mix else 0).to_numpy())
            windows.append(knobs.window)
        return cls(group, chunk, tuple(windows)) if windows else None

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
