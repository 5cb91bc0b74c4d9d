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


def cells_of(manifest: Manifest, data: CorpusKnobs) -> tuple[Cell, ...]:
    """What an epoch of the training clips is drawn from; nothing where each of them comes once.

    An epoch has as many draws as there are training clips. In a mix each part gets its share of them (see
    `quotas`), half of it from either class if the classes shall be drawn alike; with no mix, they are halved so.

    Raises:
        DataError: if a part gets nothing, or if the classes shall be drawn alike and a part has but one.
    """
    parts = parts_of(manifest, data)
    counts = drawn_by_part(manifest, data)
    if nothing := [part for part, count in counts.items() if not count]:
        raise DataError(
            f"data.parts.{nothing[0]}: by its weight it gets none of the {sum(counts.values())} draws of an epoch; "
            f"raise data.parts.{nothing[0]}.weight"
        )
    if data.balance != "sampler":
        each_once = all(counts[part] == len(rows) for part, rows in parts.items())
        return () if each_once else tuple(Cell(rows, counts[part]) for part, rows in parts.items())
    if len(parts) == 1:  # of an odd number of draws, chance says which class has one more
        (rows,) = parts.values()
        return tuple(Cell(half, -(-len(rows) // 2)) for half in _by_class(manifest, rows))
    cells: list[Cell] = []
    odd = 0
    for part, rows in parts.items():
        halves = _by_class(manifest, rows)
        if lacking := [name for name, half in zip(CLASS_NAMES, halves, strict=True) if not len(half)]:
            raise DataError(
                f"data.balance=sampler: the training clips of {part} have no {lacking[0]}, so both classes cannot be "
                "drawn alike in every part; use data.balance=loss"
            )
        less, more = counts[part] // 2, -(-counts[part] // 2)
        cells += [Cell(half, count) for half, count in zip(halves, (less, more) if odd else (more, less), strict=True)]
        odd ^= counts[part] % 2  # what one part has too much of a class, the next has too little
    return tuple(cells)


def drawn_by_part(manifest: Manifest, data: CorpusKnobs) -> dict[str, int]:
    """How many training clips of each part an epoch draws; without a mix there is one part without a name."""
    clips = {part: len(rows) for part, rows in parts_of(manifest, data).items()}
    return quotas(data.amounts(clips), sum(clips.values())) if isinstance(data, MixKnobs) else clips


def drawn_by_class(manifest: Manifest, cells: Sequence[Cell]) -> np.ndarray:
    """How many spoof and bona fide clips an epoch draws, on average over epochs. Shape: (2,) float64."""
    if not cells:
        return np.bincount(manifest.labels[manifest.rows("train")], minlength=2).astype(float)
    shares = [np.bincount(manifest.labels[cell.rows], minlength=2) / len(cell.rows) for cell in cells]
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


def _by_class(manifest: Manifest, rows: np.ndarray) -> list[np.ndarray]:
    labels = manifest.labels[rows]
    return [rows[labels == label] for label in range(len(CLASS_NAMES))]
