"""What the ASVspoof corpora have in common: protocols that list utterances, and folders of FLAC files."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pandas as pd
from pydantic import Field

from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.corpora.listing import above, files_in, look
from dfad.corpora.protocol import Counts, by_utterance, counted, differs, join, read_protocol, unnamed
from dfad.corpora.published import PublishedKnobs
from dfad.errors import DataError
from dfad.knobs import Free
from dfad.labels import SPLITS

DEPTH = 5  # folders below the path in which a copy is looked for
_OTHERS = r"ASVspoof20(19|21)_(LA|PA|DF).*"
PATH = "folder in which it lies, with its protocols, there or up to five folders deeper"


@dataclass(frozen=True)
class Layout:
    """How a corpus lies on disk.

    Attributes:
        columns: of its protocols, as `read_protocol` takes them.
        protocols: each split's protocol; the file name counts.
        published: clips of each split.
        audio: where it should be, in words.
        folders: names of the folders with the audio.
        inside: pattern for a folder in which these lie, where their own name could be anybody's.
        enrolled: pattern for lists of utterances that are there to enrol speakers, and no clips.
    """

    columns: tuple[str, ...]
    protocols: Mapping[str, str]
    published: Counts
    audio: str
    folders: frozenset[str]
    inside: str = ""
    enrolled: str = r"(?!)"


@dataclass(frozen=True)
class Place:
    """What was found of a corpus: folders with audio, the protocol of each split, lists that enrol speakers."""

    folders: list[Path]
    protocols: dict[str, Path]
    enrolled: list[Path]


class AsvspoofKnobs(PublishedKnobs):
    """Options of an ASVspoof corpus."""

    layout: ClassVar[Layout]
    path: Annotated[Path, Free] = Field(description=PATH)

    @property
    def published(self) -> dict[str, tuple[int, int]]:
        """Clips of each official split."""
        return {split: clips for split, clips in self.layout.published.items() if split in SPLITS}

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Find protocols and audio below `path` and join them.

        A split that is not there at all is told in a note, and what is asked of it is refused.
        """
        place = self._place()
        if not place.folders or not place.protocols:
            raise self.absent(self._expected(place))
        root = above(place.folders)
        listed = {split: read_protocol(path, self.layout.columns) for split, path in place.protocols.items()}
        files = by_utterance(files_in(place.folders, root), root)
        known = {name for rows in listed.values() for name in rows["utterance"].tolist()}
        known.update(name for path in place.enrolled for name in enrolled(path))
        chosen = {split: self.choose(rows, place.protocols[split]) for split, rows in listed.items()}
        frame, absent = join(chosen, files, where=root, keep=self.on_error == "skip", hint=self.get)
        there = set() if frame.empty else set(frame["split"])
        gaps = [self._gap(split, absent, root) for split in self.layout.protocols if split not in there]
        if frame.empty:
            raise DataError("\n".join(gaps) + f"\n{self.hint}")
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
        return "\n".join([*gaps, self.hint]) if gaps else ""

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
        found: dict[str, Path] = {}
        for file in files:
            if file.name in names and (split := self.split_of(file)):
                other = found.setdefault(split, file)
                if not filecmp.cmp(other, file, shallow=False):
                    raise DataError(f"{other} and {file} say different things of split {split}; remove one of them")
        protocols = {split: found[split] for split in self.layout.protocols if split in found}
        return Place(self._own(folders), protocols, [file for file in files if file.name not in names])

    def _own(self, folders: list[Path]) -> list[Path]:
        """Of folders that may be anybody's, those in a folder of this corpus; or else those in none of a known name."""
        if not self.layout.inside:
            return folders
        outer = len(self.path.absolute().parts) - 1

        def within(folder: Path, pattern: str) -> bool:
            return any(re.fullmatch(pattern, part, re.IGNORECASE) for part in folder.absolute().parts[outer:])

        own = [folder for folder in folders if within(folder, self.layout.inside)]
        return own or [folder for folder in folders if not within(folder, _OTHERS)]

    def _gap(self, split: str, absent: Mapping[str, int], root: Path) -> str:
        """Say why a split is not there."""
        why = f"no {self.layout.protocols[split]} below {self.path}"
        if split in absent:
            why = f"none of its {absent[split]:,} clips lies below {root}"
        return f"{self.name}: split {split} is not there: {why}"

    def _expected(self, place: Place) -> str:
        """What should be there and is not."""
        protocols = f"protocols ({', '.join(self.layout.protocols.values())})"
        audio = f"audio ({self.layout.audio})"
        lacking = [what for what, there in ((protocols, place.protocols), (audio, place.folders)) if not there]
        return f"{' and '.join(lacking)} below it"


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
