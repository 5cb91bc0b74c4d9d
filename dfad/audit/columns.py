"""What was measured as columns of numbers that stand for one thing each, words as columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dfad.audit.features import FEATURES, NOT_HEARD, Feature
from dfad.audit.measure import NUMBERS, Measured
from dfad.audit.names import LEAST, name_words

TITLES = {
    "rate": "sample rate {} Hz",
    "bits": "{} bits per sample",
    "channels": "{} channels",
    "format": "format {}",
    "name": "“{}” in the file's name",
}
WORDS = ("rate", "bits", "channels", "format")  # whose values are looked at one by one
MOST_VALUES = 20  # of a word, the most frequent ones


@dataclass(frozen=True)
class Column:
    """One thing that was measured.

    Attributes:
        name: a key of `FEATURES`, or `<key>=<value>` of a word.
        base: that key.
        values: (clips,) float64; NaN where there is none; 0 and 1 of a word.
        same: names of others that tell clips apart in just the same way, and are therefore left out.
    """

    name: str
    base: str
    values: np.ndarray
    same: list[str] = field(default_factory=list)

    @property
    def feature(self) -> Feature:
        """What it is."""
        return FEATURES[self.base]

    @property
    def word(self) -> str:
        """The value that the clips with a 1 have; "" of a number."""
        return self.name.partition("=")[2]

    @property
    def shares(self) -> bool:
        """Whether it is a matter of which share of clips has something."""
        return bool(self.word) or self.base == "lossy"

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.base].format(self.word) if self.word else self.feature.title

    @property
    def heard(self) -> bool:
        """Whether it may leave a trace in what a detector is given."""
        return self.base not in NOT_HEARD


def columns(measured: Measured) -> list[Column]:
    """The columns in which clips differ at all; of those with two values that part clips alike, the first."""
    kept: list[Column] = []
    parted: dict[bytes, Column] = {}
    for column in _all(measured):
        known = column.values[~np.isnan(column.values)]
        values = np.unique(known)
        if len(values) < 2:
            continue
        if len(values) == 2 and len(known) == len(column.values):
            way = np.packbits(column.values == column.values[0]).tobytes()
            if way in parted:
                parted[way].same.append(column.name)
                continue
            parted[way] = column
        kept.append(column)
    return kept


def _all(measured: Measured) -> Iterator[Column]:
    numbers = measured.numbers
    for name in NUMBERS:
        if name not in WORDS or numbers[name].nunique() > 2:  # two values are words
            yield Column(name, name, numbers[name].to_numpy(np.float64))
    for base in WORDS:
        words = measured.formats if base == "format" else numbers[base].map("{:g}".format)
        found = words.value_counts().head(MOST_VALUES)
        for value in found.index[::-1]:  # the rarest first: of two that part clips alike it says more
            if value != "nan" and found[value] >= LEAST:
                yield Column(f"{base}={value}", base, (words == value).to_numpy(np.float64))
    frame = measured.manifest.frame
    for word, has in name_words(frame["id"], frame["attack"]).items():
        yield Column(f"name={word}", "name", has.astype(np.float64))
