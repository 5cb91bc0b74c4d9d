"""Words in file names that some clips have and others have not: `file17.mp3.wav` was an MP3 once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import numpy as np

from dfad.labels import LABEL_WORDS, SPLIT_WORDS

MOST = 40  # words; names of which each has its own word say nothing
LEAST, LEAST_SHARE = 5, 0.01  # clips that have the word, and clips that have it not
_WORD = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")
_KNOWN = frozenset([*LABEL_WORDS, *SPLIT_WORDS])


def words_of(name: str) -> frozenset[str]:
    """The words of a file's name, without its folders; numbers become a #, and the suffix keeps its point.

    >>> sorted(words_of("train/fake/File012.mp3.wav_16k.WAV"))
    ['#k', '.wav', 'file#', 'mp#', 'wav']
    """
    path = PurePosixPath(name)
    return _split(path.stem) | ({path.suffix.lower()} - {""})


def name_words(ids: Iterable[str], attacks: Iterable[str]) -> Mapping[str, np.ndarray]:
    """Which clips have which word in their names, of the most frequent words that some have and some have not.

    Words that repeat the label, the split or the clip's own attack are no news and left out, and so are those of a few
    clips only: where every name has its own words, nothing is left.

    Args:
        ids: of the clips.
        attacks: of the same clips, "" where there is none.

    Returns:
        (clips,) bool by word, the most frequent first.
    """
    told: dict[str, frozenset[str]] = {}
    found: list[frozenset[str]] = []
    same: dict[frozenset[str], frozenset[str]] = {}  # names repeat their words: keep each set once
    for name, attack in zip(ids, attacks, strict=True):
        if attack not in told:
            told[attack] = _split(attack) | _KNOWN
        words = words_of(name) - told[attack]
        found.append(same.setdefault(words, words))
    counts: Counter[str] = Counter()
    for words, clips in Counter(found).items():
        counts.update(dict.fromkeys(words, clips))
    least = max(LEAST, LEAST_SHARE * len(found))
    kept = [word for word, clips in counts.most_common() if least <= clips <= len(found) - least][:MOST]
    return {word: np.array([word in words for words in found]) for word in kept}


def _split(text: str) -> frozenset[str]:
    return frozenset(_DIGITS.sub("#", word) for word in _WORD.findall(text.lower()))
