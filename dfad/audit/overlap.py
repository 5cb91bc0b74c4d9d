"""What training, validation and test have in common, and the classes: speakers, texts, and the sound itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from dfad.audit.measure import Measured
from dfad.evaluation.units import is_known
from dfad.labels import CLASS_NAMES, SPLITS

What = Literal["speaker", "text", "content"]
TEXTS = ("text", "transcript", "sentence", "pair_id", "text_id", "utterance")


@dataclass(frozen=True)
class Overlap:
    """What two sets of clips have in common.

    Attributes:
        what: `speaker`, `text` or `content`, which is the samples.
        column: where it stands; "" of content.
        between: two splits, two classes, or the same split twice for clips that come more than once in it.
        shared: values that both have.
        values: known values of the second.
        clips: of the second with such a value.
        of: clips of the second with a known value.
    """

    what: What
    column: str
    between: tuple[str, str]
    shared: int
    values: int
    clips: int
    of: int


def overlaps(measured: Measured) -> list[Overlap]:
    """Compare all splits in pairs, and the classes; splits that were dealt at random are not compared."""
    return [overlap for column in _columns(measured) for overlap in _of_column(measured, *column)]


def _columns(measured: Measured) -> Iterator[tuple[What, str, np.ndarray, np.ndarray]]:
    """Kind, name, code of each clip, and whether it is known."""
    frame = measured.manifest.frame
    for what, names in (("speaker", ("speaker",)), ("text", TEXTS)):
        for name in names:
            if name in frame and (known := is_known(frame[name])).any():
                yield what, name, pd.factorize(frame[name].astype(str))[0], known  # type: ignore[misc]
    yield "content", "", pd.factorize(measured.content)[0], np.ones(len(frame), bool)


def _of_column(measured: Measured, what: What, name: str, codes: np.ndarray, known: np.ndarray) -> Iterator[Overlap]:
    manifest = measured.manifest
    split, labels = manifest.frame["split"].to_numpy(str), manifest.labels
    splits = {} if manifest.dealing else {part: (split == part) & known for part in SPLITS}
    classes = {CLASS_NAMES[label]: (labels == label) & known for label in (1, 0)}
    for sides in (splits, classes):
        for (first, one), (second, other) in combinations(sides.items(), 2):
            if one.any() and other.any():
                both = np.intersect1d(codes[one], codes[other])
                clips = int(np.isin(codes[other], both).sum())
                values = np.unique(codes[other]).size
                yield Overlap(what, name, (first, second), len(both), values, clips, int(other.sum()))
    if what == "content":
        for part, side in (splits or {"all": known}).items():
            _, counts = np.unique(codes[side], return_counts=True)
            repeated = counts[counts > 1]
            if len(repeated):
                clips = int(repeated.sum() - len(repeated))
                yield Overlap(what, name, (part, part), len(repeated), len(counts), clips, int(side.sum()))
