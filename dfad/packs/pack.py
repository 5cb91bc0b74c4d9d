"""A pack that is read: a clip's id → the bytes of its audio file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfad.clips import Manifest
from dfad.download import Progress
from dfad.errors import AudioError, DataError
from dfad.packs.cache import Cache
from dfad.packs.format import LIST, PLACE, File, Listing
from dfad.packs.stores import Folder, Where
from dfad.places import Piece, Store


class Pack(Store):
    """Where each clip lies in which chunk.

    Kept as three numbers a clip, beside a hash of its id by which they are found: of ten million clips that is 240 MB,
    which loader processes share.
    """

    def __init__(self, source: Where, listing: Listing, cache: Cache | None, ids: Any, places: pd.DataFrame):
        self.source, self.listing, self.cache = source, listing, cache
        hashes = np.fromiter(map(_hash, ids), np.uint64, len(places))
        order = np.argsort(hashes, kind="stable")
        self.hashes = hashes[order]
        if (same := self.hashes[1:] == self.hashes[:-1]).any():
            one, other = (ids[int(order[np.argmax(same) + step])] for step in (0, 1))
            raise DataError(f"{source}: clips {one} and {other} cannot be told apart by their hashes; rename one")
        self.chunks, self.starts, self.sizes = (places[name].to_numpy(np.int64)[order] for name in PLACE)

    def __str__(self) -> str:
        return str(self.source)

    def __truediv__(self, id_: str) -> Clip:
        hash_ = _hash(id_)
        at = int(np.searchsorted(self.hashes, np.uint64(hash_)))
        if at == len(self.hashes) or self.hashes[at] != hash_:
            raise KeyError(f"{id_} is not in {self}")
        return Clip(self, id_, int(self.chunks[at]), int(self.starts[at]), int(self.sizes[at]))

    def files(self, ids: np.ndarray) -> np.ndarray:
        """The chunks of clips, by number. Shape: (clips,) of str -> (clips,) int64."""
        return self.chunks[np.searchsorted(self.hashes, np.fromiter(map(_hash, ids), np.uint64, len(ids)))]

    def bring(self, chunk: File) -> None:
        """See to it that a chunk is on this machine."""
        if self.cache:
            self.cache.path(chunk)

    def open(self, chunk: File) -> int:
        """A descriptor of a chunk."""
        if self.cache:
            return self.cache.open(chunk)
        assert isinstance(self.source, Folder)
        return os.open(f"{self.source}/{chunk.name}", os.O_RDONLY)  # text: joining paths takes longer than reading


@dataclass(frozen=True)
class Clip(Piece):
    """An audio file in a chunk: so many bytes from a start on."""

    pack: Pack
    id: str
    chunk: int
    start: int
    length: int

    def __str__(self) -> str:
        return f"{self.pack}/{self.id}"

    @property
    def size(self) -> int:
        """Bytes of the audio file."""
        return self.length

    @property
    def look(self) -> bytes:
        """The digest of its chunk, and where in that it is."""
        digest = self.pack.listing.chunks[self.chunk].sha256
        return hashlib.blake2b(f"{digest} {self.start} {self.length}".encode(), digest_size=16).digest()

    def read(self, start: int = 0, count: int | None = None) -> bytes:
        """Read bytes of it, with a descriptor of its own: processes and threads are never in each other's way."""
        chunk = self.pack.listing.chunks[self.chunk]
        wanted = max(0, self.length - start if count is None else min(count, self.length - start))
        try:
            descriptor = self.pack.open(chunk)
            try:
                data = os.pread(descriptor, wanted, self.start + start)
            finally:
                os.close(descriptor)
        except DataError as error:
            raise AudioError(f"{self}: {error}") from None
        except OSError as error:
            raise AudioError(f"{self}: cannot read its chunk {chunk.name}: {error.strerror or error}") from None
        if len(data) < wanted:
            raise AudioError(
                f"{self}: its chunk {chunk.name} is cut off; copy it again (dfad pack {self.pack} --verify)"
            )
        return data


def open_pack(source: Where, cache: Path, limit: int, progress: Progress | None = None) -> tuple[Manifest, Pack]:
    """Read the list and the table of a pack.

    Args:
        source: where it lies.
        cache: folder for the files of packs that are elsewhere.
        limit: bytes that it may hold.
        progress: told of bytes that come.

    Returns:
        The manifest, whose root is the pack; and the pack.

    Raises:
        DataError: if there is none, if it is damaged, or if its parts do not fit each other.
    """
    listing, kept = read_listing(source), None
    if isinstance(source, Folder):
        path = source.path / listing.clips.name
        source.bring(listing.clips, path)
    else:
        kept = Cache(cache, limit, listing.text(), source)
        path = kept.path(listing.clips, progress)
    manifest = Manifest.read(path, root=Path())
    frame = manifest.frame
    whole = pd.api.types.is_integer_dtype
    if missing := [name for name in PLACE if name not in frame or not whole(frame[name]) or frame[name].hasnans]:
        raise DataError(f"{path} is no table of a pack: no whole numbers in a column {missing[0]}")
    places = frame[list(PLACE)]
    _require_inside(places, listing, path)
    pack = Pack(source, listing, kept, frame["id"].array, places)
    return manifest.having(frame.drop(columns=list(PLACE))).at(pack), pack


def read_listing(source: Where) -> Listing:
    """Read what a pack lists.

    Raises:
        DataError: if there is none, or it is damaged.
    """
    text = source.read(LIST)
    if text is None:
        raise DataError(f"no pack at {source}: there is no {LIST}; dfad pack CORPUS --out {source} makes one")
    return Listing.read(text, str(source))


def _require_inside(places: pd.DataFrame, listing: Listing, path: Path) -> None:
    """Refuse a table that points to what is not there."""
    chunks, starts, sizes = (places[name].to_numpy(np.int64) for name in PLACE)
    ends = np.array([chunk.size for chunk in listing.chunks], np.int64)
    wrong = (chunks < 0) | (chunks >= len(ends)) | (starts < 0) | (sizes < 0)
    inside = ends[np.where(wrong, 0, chunks)] if len(ends) else np.zeros(len(chunks), np.int64)
    wrong |= (starts > inside) | (sizes > inside - starts)
    if wrong.any():
        raise DataError(f"{path}: {wrong.sum()} clips lie outside the chunks of the pack; copy the pack again")


def _hash(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
