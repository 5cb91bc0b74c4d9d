"""What the files of a pack are: chunks as tar archives, and the JSON that lists them."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dfad.errors import DataError

FORMAT = 1
LIST, CLIPS = "pack.json", "clips.parquet"
PLACE = ("pack_chunk", "pack_start", "pack_bytes")  # columns of `clips.parquet`: number of the chunk, and bytes
END = bytes(2 * tarfile.BLOCKSIZE)  # of an archive
_NAME = re.compile(r"[a-z]+-\d{5,}\.tar", re.ASCII)
_SIZES = 2**62  # bytes; no file has as many, and 64 bits hold the sum of two
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class File:
    """One file of a pack: its name there, its length and its digest."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """What `pack.json` holds.

    Attributes:
        made: from which clips and how, so that the same command knows its own pack.
        clips: the table of clips.
        chunks: the chunks, by number.
    """

    made: Mapping[str, Any]
    clips: File
    chunks: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all chunks together."""
        return sum(chunk.size for chunk in self.chunks)

    @property
    def largest(self) -> int:
        """Bytes of the largest chunk."""
        return max((chunk.size for chunk in self.chunks), default=0)

    def text(self) -> bytes:
        """As it is written."""
        plain = {"format": FORMAT, "made": dict(self.made), "clips": _plain(self.clips)}
        return json.dumps(plain | {"chunks": [_plain(chunk) for chunk in self.chunks]}, indent=1).encode() + b"\n"

    @classmethod
    def read(cls, text: bytes, where: str) -> Listing:
        """Read it back, trusting nothing: it may come from anywhere.

        Raises:
            DataError: if it is damaged, of a later format, or names what no pack has.
        """
        try:
            found: Any = json.loads(text)
            number = found["format"]
            if number != FORMAT:
                raise DataError(
                    f"{where}: a pack of format {number}, and this dfad reads format {FORMAT}; "
                    + (
                        "update dfad: pip install -U dfad"
                        if isinstance(number, int) and number > FORMAT
                        else "pack it anew"
                    )
                )
            chunks = tuple(_file(file) for file in found["chunks"])
            made, clips = dict(found["made"]), _file(found["clips"])
            plain = all(isinstance(value, str | int | None) for key, value in made.items() if key != "skipped")
            reasons = all(isinstance(reason, str) for reason in made["skipped"].values())
            if not plain or not reasons or {type(made["packed"]), type(made["changed"])} != {int}:
                raise ValueError("made in no known way")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(f"{where}/{LIST} is damaged: {error!r}; pack the corpus anew, or copy it again") from None
        if clips.name != CLIPS or not all(_NAME.fullmatch(chunk.name) for chunk in chunks):
            raise DataError(f"{where}/{LIST} names files that no pack has; it is not used")
        return cls(made, clips, chunks)


def chunk_name(split: str, number: int) -> str:
    """The name of a chunk: clips of one split alone are in it."""
    return f"{split}-{number:05}.tar"


def header(name: str, size: int) -> bytes:
    """What stands in a chunk before an audio file: the same for the same file, whoever packs it and whenever."""
    info = tarfile.TarInfo(member_name(name))
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")


def padding(size: int) -> bytes:
    """What stands after it, up to a whole block."""
    return bytes(-size % tarfile.BLOCKSIZE)


def member_name(name: str) -> str:
    """The id of a clip as a name in an archive, which never leads out of the folder where that is unpacked.

    >>> member_name("/corpora/a.wav"), member_name("../b.wav")
    ('corpora/a.wav', 'b.wav')
    """
    return "/".join(part.replace(":", "_") for part in PurePosixPath(name).parts if part not in ("/", ".."))


def _plain(file: File) -> dict[str, Any]:
    return {"name": file.name, "bytes": file.size, "sha256": file.sha256}


def _file(found: Mapping[str, Any]) -> File:
    name, size, sha256 = found["name"], found["bytes"], found["sha256"]
    if not isinstance(name, str) or type(size) is not int or not 0 <= size < _SIZES or not _SHA256.fullmatch(sha256):
        raise ValueError(f"no file of a pack: {found}")
    return File(name, size, sha256)
