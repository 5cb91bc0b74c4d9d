"""In-the-Wild: recordings of public figures from the internet, real ones and deepfakes of the same people.

Müller et al., "Does Audio Deepfake Detection Generalize?", Interspeech 2022. It has no splits: other corpora are
trained on, and all of it is scored. To train on it, it is dealt by speaker. What made a fake is not known.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.corpora.listing import files_below, look
from dfad.corpora.protocol import counted, differs, join, say_twice, unnamed
from dfad.corpora.published import PublishedKnobs
from dfad.corpora.rows import first_line, read_rows
from dfad.dealing import AT_RANDOM, by_group, deal
from dfad.errors import DataError
from dfad.knobs import Free
from dfad.labels import parse_labels
from dfad.wrong_rows import WrongRows

PUBLISHED = {"": (19_963, 11_816)}
COLUMNS = ("file", "speaker", "label")
DEPTH = 3
BY_SPEAKER = by_group("speaker", "unseen generators, sources and channels")


class InTheWildKnobs(PublishedKnobs):
    """Options of In-the-Wild."""

    home: ClassVar[str] = "https://deepfake-total.com/in_the_wild"
    name: Literal["in_the_wild"] = "in_the_wild"
    path: Annotated[Path, Free] = Field(
        Path("data/in_the_wild"), description="folder with meta.csv and the clips, there or up to three folders deeper"
    )
    split: Literal["speaker", "random"] = Field(
        "speaker", description="what is never divided in dealing: a speaker, or nothing but the clip"
    )

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Read `meta.csv`, join it to the files beside it, and deal the clips."""
        root = self.find()
        if root is None:
            raise self.absent("meta.csv, with the columns file, speaker and label, and the clips beside it")
        source = root / "meta.csv"
        frame = read_rows(source, delimiter=",", needed=COLUMNS, quoted=True)
        errors = WrongRows(frame.index)
        parse_labels(frame["label"], errors)
        say_twice(frame, "file", errors)
        errors.raise_from(str(source))
        files = {name: name for name in files_below(root)}
        frame = frame.rename(columns={"file": "utterance"})
        known = set(frame["utterance"])
        rows, absent = join({"": frame}, files, where=root, keep=self.on_error == "skip", hint=self.get)
        if absent:
            raise DataError(f"none of the {absent['']:,} clips of {source} lies beside it\n{self.hint}")
        counts = {"": counted(frame["label"])}
        notes = [*differs(self.name, counts, PUBLISHED), *unnamed(files, known, "meta.csv")]
        rows["split"] = deal(rows["path"] if self.split == "random" else rows["speaker"])
        dealing = AT_RANDOM if self.split == "random" else BY_SPEAKER
        return Manifest.check(rows, root, source=str(source)).noted(*notes).dealt(dealing)

    def find(self) -> Path | None:
        """The folder with `meta.csv` and the clips; None if there is none.

        Raises:
            DataError: if there are several.
        """
        _, files = look(self.path, DEPTH, closed=lambda name: False, wanted=lambda name: name == "meta.csv")
        own = [file.parent for file in files if set(COLUMNS) <= set(re.split(r"\W+", first_line(file)))]
        if len(own) > 1:
            names = "\n".join(f"  data.path={folder}" for folder in own)
            raise DataError(f"{len(own)} folders below {self.path} may be {self.name}; choose one:\n{names}")
        return own[0] if own else None
