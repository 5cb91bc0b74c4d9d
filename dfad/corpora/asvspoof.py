"""What the ASVspoof corpora have in common: protocols that list utterances, and folders of FLAC files."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import pandas as pd
from pydantic import Field

from dfad.clips import Manifest
from dfad.corpora.base import CorpusKnobs, Progress
from dfad.corpora.listing import above, files_below, look
from dfad.corpora.protocol import Counts, by_utterance, counted, differs, join, read_protocol, unnamed
from dfad.corpora.signs import recognised
from dfad.errors import DataError
from dfad.knobs import Free

DEPTH = 5  # folders below the path in which a copy is looked for
PATH = "folder in which it lies, with its protocols, there or up to five folders deeper"


@dataclass(frozen=True)
class Layout:
    """How a corpus lies on disk.

    Attributes:
        home: where it is published.
        columns: of its protocols, as `read_protocol` takes them.
        protocols: each split's protocol; the file name counts.
        published: clips of each split.
        folders: names of the folders with the audio.
        inside: pattern for a folder in which these lie, where their own name could be anybody's.
        enrolled: pattern for lists of utterances that are there to enrol speakers, and no clips.
    """

    home: str
    columns: tuple[str, ...]
    protocols: Mapping[str, str]
    published: Counts
    folders: frozenset[str]
    inside: str = ""
    enrolled: str = r"(?!)"


@dataclass
class Place:
    """What was found of a corpus."""

    folders: list[Path] = field(default_factory=list)
    protocols: dict[str, Path] = field(default_factory=dict)
    enrolled: list[Path] = field(default_factory=list)


class AsvspoofKnobs(CorpusKnobs):
    """Options of an ASVspoof corpus."""

    layout: ClassVar[Layout]
    path: Annotated[Path, Free] = Field(description=PATH)

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Find protocols and audio below `path` and join them.

        A split that is not there at all is told in a note, and what is asked of it is refused.
        """
        place = self._place()
        if not place.folders or not place.protocols:
            raise DataError(self._absent(place))
        root = above(place.folders)
        listed = {split: read_protocol(path, self.layout.columns) for split, path in place.protocols.items()}
        files = by_utterance(
            [(folder.relative_to(root) / name).as_posix() for folder in place.folders for name in files_below(folder)],
            root,
        )
        known = {utterance for rows in listed.values() for utterance in rows["utterance"]}
        known.update(utterance for path in place.enrolled for utterance in enrolled(path))
        chosen = {split: self.choose(rows, place.protocols[split]) for split, rows in listed.items()}
        frame, absent = join(chosen, files, where=root, keep=self.on_error == "skip", hint=self._get())
        there = set() if frame.empty else set(frame["split"])
        gaps = [self._gap(split, absent, root) for split in self.layout.protocols if split not in there]
        if frame.empty:
            raise DataError("\n".join(gaps) + f"\n{self._hint()}")
        counts = {split: counted(rows["label"]) for split, rows in listed.items()}  # of protocols, whatever was chosen
        notes = [*gaps, *differs(self.name, counts, self.layout.published), *unnamed(files, known)]
        return Manifest.check(frame, root, source=str(root)).noted(*notes).hinted(self.lacking(gaps))

    def find(self) -> Path | None:
        """The folder in which its audio lies; None unless that and protocols are there."""
        place = self._place()
        return above(place.folders) if place.folders and place.protocols else None

    def choose(self, rows: pd.DataFrame, source: Path) -> pd.DataFrame:
        """The rows of a protocol that are wanted: all of them."""
        return rows

    def lacking(self, gaps: list[str]) -> str:
        """What to say where a split has not both classes."""
        return "\n".join([*gaps, self._hint()]) if gaps else ""

    def split_of(self, file: Path) -> str | None:
        """The split whose protocol a file is, by its name."""
        return next((split for split, name in self.layout.protocols.items() if Path(name).name == file.name), None)

    def _place(self) -> Place:
        """Look for folders and protocols.

        Raises:
            DataError: for protocols of one split that say different things.
        """
        names = {Path(name).name for name in self.layout.protocols.values()}
        folders, files = look(
            self.path,
            DEPTH,
            closed=self.layout.folders.__contains__,
            wanted=lambda name: name in names or bool(re.fullmatch(self.layout.enrolled, name)),
        )
        place = Place(self._own(folders))
        for file in files:
            if file.name not in names:
                place.enrolled.append(file)
            elif split := self.split_of(file):
                other = place.protocols.setdefault(split, file)
                if not filecmp.cmp(other, file, shallow=False):
                    raise DataError(f"{other} and {file} say different things of split {split}; remove one of them")
        return place

    def _own(self, folders: list[Path]) -> list[Path]:
        """Of folders that may be anybody's, those in a folder of this corpus; or else those in none of a known name."""
        if not self.layout.inside:
            return folders
        above = {folder: [self.path.absolute().name, *folder.relative_to(self.path).parts] for folder in folders}

        def within(folder: Path, pattern: str) -> bool:
            return any(re.fullmatch(pattern, part) for part in above[folder])

        own = [folder for folder in folders if within(folder, self.layout.inside)]
        return own or [folder for folder in folders if not within(folder, "ASVspoof20.*")]

    def _gap(self, split: str, absent: Mapping[str, int], root: Path) -> str:
        """Say why a split is not there."""
        why = f"no {self.layout.protocols[split]} below {self.path}"
        if split in absent:
            why = f"none of its {absent[split]:,} clips lies below {root}"
        return f"{self.name}: split {split} is not there: {why}"

    def _absent(self, place: Place) -> str:
        if self.path.is_file():
            return f"{self.path} is a file; unpack it, and give the folder as data.path=…"
        lacking = []
        if not place.protocols:
            lacking.append(f"protocols: {', '.join(self.layout.protocols.values())}")
        if not place.folders:
            lacking.append(f"folders with audio: {self._folders()}")
        there = recognised(self.path, self.name)
        return f"no {self.name} at {self.path}: found no {', and no '.join(lacking)}{there}\n{self._hint()}"

    def _folders(self) -> str:
        return ", ".join(sorted(self.layout.folders))

    def _get(self) -> str:
        return f"get it ({self.layout.home}): dfad prepare {self.name} --root {self.path}"

    def _hint(self) -> str:
        return f"{self._get()}\nor say where a copy lies: data.path=…"


def enrolled(path: Path) -> list[str]:
    """The utterances of a list that enrols speakers: a speaker, and their utterances with commas between.

    Raises:
        DataError: for a file that is no such list.
    """
    try:
        lines = [line.split() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return [utterance for words in lines if len(words) > 1 for utterance in words[1].split(",")]
