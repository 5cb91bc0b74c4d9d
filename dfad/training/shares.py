"""How many clips of which kind an epoch draws: by the weights of the parts of a mix, and of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs, MixKnobs
from dfad.errors import DataError
from dfad.labels import CLASS_NAMES


class Cell(NamedTuple):
    """Clips of which an epoch draws so many: every clip equally often, or once more than the others."""

    rows: np.ndarray  # in the manifest
    draws: int
    copied: bool = False  # bona fide clips that come as spoofed copies


def cells_of(manifest: Manifest, data: CorpusKnobs, copies: float = 0.0) -> tuple[Cell, ...]:
    """What an epoch of the training clips is drawn from; nothing where each of them comes once.

    An epoch has as many draws as there are training clips. In a mix each part gets its share of them (see
    `quotas`), half of it from either class if the classes shall be drawn alike; with no mix, they are halved so.
    Spoofed copies come on top, see `copies_by_part`: the epoch is longer by them. Where classes are drawn alike, they
    share the spoofed half with the spoof clips in proportion to their numbers.

    Args:
        manifest: the clips.
        data: how they are drawn.
        copies: spoofed copies for each bona fide clip that an epoch draws.

    Raises:
        DataError: if a part gets nothing, or if the classes shall be drawn alike and a part has but one.
    """
    parts = parts_of(manifest, data)
    counts = drawn_by_part(manifest, data)
    copied = copies_by_part(manifest, data, copies)
    if nothing := [part for part, count in counts.items() if not count]:
        raise DataError(
            f"data.parts.{nothing[0]}: by its weight it gets none of the {sum(counts.values())} draws of an epoch; "
            f"raise data.parts.{nothing[0]}.weight"
        )
    if data.balance != "sampler":
        if not any(copied.values()) and all(counts[part] == len(rows) for part, rows in parts.items()):
            return ()
        cells = [Cell(rows, counts[part]) for part, rows in parts.items()]
        cells += [Cell(_by_class(manifest, rows)[1], copied[part], copied=True) for part, rows in parts.items()]
        return tuple(cell for cell in cells if cell.draws)
    if len(parts) == 1:  # of an odd number of draws, chance says which class has one more
        ((part, rows),) = parts.items()
        half = -(-(len(rows) + copied[part]) // 2)
        return tuple(_alike(_by_class(manifest, rows), (half, half), copies))
    cells = []
    odd = 0
    for part, rows in parts.items():
        halves = _by_class(manifest, rows)
        spoofed = halves[0] if len(halves[0]) or not copied[part] else halves[1]
        if lacking := [name for name, half in zip(CLASS_NAMES, (spoofed, halves[1]), strict=True) if not len(half)]:
            raise DataError(
                f"data.balance=sampler: the training clips of {part} have no {lacking[0]}, so both classes cannot be "
                "drawn alike in every part; use data.balance=loss"
            )
        count = counts[part] + copied[part]
        less, more = count // 2, -(-count // 2)
        cells += _alike(halves, (less, more) if odd else (more, less), copies)
        odd ^= count % 2  # what one part has too much of a class, the next has too little
    return tuple(cells)


def copies_by_part(manifest: Manifest, data: CorpusKnobs, copies: float) -> dict[str, int]:
    """How many spoofed copies an epoch has of each part: so many for each bona fide clip that it draws otherwise.

    They are counted by the bona fide clips of the part and its weight, whatever the balance of the classes.

    Raises:
        DataError: if there should be copies, and there are too few bona fide clips for a single one.
    """
    parts, counts = parts_of(manifest, data), drawn_by_part(manifest, data)
    real = {part: counts[part] * len(_by_class(manifest, rows)[1]) / max(1, len(rows)) for part, rows in parts.items()}
    found = {part: int(copies * count + 0.5) for part, count in real.items()}
    if copies and not any(found.values()):
        raise DataError(
            f"augment.vocoded.p={copies:g} gives no copy of the {sum(real.values()):.0f} bona fide clips of an epoch; "
            "raise it, or use augment.vocoded=null"
        )
    return found


def drawn_by_part(manifest: Manifest, data: CorpusKnobs) -> dict[str, int]:
    """How many training clips of each part an epoch draws; without a mix there is one part without a name."""
    clips = {part: len(rows) for part, rows in parts_of(manifest, data).items()}
    return quotas(data.amounts(clips), sum(clips.values())) if isinstance(data, MixKnobs) else clips


def drawn_by_class(manifest: Manifest, cells: Sequence[Cell]) -> np.ndarray:
    """How many spoof clips, copies included, and bona fide clips an epoch draws, on average over epochs.

    Shape:
        (2,) float64
    """
    if not cells:
        return np.bincount(manifest.labels[manifest.rows("train")], minlength=2).astype(float)
    labels = [manifest.labels[cell.rows] * (not cell.copied) for cell in cells]
    shares = [np.bincount(found, minlength=2) / len(found) for found in labels]
    return np.sum([cell.draws * share for cell, share in zip(cells, shares, strict=True)], axis=0)


def quotas(amounts: Mapping[str, float], total: int) -> dict[str, int]:
    """Split a number in proportion: whole numbers that sum up to it, each within one of its exact share.

    What rounding down leaves goes to the largest remainders (Hamilton's method), of equal ones to the first.

    >>> quotas({"a": 2, "b": 1, "c": 1}, 10)
    {'a': 5, 'b': 3, 'c': 2}
    """
    exact = np.array(list(amounts.values()), float) * (total / sum(amounts.values()))
    found = np.floor(exact + 1e-9).astype(int)  # a share that is whole but for rounding is whole
    found[np.argsort(found - exact, kind="stable")[: total - found.sum()]] += 1
    return dict(zip(amounts, found.tolist(), strict=True))


def parts_of(manifest: Manifest, data: CorpusKnobs) -> dict[str, np.ndarray]:
    """Rows of the training clips by part; a part without any is left out."""
    rows = manifest.rows("train")
    if not isinstance(data, MixKnobs):
        return {"": rows}
    names = manifest.frame["corpus"].iloc[rows]
    found = {part: rows[(names == part).to_numpy()] for part in sorted(data.parts)}
    return {part: inside for part, inside in found.items() if len(inside)}


def _alike(halves: Sequence[np.ndarray], draws: Sequence[int], copies: float) -> list[Cell]:
    """So many draws of the spoof and of the bona fide clips of a part; the copies among the former."""
    spoof, real = halves
    split = quotas({"spoof": len(spoof), "copies": copies * len(real)}, draws[0])
    cells = [Cell(spoof, split["spoof"]), Cell(real, split["copies"], copied=True), Cell(real, draws[1])]
    return [cell for cell in cells if cell.draws]


def _by_class(manifest: Manifest, rows: np.ndarray) -> list[np.ndarray]:
    labels = manifest.labels[rows]
    return [rows[labels == label] for label in range(len(CLASS_NAMES))]
