"""Files that a stranger may send: a maker for each kind, and what must be said of it.

`SENT` are bytes, in a file or over a wire; `PLACED` are things that only a folder can hold. A reason is a pattern that
the one line of complaint matches; None: there is sound in it, which must get a score.
"""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import lfilter

RATE = 16_000
SECRET = "xyzzy-what-another-file-holds"
LOOPBACK = "http://127.0.0.1:9/clip.wav"  # replaced by the address of a server that must not be called
_NO_SOUND = r"no audio that can be decoded|format not recognised|unknown format|pip install"


@dataclass(frozen=True)
class Sent:
    """Bytes, and what is said of them.

    Attributes:
        make: makes them; given the path of a sound file of somebody else's, and the address of a server.
        reason: a pattern of the complaint; None if it must be scored; "" if either will do.
        suffix: of the file's name.
    """

    make: Callable[[Path, str], bytes]
    reason: str | None
    suffix: str = ".wav"


@dataclass(frozen=True)
class Placed:
    """A thing that is put at a path, and what is said of it."""

    make: Callable[[Path], None]
    reason: str | None
    name: str = "clip.wav"


def speech(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """Something with a spectrum. Shape: (samples,)."""
    return 0.05 * np.asarray(lfilter([1], [1, -0.9], np.random.default_rng(0).normal(size=round(seconds * rate))))


def encoded(wave: np.ndarray, rate: int = RATE, format: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """A sound file."""
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=format, subtype=subtype)
    return file.getvalue()


def wav_header(rate: int, channels: int, size: int) -> bytes:
    """Of a WAV file that may be anything."""
    form = struct.pack("<HHIIHH", 1, channels, rate, min(2 * rate * channels, 2**32 - 1), 2 * channels, 16)
    return (
        b"RIFF"
        + struct.pack("<I", (36 + size) % 2**32)
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", size)
    )


def flac_of_length(frames: int) -> bytes:
    """A FLAC file whose header promises so many frames."""
    content = bytearray(encoded(np.zeros(RATE), format="FLAC"))
    content[21] = content[21] & 0xF0 | frames >> 32
    content[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(content)


def flipped(content: bytes) -> bytes:
    """One wrong bit in the middle."""
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 0x10]) + content[len(content) // 2 + 1 :]


def tagged(size: int) -> bytes:
    """An MP3 behind a tag of so many bytes."""
    length = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + length + bytes(size) + encoded(speech(), format="MP3", subtype="MPEG_LAYER_III")


def with_chunk(size: int) -> bytes:
    """A WAV file with so many bytes of something before its sound."""
    content = encoded(speech())
    chunk = b"LIST" + struct.pack("<I", size) + bytes(size)
    return b"RIFF" + struct.pack("<I", len(content) + len(chunk) - 8) + b"WAVE" + chunk + content[12:]


def archive() -> bytes:
    """A zip of a sound file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("clip.wav", encoded(speech()))
    return file.getvalue()


def with_bad(value: float) -> bytes:
    """Sound with one sample that is none."""
    wave = speech().astype(np.float32)
    wave[len(wave) // 2] = value
    return encoded(wave, subtype="FLOAT")


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"

SENT: dict[str, Sent] = {
    "empty": Sent(lambda file, url: b"", "the file is empty"),
    "text": Sent(lambda file, url: b"hello " * 999, _NO_SOUND, ".mp3"),
    "web page": Sent(lambda file, url: b"<html><script>alert(1)</script></html>", _NO_SOUND, ".mp3"),
    "random": Sent(lambda file, url: np.random.default_rng(0).bytes(50_000), _NO_SOUND, ".ogg"),
    "header only": Sent(lambda file, url: encoded(np.zeros(0)), r"0\.000 s long"),
    "half a header": Sent(lambda file, url: encoded(speech())[:30], ""),
    "promises a gigabyte": Sent(lambda file, url: wav_header(RATE, 1, 2**30) + bytes(64_000), "truncated"),
    "promises all there is": Sent(
        lambda file, url: wav_header(RATE, 1, 2**32 - 1) + bytes(64_000), None
    ),  # from a pipe
    "truncated WAV": Sent(lambda file, url: encoded(speech())[:9000], "truncated"),
    "truncated FLAC": Sent(lambda file, url: encoded(speech(3), format="FLAC")[:20_000], "", ".flac"),
    "flipped bit": Sent(lambda file, url: flipped(encoded(speech(3), format="FLAC")), "", ".flac"),
    "NaN": Sent(lambda file, url: with_bad(np.nan), "NaN or infinite"),
    "infinity": Sent(lambda file, url: with_bad(np.inf), "NaN or infinite"),
    "beyond all measure": Sent(lambda file, url: encoded(speech() * 1e30, subtype="FLOAT"), ""),
    "1,000 channels": Sent(lambda file, url: wav_header(RATE, 1000, 640_000) + bytes(640_000), "1000 channels"),
    "no channel": Sent(lambda file, url: wav_header(RATE, 0, 64_000) + bytes(64_000), ""),
    "rate of 2^31 - 1": Sent(lambda file, url: wav_header(2**31 - 1, 1, 64_000) + bytes(64_000), "rate 2147483647 Hz"),
    "rate of 1": Sent(lambda file, url: wav_header(1, 1, 64_000) + bytes(64_000), "rate 1 Hz"),
    "a day": Sent(lambda file, url: flac_of_length(24 * 3600 * RATE), "86400 s long", ".flac"),
    "promises too little": Sent(lambda file, url: flac_of_length(RATE // 2), "", ".flac"),
    "10 ms": Sent(lambda file, url: encoded(speech(0.01)), r"0\.010 s long, at least"),
    "one sample": Sent(lambda file, url: encoded(speech(1 / RATE)), "at least"),
    "wrong suffix": Sent(lambda file, url: encoded(speech()), None, ".mp3"),
    "double suffix": Sent(lambda file, url: encoded(speech(), format="OGG", subtype="VORBIS"), None, ".tar.wav"),
    "silence": Sent(lambda file, url: encoded(np.zeros(RATE)), None),
    "large tag": Sent(lambda file, url: tagged(2_000_000), None, ".mp3"),
    "tag beyond the end": Sent(lambda file, url: tagged(200_000)[:9000], "", ".mp3"),
    "large chunk": Sent(lambda file, url: with_chunk(2_000_000), None),
    "gzip": Sent(lambda file, url: gzip.compress(encoded(speech())), _NO_SOUND),
    "zip": Sent(lambda file, url: archive(), _NO_SOUND),
    "pickle": Sent(lambda file, url: b"\x80\x02cos\nsystem\nU\x04trueq\x85R.", _NO_SOUND),
    "playlist of a file": Sent(lambda file, url: PLAYLIST.format(file).encode(), _NO_SOUND),
    "playlist of an address": Sent(lambda file, url: PLAYLIST.format(url).encode(), _NO_SOUND, ".m4a"),
    "script of a file": Sent(lambda file, url: f"ffconcat version 1.0\nfile '{file}'\n".encode(), _NO_SOUND),
    "script of an address": Sent(lambda file, url: f"ffconcat version 1.0\nfile '{url}'\n".encode(), _NO_SOUND),
    "session description": Sent(lambda file, url: b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", _NO_SOUND),
    "Ogg pages of nothing": Sent(lambda file, url: b"OggS" * 9999, "", ".ogg"),
    "MP4 atoms of nothing": Sent(lambda file, url: b"\0\0\0\x18ftypM4A \0\0\0\0isom" + bytes(9999), "", ".m4a"),
}


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may have some hundred bytes only
        one.bind(path.name)
        os.chdir(here)


def _unreadable(path: Path) -> None:
    path.write_bytes(encoded(speech()))
    path.chmod(0)


def _good(path: Path) -> None:
    path.write_bytes(encoded(speech()))


PLACED: dict[str, Placed] = {
    "FIFO": Placed(os.mkfifo, "not a regular file"),
    "device": Placed(lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "socket": Placed(_socket, "no such device|not a regular file"),
    "link to nowhere": Placed(lambda path: path.symlink_to("nowhere.wav"), "no such file"),
    "link to itself": Placed(lambda path: path.symlink_to(path.name), "too many levels"),
    "unreadable": Placed(_unreadable, "permission denied" if os.geteuid() else None),  # root may read everything
    "newline in its name": Placed(_good, None, "a\nb.wav"),
    "control codes in its name": Placed(_good, None, "a\x1b[2J\x07.wav"),
    "no UTF-8 in its name": Placed(_good, None, os.fsdecode(b"a\xff\xfe.wav")),
    "markup in its name": Placed(_good, None, "[red]a[bold]:x:,\"';$(true).wav"),
    "begins with a dash": Placed(_good, None, "--run.wav"),
    "long name": Placed(_good, None, "a" * 251 + ".wav"),
}
