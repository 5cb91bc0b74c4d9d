"""The M-AILABS speech corpus, audio books in eight languages: `<de_DE>/by_book/<female>/<reader>/<book>/wavs/*.wav`.

Beside each `wavs` lies `metadata.csv`, `name|text|normalised text`. Books that several people read have no reader:
`<de_DE>/by_book/mix/<book>/wavs/*.wav`. French comes without `by_book`. Its makers know of a few lines without a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dfad.audio import is_audio
from dfad.corpora.listing import files_in
from dfad.corpora.protocol import first
from dfad.corpora.rows import read_texts

HOME = "https://www.caito.de/2019/01/the-m-ailabs-speech-dataset"
EXAMPLE = "de_DE/by_book/female/eva_k/grune_haus/wavs/*.wav"
TEXTS = "metadata.csv"
LANGUAGE = re.compile(r"[a-z]{2}_[A-Z]{2}")
_BOOK = (
    r"(?:^|/)(?P<original>(?P<language>[a-z]{2})_[A-Z]{2}/(?:by_book/)?(?P<gender>female|male|mix|mixed)/"
    r"(?:(?P<reader>[^/]+)/)?(?P<book>[^/]+)/wavs/[^/]+)$"
)


def places(paths: pd.Series) -> pd.DataFrame:
    """What paths of recordings say of them, wherever they begin.

    Shape:
        paths: (clips,) -> (clips,) × (original, language, gender, reader, book, source), all "" for other paths;
        `source` is the reader, or the book if many read it
    """
    frame = paths.str.extract(_BOOK).fillna("")
    lone = (frame["reader"] == "") & frame["gender"].isin(["female", "male"])  # a reader's clips without a book
    frame["reader"] = frame["reader"].where(~lone, frame["book"])
    frame["book"] = frame["book"].where(~lone, "")
    return frame.assign(source=frame["reader"].where(frame["reader"] != "", frame["book"]))


def recordings(folders: Sequence[Path], root: Path) -> tuple[pd.DataFrame, list[str]]:
    """List the recordings of some languages.

    Args:
        folders: of the languages, such as `de_DE`.
        root: what paths shall be relative to.

    Returns:
        A row per recording, with what its path says and the text if there is one; and notes on files that lie in no
        book, and on lines and files that lack each other.

    Raises:
        DataError: for a list of texts that cannot be read.
    """
    listed = files_in(folders, root, lambda name: is_audio(name) or name == TEXTS)
    paths = pd.Series([name for name in listed if not name.endswith(f"/{TEXTS}")], dtype="str")
    frame = pd.concat([paths.rename("path"), places(paths)], axis="columns")
    strange = frame["path"][frame["original"] == ""]
    frame = frame[frame["original"] != ""].reset_index(drop=True)
    told = {
        f"{name.removesuffix(TEXTS)}wavs/{utterance}": text
        for name in listed
        if name.endswith(f"/{TEXTS}")
        for utterance, text in read_texts(root / name, "|").items()
    }
    stems = frame["path"].str.rpartition(".")[0]
    frame["transcript"] = stems.map(told).astype("str")
    untold = frame["path"][frame["transcript"].isna()]
    gone = sorted(told.keys() - set(stems))
    notes = [
        f"{what}: {len(names):,}, {first(names)}"
        for what, names in (
            ("audio files that lie in no book of M-AILABS are left out", strange),
            ("recordings of M-AILABS without a line in metadata.csv", untold),
            ("lines of M-AILABS without a recording", gone),
        )
        if len(names)
    ]
    return frame.fillna({"transcript": ""}).rename(columns={"reader": "speaker"}), notes
