"""Dealing clips that come without splits: whole groups at a time, by nothing but the group's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Dealing:
    """How splits came about that are not the corpus' own.

    Attributes:
        how: was dealt, such as "by a hash of the speaker".
        silent_on: what results on such splits say little about.
        hint: what to do where a split lacks a class.
    """

    how: str
    silent_on: str
    hint: str

    @property
    def note(self) -> str:
        """What every result on these splits has to say."""
        return (
            f"the corpus has no split of its own: clips were dealt at random {self.how}, "
            f"so this says little about {self.silent_on}"
        )

    @property
    def note_without_test(self) -> str:
        """The same where a group that is held out is the test set, and only the others were dealt."""
        return (
            f"the corpus has no split of its own: the clips of other groups were dealt to train and val at random "
            f"{self.how}, so validation says little about {self.silent_on}"
        )


BY_SPEAKER_OR_NAME = Dealing(
    "by a hash of speaker or name",
    "unseen generators, texts and channels",
    "clips are dealt by speaker, or by name: more of these are needed, or a column split",
)
AT_RANDOM = Dealing(
    "CLIP BY CLIP, as data.split=random asks for",
    "anything unseen: the same speakers, texts and channels are in train and test, and scores come out too good",
    "more clips are needed",
)


def by_group(what: str, silent_on: str) -> Dealing:
    """The dealing that keeps groups of a kind whole, such as speakers."""
    return Dealing(
        f"by a hash of the {what}, none of which is in two splits",
        silent_on,
        f"clips are dealt by {what}, and none is divided: more of them are needed, or data.split=random",
    )


def deal(groups: pd.Series) -> np.ndarray:
    """Deal groups to 80 % train, 10 % val and 10 % test by a hash of their names.

    The rule depends on nothing but the name, so a clip stays where it is when others are added, and no group is in two
    splits. The shares are those of groups, not of clips.

    Shape:
        groups: (clips,) names -> (clips,) of "train", "val", "test"
    """
    codes, names = pd.factorize(groups)
    places = np.array([_place(str(name)) for name in names])
    edges = np.cumsum(list(SHARES.values()))[:-1].round(9)
    return np.array(list(SHARES))[np.searchsorted(edges, places, side="right")][codes]


def _place(group: str) -> float:
    """A number in [0, 1) for a name."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
