"""WaveFake: utterances of LJSpeech and JSUT copied by neural vocoders, and read out by a synthesiser.

Frank and Schönherr, "WaveFake: A Data Set to Facilitate Audio Deepfake Detection", NeurIPS Datasets and Benchmarks
2021. It holds generated clips only, in a folder per vocoder: `ljspeech_*`, `jsut_*`, and `common_voices_prompts_*`,
which has other sentences in the voice of LJSpeech. The real clips are those of LJSpeech and of JSUT's `basic5000`.
There are no splits. As all clips of a language are of one speaker, they are dealt by utterance, over both classes and
all vocoders: one and the same speaker is in every split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pandas as pd
from pydantic import Field

from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.corpora.listing import above, files_in, look
from dfad.corpora.protocol import first
from dfad.corpora.published import PublishedKnobs
from dfad.corpora.rows import read_texts
from dfad.dealing import AT_RANDOM, by_group, deal
from dfad.errors import DataError
from dfad.knobs import Free

GENERATED = 117_985  # clips, of both voices
DEPTH = 4
BY_UTTERANCE = by_group(
    "utterance", "unseen speakers (each voice is one speaker, in every split), texts and generators"
)
_VOCODER = re.compile(r"(ljspeech|jsut|common_voices)_(?!ver|\d).+", re.IGNORECASE)
_OTHER_SENTENCES = "common_voices"


@dataclass(frozen=True)
class Voice:
    """A speaker whose recordings were copied."""

    language: str
    folder: str  # pattern of the folder with the recordings
    example: str  # of one
    utterance: str  # pattern
    texts: str  # file with what was said
    separator: str  # in it
    recordings: int
    home: str


VOICES = {
    "ljspeech": Voice(
        "en", r"(the-)?ljspeech(-.*)?", "LJSpeech-1.1/wavs/LJ001-0001.wav", r"LJ\d{3}-\d{4}",
        "metadata.csv", "|", 13_100, "https://keithito.com/LJ-Speech-Dataset",
    ),
    "jsut": Voice(
        "ja", "basic5000", "jsut_ver1.1/basic5000/wav/BASIC5000_0001.wav", r"BASIC5000_\d{4}",
        "transcript_utf8.txt", ":", 5_000, "https://sites.google.com/site/shinnosuketakamichi/publication/jsut",
    ),
}  # fmt: skip


class WaveFakeKnobs(PublishedKnobs):
    """Options of WaveFake."""

    home: ClassVar[str] = "https://zenodo.org/records/5642694"
    name: Literal["wavefake"] = "wavefake"
    path: Annotated[Path, Free] = Field(
        Path("data/wavefake"),
        description="folder with generated_audio and the real recordings, there or up to four folders deeper",
    )
    voices: tuple[Literal["ljspeech", "jsut"], ...] = Field(
        ("ljspeech", "jsut"), min_length=1, description="whose clips, real and generated"
    )
    split: Literal["utterance", "random"] = Field(
        "utterance", description="what is never divided in dealing: an utterance, or nothing but the clip"
    )

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """List recordings and copies, and deal them."""
        copies, recordings = self._folders()
        if not copies:
            raise self.absent("folders such as generated_audio/ljspeech_melgan, and the real recordings")
        root = above([*copies, *recordings])
        wanted = {
            label: {folder: voice for folder, voice in found.items() if voice in self.voices}
            for label, found in (("spoof", copies), ("bona-fide", recordings))
        }
        self._require(wanted)
        listed = [_clips(*item, root, label) for label, found in wanted.items() for item in found.items()]
        frame = pd.concat(listed, ignore_index=True)
        strange = frame["path"][frame["utterance"] == ""]
        frame = frame[frame["utterance"] != ""].reset_index(drop=True)
        _refuse_copies(frame, root)
        texts = {name: text for folder, voice in wanted["bona-fide"].items() for name, text in _texts(folder, voice)}
        frame["transcript"] = frame["utterance"].map(texts).astype("str").fillna("")
        frame["split"] = deal(frame["path"] if self.split == "random" else frame["utterance"])
        notes = _differences(frame, self.voices)
        if len(strange):
            notes.append(f"audio files with names of no utterance are left out: {len(strange):,}, {first(strange)}")
        dealing = AT_RANDOM if self.split == "random" else BY_UTTERANCE
        return Manifest.check(frame, root, source=str(root)).noted(*notes).dealt(dealing)

    def find(self) -> Path | None:
        """The folder in which copies and recordings lie; None without copies."""
        copies, recordings = self._folders()
        return above([*copies, *recordings]) if copies else None

    def _folders(self) -> tuple[dict[Path, str], dict[Path, str]]:
        """The folders of copies and of recordings, each with its voice."""
        folders, _ = look(
            self.path, DEPTH, closed=lambda name: bool(_voice_of(name) or _recorded(name)), wanted=lambda name: False
        )
        names = {folder: folder.absolute().name for folder in folders}
        copies = {folder: voice for folder, name in names.items() if (voice := _voice_of(name))}
        return copies, {f: voice for f, name in names.items() if f not in copies and (voice := _recorded(name))}

    def _require(self, wanted: Mapping[str, Mapping[Path, str]]) -> None:
        """Refuse a voice of which one class is not there.

        Raises:
            DataError: saying what to get, or what to leave out.
        """
        for voice in self.voices:
            if voice not in wanted["bona-fide"].values():
                others = [other for other in VOICES if other != voice]
                raise DataError(
                    f"no recordings of {voice} below {self.path}: expected {VOICES[voice].example}\n"
                    f"get them ({VOICES[voice].home}) and put them there, or link them: "
                    f"ln -s /where/they/are {self.path}/\nor leave the voice out: data.voices=[{','.join(others)}]"
                )
            if voice not in wanted["spoof"].values():
                raise DataError(f"no folder {voice}_… with copies of {voice} below {self.path}\n{self.hint}")


def _voice_of(name: str) -> str:
    """The voice of a folder of copies, by its name; "" if it is none."""
    found = _VOCODER.fullmatch(name)
    return "" if not found else "jsut" if found[1].lower() == "jsut" else "ljspeech"


def _recorded(name: str) -> str:
    """The voice of a folder of recordings, by its name; "" if it is none."""
    return next((voice for voice, it in VOICES.items() if re.fullmatch(it.folder, name, re.IGNORECASE)), "")


def _clips(folder: Path, voice: str, root: Path, label: str) -> pd.DataFrame:
    """The clips of a folder; those whose name is no utterance have "" for it."""
    names = pd.Series(files_in([folder], root), dtype="str")
    vocoder = "" if label == "bona-fide" else folder.absolute().name
    stem = names.str.rpartition("/")[2].str.rpartition(".")[0]
    if vocoder.lower().startswith(_OTHER_SENTENCES):
        utterance = f"{_OTHER_SENTENCES}/" + stem
    else:
        utterance = stem.str.extract(rf"^({VOICES[voice].utterance})(?:_gen(?:erated)?)?$")[0].fillna("")
    return pd.DataFrame(
        {
            "path": names,
            "label": label,
            "attack": vocoder,
            "speaker": voice,
            "utterance": utterance,
            "vocoder": re.sub("^(ljspeech|jsut)_", "", vocoder),
            "language": VOICES[voice].language,
        }
    )


def _texts(folder: Path, voice: str) -> Iterable[tuple[str, str]]:
    """What was said in the recordings of a folder, where it is told."""
    file = folder / VOICES[voice].texts
    return read_texts(file, VOICES[voice].separator).items() if file.is_file() else ()


def _refuse_copies(frame: pd.DataFrame, root: Path) -> None:
    """Refuse an utterance that comes twice from one vocoder, or twice as a recording.

    Raises:
        DataError: naming the first, and its copy.
    """
    twice = frame.duplicated(["attack", "utterance"])
    if not twice.any():
        return
    row = frame[twice].iloc[0]
    same = frame["path"][(frame["attack"] == row["attack"]) & (frame["utterance"] == row["utterance"])]
    raise DataError(
        f"{twice.sum():,} clips lie more than once below {root}, {first(same)}\n"
        "remove one of the copies, or say which to take: data.path=…"
    )


def _differences(frame: pd.DataFrame, voices: Sequence[str]) -> list[str]:
    """A note on counts that are not the published ones, if there are any."""
    real = frame["label"] == "bona-fide"
    found = {voice: int((real & (frame["speaker"] == voice)).sum()) for voice in voices}
    lines = [
        f"{count:,} recordings of {voice} instead of {VOICES[voice].recordings:,}"
        for voice, count in found.items()
        if count != VOICES[voice].recordings
    ]
    if set(voices) == set(VOICES) and (~real).sum() != GENERATED:
        lines.append(f"{(~real).sum():,} generated clips instead of {GENERATED:,}")
    if not lines:
        return []
    return [f"wavefake is not as published: {', '.join(lines)}, so do not compare these results with published ones"]
