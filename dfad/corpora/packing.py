"""A corpus → a pack: its audio files, or their samples, in chunks, with the manifest and where each clip lies.

A chunk holds clips of one split. Those of training come in an order by hash, so that every chunk is a sample of the
whole split and a shuffle within a few chunks will do; the others as in the manifest, in which order they are scored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dfad.audio import Limits
from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.corpora.packed_chunks import RECORD, Chunk, Split
from dfad.corpora.packed_clips import Recipe
from dfad.errors import DataError
from dfad.labels import SPLITS
from dfad.packs.format import CLIPS, LIST, PLACE, File, Listing
from dfad.packs.pack import read_listing
from dfad.packs.stores import Where

_CLAIM = "packing.json"  # while a pack is made: what it will be
_TYPED = {"clips": "clips", "kind": "--as", "rate": "--rate", "chunk": "--chunk-mb"}


@dataclass(frozen=True)
class Packed:
    """What came of it.

    Attributes:
        listing: of the pack; None if it is not finished, as some clips cannot be used.
        clips: that are in it.
        changed: of these, how many have other samples than their files: resampled, mixed down, or rounded to 16 bits.
        skipped: what is wrong with each clip that is not in it, by id.
        before: whether it was there already.
    """

    listing: Listing | None
    clips: int
    changed: int
    skipped: Mapping[str, str]
    before: bool = False


def write_pack(
    manifest: Manifest, out: Where, recipe: Recipe, *, limits: Limits, progress: Progress | None = None
) -> Packed:
    """Write a pack, or go on with one: chunks that are there are not made again, and the result is the same.

    Every clip is decoded on the way. `pack.json` comes last: without it there is no pack.

    Args:
        manifest: the clips.
        out: where it shall lie.
        recipe: how it is made.
        limits: what is refused unread.
        progress: told of clips.

    Raises:
        DataError: if something else lies there, if no clip can be used, or if it cannot be written.
    """
    if taken := {*PLACE} & {*manifest.frame.columns}:
        raise DataError(f"the manifest has a column {min(taken)}, which a pack needs for itself; rename it")
    made = {"clips": manifest.digest(), **asdict(replace(recipe, skip=False))}
    del made["skip"]
    try:
        with out.workshop() as shop:
            if done := _claim(out, shop, made, recipe.skip):
                return done
            chunks: list[Chunk] = []
            for split in SPLITS:
                chunks += Split(manifest, split, out, shop, recipe, limits, progress, sum(map(len, chunks))).pack()
            return _finish(manifest, out, shop, recipe, made, chunks)
    except OSError as error:
        raise DataError(f"cannot write to {out}: {(error.strerror or str(error)).lower()}") from None


def _claim(out: Where, shop: Path, made: Mapping[str, Any], skip: bool) -> Packed | None:
    """Take the place for this pack, or give the one that is there already.

    Raises:
        DataError: if another one is there, one that lacks clips which shall be in it, or other files.
    """
    if out.read(LIST) is not None:
        listing = read_listing(out)
        _require_same(out, listing.made, made)
        about = listing.made
        if about["skipped"] and not skip:
            raise DataError(
                f"{out} was packed with --skip: {len(about['skipped']):,} clips are not in it; delete it or give "
                "another --out to pack them too"
            )
        return Packed(listing, int(about["packed"]), int(about["changed"]), dict(about["skipped"]), before=True)
    if (text := out.read(_CLAIM)) is not None:
        try:
            _require_same(out, json.loads(text), made)
        except (ValueError, AttributeError, RecursionError):
            raise DataError(f"{out}/{_CLAIM} is damaged; give another --out, or delete {out}") from None
        return None
    if shop == Path(str(out)) and any(found.name != ".lock" for found in shop.iterdir()):
        raise DataError(f"{out} holds other files; give an empty or a new folder as --out")
    out.write(_CLAIM, json.dumps(made).encode())
    return None


def _require_same(out: Where, before: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    if other := [_TYPED[key] for key, value in made.items() if before.get(key) != value]:
        raise DataError(
            f"{out} holds a pack with other {', '.join(other)}; type the command as then, or give another --out"
        )


def _finish(
    manifest: Manifest, out: Where, shop: Path, recipe: Recipe, made: Mapping[str, Any], chunks: Sequence[Chunk]
) -> Packed:
    """Write the table of the clips and, if nothing speaks against it, the list that makes it a pack."""
    skipped = {id_: reason for chunk in chunks for id_, reason in chunk.skipped.items()}
    changed = sum(chunk.changed for chunk in chunks)
    count = len(manifest) - len(skipped)
    if not count:
        id_, reason = next(iter(skipped.items()))
        raise DataError(f"none of {len(skipped)} clips can be used; the first: {id_}: {reason}")
    if skipped and not recipe.skip:
        return Packed(None, count, changed, skipped)
    places = np.full((len(manifest), len(PLACE)), -1, np.int64)
    for number, chunk in enumerate(chunks):
        places[chunk.rows] = np.column_stack([np.full(len(chunk), number), chunk.starts, chunk.sizes])
    frame = manifest.frame.assign(**dict(zip(PLACE, places.T, strict=True)))
    notes = []
    if changed:
        notes.append(
            f"packed as {recipe.rate:,} Hz mono in 16 bits: {changed:,} of {count:,} clips were resampled, mixed down "
            "or rounded for that, so their scores are near those of their files and not the same"
        )
    if skipped:
        notes.append(f"{len(skipped):,} of {len(manifest):,} clips could not be used and are not in the pack")
    table = shop / f"new-{CLIPS}"
    manifest.having(frame[places[:, 1] >= 0]).at(shop).noted(*notes).write(table)
    clips = File(CLIPS, table.stat().st_size, hashlib.sha256(table.read_bytes()).hexdigest())
    out.put(table, CLIPS)
    about = {**made, "packed": count, "changed": changed, "skipped": skipped}
    listing = Listing(about, clips, tuple(chunk.file for chunk in chunks))
    out.write(LIST, listing.text())
    for chunk in chunks:
        out.delete(chunk.file.name + RECORD)
    out.delete(_CLAIM)
    return Packed(listing, count, changed, skipped)
