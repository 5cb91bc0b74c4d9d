"""MLAAD: synthesised speech in many languages, its real counterpart the M-AILABS corpus, on whose texts it is based.

Müller et al., "MLAAD: The Multi-Language Audio Anti-Spoofing Dataset", IJCNN 2024. Layout:
`fake/<language>/<model>/{meta.csv,*.wav}`, columns separated by `|`, quotes being characters like others. `model_name`
is the attack; `original` names the M-AILABS recording whose text was read out, so `source`, its reader, is known for
both classes, and clips are dealt by it: a recording, its synthesised versions, and all else of that reader stay
together. The corpus grows from release to release, so there is no count to hold it against.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pandas as pd
from pydantic import Field

from dfad.audio import is_audio
from dfad.clips import Manifest
from dfad.corpora import m_ailabs
from dfad.corpora.base import Progress
from dfad.corpora.listing import above, files_in, look
from dfad.corpora.protocol import join, say_twice, unnamed
from dfad.corpora.published import PublishedKnobs
from dfad.corpora.rows import read_rows
from dfad.dealing import AT_RANDOM, by_group, deal
from dfad.errors import DataError, did_you_mean
from dfad.knobs import Free
from dfad.wrong_rows import WrongRows

FAKE, META = "fake", "meta.csv"
DEPTH = 4
NEEDED = ("path", "original_file", "language", "model_name")
NAMES = {"original_file": "original", "model_name": "attack", "reference_speaker": "speaker"}
BY_READER = by_group("reader of the original recording", "unseen generators and languages")


class MlaadKnobs(PublishedKnobs):
    """Options of MLAAD."""

    home: ClassVar[str] = "https://deepfake-total.com/mlaad"
    name: Literal["mlaad"] = "mlaad"
    path: Annotated[Path, Free] = Field(
        Path("data/mlaad"), description="folder with fake and the languages of M-AILABS, there or up to four deeper"
    )
    languages: tuple[str, ...] | None = Field(
        None, min_length=1, description="only these, as MLAAD calls them, such as [de,en]; null: all"
    )
    split: Literal["reader", "random"] = Field(
        "reader",
        description="what is never divided in dealing: a reader's recordings and texts, or nothing but the clip",
    )

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Read every `meta.csv`, join them to the files, add the recordings, and deal all."""
        fake, spoken = self._place()
        if fake is None:
            raise self.absent("fake/<language>/<model>/meta.csv, and recordings of M-AILABS")
        if not spoken:
            raise DataError(
                f"no recordings of M-AILABS below {self.path}, so no bona fide clips: expected {m_ailabs.EXAMPLE}\n"
                f"get them ({m_ailabs.HOME}) and put them there, or link them: ln -s /where/they/are {self.path}/"
            )
        root = above([fake, *spoken])
        real, notes = m_ailabs.recordings(spoken, root)
        generated, missed = self._generated(fake, root)
        frame = pd.concat([real.assign(label="bona-fide"), generated.assign(label="spoof")], ignore_index=True)
        frame = frame.fillna("")
        if self.languages:
            frame = self._only(frame)
        frame["split"] = deal(frame["path"] if self.split == "random" else frame["source"])
        dealing = AT_RANDOM if self.split == "random" else BY_READER
        notes = [*notes, *missed, *_one_sided(frame)]
        return Manifest.check(frame, root, source=str(root)).noted(*notes).dealt(dealing)

    def find(self) -> Path | None:
        """The folder in which fakes and recordings lie; None without fakes."""
        fake, spoken = self._place()
        return above([fake, *spoken]) if fake else None

    def _place(self) -> tuple[Path | None, list[Path]]:
        """The folder `fake` with lists in it, and the folders of M-AILABS' languages.

        Raises:
            DataError: if there are several that may be meant.
        """
        folders, _ = look(
            self.path,
            DEPTH,
            closed=lambda name: name == FAKE or bool(m_ailabs.LANGUAGE.fullmatch(name)),
            wanted=lambda name: False,
        )
        fakes = [folder for folder in folders if folder.absolute().name == FAKE and any(folder.glob(f"*/*/{META}"))]
        if len(fakes) > 1:
            names = "\n".join(f"  data.path={folder}" for folder in fakes)
            raise DataError(f"{len(fakes)} folders below {self.path} may be {self.name}; choose one:\n{names}")
        spoken = [folder for folder in folders if folder.absolute().name != FAKE]
        return (fakes[0] if fakes else None), spoken

    def _generated(self, fake: Path, root: Path) -> tuple[pd.DataFrame, list[str]]:
        """The clips of all lists, and a note on files that none names.

        Raises:
            DataError: naming wrong lines, or clips without a file.
        """
        listed = files_in([fake], root, lambda name: is_audio(name) or name == META)
        lists = [name for name in listed if name.endswith(f"/{META}")]
        rows = pd.concat([_read(root, name) for name in lists], ignore_index=True).fillna("")
        files = {name: name for name in listed if is_audio(name)}
        frame, absent = join({"": rows}, files, where=root, keep=self.on_error == "skip", hint=self.get)
        if absent:
            raise DataError(f"none of the {len(rows):,} clips that {fake} lists is there\n{self.hint}")
        frame = frame.drop(columns="split")
        said = m_ailabs.places(frame["original"])
        source = said["source"].where(said["source"] != "", frame["original"])
        frame["source"] = source.where(source != "", frame["path"])
        return frame, unnamed(files, set(rows["utterance"]), META)

    def _only(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The clips of some languages.

        Raises:
            DataError: for a language that no clip has.
        """
        there = sorted(set(frame["language"]))
        for language in self.languages or ():
            if language not in there:
                raise DataError(f"data.languages: no clip is in {language!r}; {did_you_mean(language, there)}")
        return frame[frame["language"].isin(self.languages or ())].reset_index(drop=True)


def _read(root: Path, name: str) -> pd.DataFrame:
    """The lines of a `meta.csv`; a clip lies beside it, whatever comes before its name in column `path`.

    Raises:
        DataError: naming wrong lines.
    """
    frame = read_rows(root / name, delimiter="|", needed=NEEDED).rename(columns=NAMES)
    folder = name.removesuffix(META)
    frame["utterance"] = folder + frame.pop("path").str.rpartition("/")[2]
    errors = WrongRows(frame.index)
    errors.add(frame["utterance"] == folder, lambda row: "no path")
    errors.add(frame["attack"] == "", lambda row: "no model_name")
    say_twice(frame, "utterance", errors)
    errors.raise_from(str(root / name))
    return frame


def _one_sided(frame: pd.DataFrame) -> list[str]:
    """A note on languages that tell the class, if there are any."""
    spoof = frame["label"] == "spoof"
    lone = frame[spoof & ~frame["language"].isin(set(frame["language"][~spoof]))]
    if lone.empty:
        return []
    languages = ", ".join(sorted(set(lone["language"])))
    return [
        f"{len(lone):,} spoof clips are in languages without bona fide clips, so that the language tells the class: "
        f"{languages}; data.languages=[…] chooses languages"
    ]
