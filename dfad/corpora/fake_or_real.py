"""Fake-or-Real of York University in its four variants: `<folder>/{training,validation,testing}/{real,fake}/<file>`.

Reimao and Tzerpos, "FoR: A Dataset for Synthetic Speech Detection", SpeD 2019. Copies nest the folders or rename them;
an id is the path below the folder that holds the splits, wherever that is, as the same file name comes in several
splits and classes. Names say which clips had been MP3s: most fakes in training, none in testing, and no real ones at
all. The manifest keeps that as `source_codec`, for results to be split by; a model is given nothing but the audio.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from dfad.clips import Manifest
from dfad.corpora.archives import SOURCES
from dfad.corpora.base import AbsentError, CorpusKnobs, Counts, Progress, counts
from dfad.corpora.folder import read_folders
from dfad.download import readable
from dfad.errors import DataError
from dfad.knobs import Free
from dfad.labels import SPLIT_WORDS, SPLITS

TEST_ATTACK = "google-wavenet"  # the generator of every test fake; which ones made the others, their names do not say
DEPTH = 3  # folders below the path in which a copy is looked for
PATH = "folder in which it lies, there or up to three folders deeper"
_MP3 = re.compile(r"\.mp3(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Variant:
    """What is known of one variant.

    Attributes:
        folder: in its archive.
        total: clips.
        clips: those of each split and class, as far as published.
    """

    folder: str
    total: int
    clips: Counts


VARIANTS = {
    "for_original": Variant("for-original", 69_316, {}),
    "for_norm": Variant("for-norm", 69_300, {"train": (26_941, 26_927), "val": (5_400, 5_398), "test": (2_264, 2_370)}),
    "for_2sec": Variant("for-2seconds", 17_870, {"train": (6_978, 6_978), "val": (1_413, 1_413), "test": (544, 544)}),
    "for_rerec": Variant(
        "for-rerecorded", 13_268, {"train": (5_104, 5_104), "val": (1_101, 1_143), "test": (408, 408)}
    ),
}


class FakeOrRealKnobs(CorpusKnobs):
    """Options of a variant of Fake-or-Real."""

    path: Annotated[Path, Free] = Field(description=PATH)

    @property
    def variant(self) -> Variant:
        """What is known of it."""
        return VARIANTS[self.name]

    @property
    def published(self) -> Counts:
        """Clips of each split and class, as published."""
        return self.variant.clips

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Find the corpus below `path` and list it; what differs from the published counts stands in the notes."""
        root = self.find()
        if root is None:
            raise AbsentError(self._absent())
        frame = read_folders(root)
        testing = frame["split"].str.lower().map(SPLIT_WORDS) == "test"
        frame["attack"] = np.where(testing, TEST_ATTACK, "")
        frame["source_codec"] = ["mp3" if _MP3.search(Path(name).name) else "" for name in frame["path"]]
        manifest = Manifest.check(frame, root, source=str(root))
        if note := self.difference(counts(manifest)):
            manifest = manifest.noted(note)
        try:
            manifest.require_both_classes(SPLITS)
        except DataError as error:
            raise DataError(f"{root} is no whole {self.name}\n{error}\n{self._hint()}") from None
        return manifest

    def find(self) -> Path | None:
        """The folder with the splits of this variant; None if there is none.

        Of several, the one counts that the name of a folder says; a folder of another variant's name never does.

        Raises:
            DataError: if there are several all the same.
        """
        found = self._candidates()
        fitting = [root for root, name in found.items() if name == self.name]
        fitting = fitting or [root for root, name in found.items() if name is None]
        if len(fitting) > 1:
            names = "\n".join(f"  data.path={root}" for root in fitting)
            raise DataError(f"{len(fitting)} folders below {self.path} may be {self.name}; choose one:\n{names}")
        return fitting[0] if fitting else None

    def difference(self, found: Counts) -> str:
        """Say how the counts differ from the published ones; nothing if they do not."""
        total = sum(map(sum, found.values()))
        splits = [
            f"{split} {found[split][0]:,} + {found[split][1]:,} instead of {real:,} + {fake:,}"
            for split, (real, fake) in self.variant.clips.items()
            if found[split] != (real, fake)
        ]
        detail = f"; bona fide + spoof: {', '.join(splits)}" if splits else ""
        if total != self.variant.total:
            return (
                f"{self.name} is not the published corpus: {total:,} clips, expected {self.variant.total:,}{detail}, "
                "so do not compare these results with published ones"
            )
        return f"{self.name} has as many clips as published, but other splits{detail}" if splits else ""

    def _candidates(self) -> dict[Path, str | None]:
        """Folders that hold splits, each with the variant that its name tells."""
        own = Path(self.path.absolute().name)
        return {root: _named(own / root.relative_to(self.path)) for root in _split_folders(self.path, DEPTH)}

    def _absent(self) -> str:
        if self.path.is_file():
            return f"{self.path} is a file; unpack it first: dfad prepare {self.name} --archive {self.path}"
        others = sorted({name for name in self._candidates().values() if name})
        there = f"; what lies there is {' and '.join(others)}" if others else ""
        missing = f"no {self.name} at {self.path}: expected a folder with training, validation and testing{there}"
        return f"{missing}\n{self._hint()}"

    def _hint(self) -> str:
        (archive,) = SOURCES[self.name].archives
        about = f"{readable(archive.about or 0)}, {archive.url}"
        return f"get it ({about}): dfad prepare {self.name} --root {self.path}\nor say where a copy lies: data.path=…"


class ForOriginalKnobs(FakeOrRealKnobs):
    """Options of for-original: clips as they were collected, WAV and MP3 at many rates."""

    name: Literal["for_original"] = "for_original"
    path: Annotated[Path, Free] = Field(Path("data/for_original"), description=PATH)


class ForNormKnobs(FakeOrRealKnobs):
    """Options of for-norm: classes and genders balanced, 16 kHz mono, levels normalised."""

    name: Literal["for_norm"] = "for_norm"
    path: Annotated[Path, Free] = Field(Path("data/for_norm"), description=PATH)


class For2SecKnobs(FakeOrRealKnobs):
    """Options of for-2sec: for-norm cut to two seconds."""

    name: Literal["for_2sec"] = "for_2sec"
    path: Annotated[Path, Free] = Field(Path("data/for_2sec"), description=PATH)


class ForRerecKnobs(FakeOrRealKnobs):
    """Options of for-rerec: for-2sec played by a loudspeaker and recorded again."""

    name: Literal["for_rerec"] = "for_rerec"
    path: Annotated[Path, Free] = Field(Path("data/for_rerec"), description=PATH)


def _split_folders(folder: Path, depth: int) -> list[Path]:
    """Folders that hold a folder named as a split; what lies in such a one is not looked at."""
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:  # a search passes by what it may not see
        return []
    if any(name.lower() in SPLIT_WORDS for name in below):
        return [folder]
    return [found for name in below for found in _split_folders(folder / name, depth - 1)] if depth else []


def _named(path: Path) -> str | None:
    """The variant that the innermost telling folder of a path names."""
    for part in reversed(path.parts):
        word = part.lower().replace("_", "-")
        for name, variant in VARIANTS.items():
            if word in (variant.folder, name.replace("_", "-")):
                return name
    return None
