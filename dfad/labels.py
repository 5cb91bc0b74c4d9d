"""Labels and splits: what they are called here, and which words of the field's corpora mean them."""

from __future__ import annotations

from enum import IntEnum

import pandas as pd

from dfad.columns import translated
from dfad.errors import DataError, did_you_mean
from dfad.wrong_rows import WrongRows

SPLITS = ("train", "val", "test")
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


class Label(IntEnum):
    """Bona fide is 1 and spoof 0 wherever a label is a number."""

    SPOOF = 0
    BONA_FIDE = 1

    @classmethod
    def parse(cls, word: str) -> Label:
        """Read a label word of any of the field's corpora.

        Raises:
            DataError: for a word that is not known; none is ever guessed.

        >>> Label.parse("Genuine"), Label.parse("fake")
        (<Label.BONA_FIDE: 1>, <Label.SPOOF: 0>)
        """
        try:
            return LABEL_WORDS[word.strip().lower()]
        except KeyError:
            raise DataError(f"unknown label {word!r}; {did_you_mean(word.lower(), LABEL_WORDS)}") from None

    def __str__(self) -> str:
        return CLASS_NAMES[self]


CLASS_NAMES = ("spoof", "bona-fide")  # indexed by the label
LABEL_WORDS = {
    **dict.fromkeys(("bona-fide", "bonafide", "bona_fide", "real", "genuine", "human", "original"), Label.BONA_FIDE),
    **dict.fromkeys(("spoof", "spoofed", "fake", "synthetic", "deepfake"), Label.SPOOF),
}


def parse_labels(words: pd.Series, errors: WrongRows) -> pd.Series:
    """Read a column as `Label.parse` reads one word.

    Shape:
        words -> (clips,) of 1 and 0; NaN where a word is not known, which `errors` are told
    """
    words = words.astype(str).fillna("")
    labels = translated(words, lambda word: LABEL_WORDS.get(word.strip().lower()))
    errors.add(
        labels.isna(),
        lambda row: f"unknown label {words.iloc[row]!r}; {did_you_mean(words.iloc[row].strip().lower(), LABEL_WORDS)}",
    )
    return labels


def parse_splits(words: pd.Series, errors: WrongRows) -> pd.Series:
    """Read a column of split names, such as `dev` for `val`.

    Shape:
        words -> (clips,) of "train", "val", "test"; NaN where a word is not known, which `errors` are told
    """
    splits = translated(words.astype(str), lambda word: SPLIT_WORDS.get(word.strip().lower()))
    errors.add(splits.isna(), lambda row: f"unknown split {words.iloc[row]!r}; choose from: train, val, test")
    return splits
