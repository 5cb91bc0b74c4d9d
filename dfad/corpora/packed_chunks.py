"""The clips of a split → chunks of a pack, one after the other; those that are there are not made again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from dfad.audio import Limits
from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.corpora.check import in_threads
from dfad.corpora.packed_clips import Bytes, Recipe, prepared
from dfad.errors import AudioError
from dfad.packs.format import END, File, chunk_name, header, padding
from dfad.packs.stores import Where

RECORD = ".json"  # beside a chunk, while the pack is made: what is in it
_AT_ONCE = 16  # clips begun before a chunk may end


@dataclass(frozen=True)
class Chunk:
    """What is known of a finished chunk, as its record holds it.

    Attributes:
        file: the chunk.
        rows: of the manifest that it took, the skipped ones included. Shape: (clips,)
        starts, sizes: where the audio file of each lies; -1 of the skipped ones.
        changed: clips whose samples are not those of their files.
        skipped: what is wrong with which, by id.
    """

    file: File
    rows: list[int]
    starts: list[int]
    sizes: list[int]
    changed: int
    skipped: dict[str, str]

    def __len__(self) -> int:
        return len(self.rows)


class Split:
    """The chunks of one split, one after the other."""

    def __init__(
        self,
        manifest: Manifest,
        split: str,
        out: Where,
        shop: Path,
        recipe: Recipe,
        limits: Limits,
        progress: Progress | None,
        before: int,
    ) -> None:
        self.manifest, self.split, self.out, self.shop = manifest, split, out, shop
        self.recipe, self.limits, self.progress, self.before = recipe, limits, progress, before
        self.rows = in_order(manifest, split)
        self.seconds = manifest.frame["duration_s"].to_numpy(float)

    def pack(self) -> Iterator[Chunk]:
        """Make what is not there."""
        done, number = 0, 0
        while done < len(self.rows):
            chunk = self._found(number, done) or self._made(number, done)
            done, number = done + len(chunk), number + 1
            if self.progress:
                self.progress(self.before + done, len(self.manifest))
            yield chunk
        while self.out.size(name := chunk_name(self.split, number)) is not None:  # its clips have moved forward
            self.out.delete(name)
            self.out.delete(name + RECORD)
            number += 1

    def _found(self, number: int, done: int) -> Chunk | None:
        """A chunk that an earlier call made, if it is what would be made now."""
        text = self.out.read(chunk_name(self.split, number) + RECORD)
        try:
            stored = json.loads(text or b"")
            chunk = Chunk(**{**stored, "file": File(**stored["file"])})
        except (ValueError, TypeError, KeyError):
            return None
        now = self.rows[done : done + len(chunk)].tolist()
        if chunk.rows != now or self.out.size(chunk.file.name) != chunk.file.size:
            return None
        mended = any(not isinstance(self._read(row), str) for row in self._skipped(chunk))
        return None if mended else chunk

    def _skipped(self, chunk: Chunk) -> list[int]:
        return [row for row, start in zip(chunk.rows, chunk.starts, strict=True) if start < 0]

    def _made(self, number: int, done: int) -> Chunk:
        name = chunk_name(self.split, number)
        part = self.shop / f"{name}.part"
        rows, starts, sizes, changed, skipped = [], [], [], 0, {}
        sha256, at = hashlib.sha256(), 0
        reader = in_threads(self._read, self.rows[done:], at_once=_AT_ONCE)
        with part.open("wb") as file:
            for row, found in zip(map(int, self.rows[done:]), reader, strict=False):
                id_ = str(self.manifest.ids[row])
                if isinstance(found, str):
                    skipped[id_] = found
                    start = size = -1
                else:
                    head, size = header(id_, len(found.data)), len(found.data)
                    if at and at + len(head) + size > self.recipe.chunk:
                        break
                    start = at + len(head)
                    for piece in (head, found.data, padding(size)):
                        file.write(piece)
                        sha256.update(piece)
                        at += len(piece)
                    changed += found.changed
                rows.append(row)
                starts.append(start)
                sizes.append(size)
                if self.progress:
                    self.progress(self.before + done + len(rows), len(self.manifest))
            reader.close()
            file.write(END)
            sha256.update(END)
            file.flush()
            os.fsync(file.fileno())
        chunk = Chunk(File(name, at + len(END), sha256.hexdigest()), rows, starts, sizes, changed, skipped)
        self.out.put(part, name)
        self.out.write(chunk_name(self.split, number) + RECORD, json.dumps(asdict(chunk)).encode())
        return chunk

    def _read(self, row: int) -> Bytes | str:
        """What of a clip goes into the pack, or why nothing does."""
        place, expected = self.manifest.path(row), self.seconds[row]
        promised = None if np.isnan(expected) else float(expected)
        try:
            return prepared(place, self.recipe, expected_s=promised, limits=self.limits)
        except AudioError as error:
            return str(error).removeprefix(f"{place}: ")


def in_order(manifest: Manifest, split: str) -> np.ndarray:
    """The rows of a split as they lie in the pack.

    The hash is the one by which some clips are chosen to stand for all, so that those are in the first chunks.

    Shape:
        (clips of the split,) int64
    """
    rows = manifest.rows(split)
    if split != "train":
        return rows
    hashes = [crc32(str(id_).encode(errors="surrogatepass")) for id_ in manifest.ids[rows]]
    return rows[np.argsort(hashes, kind="stable")]
