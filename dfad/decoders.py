"""Two decoders behind one face: libsndfile, and FFmpeg (PyAV, the `formats` extra) for what it refuses.

Pieces of larger files that are plain WAVs need neither: that alone lets a pack be read faster than files.

Files are told by their content, never by their suffix. What stands here beside opening and reading are the places
where either library is wrong, slow or noisy; `audio` is what the rest of dfad uses.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
import soundfile

from dfad.errors import AudioError
from dfad.places import Piece, Place, opened
from dfad.wav import AudioInfo, Plain

# FFmpeg may open nothing but plain containers of sound: no playlist, no concat script, nothing that names other files
_CONTAINERS = "wav,flac,ogg,mp3,aac,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,amr,asf,aiff,au,g722,caf,w64"
_BLOCK = 2**18  # frames decoded at a time where the whole file is read
# libsndfile's log where the sound is shorter than its header says: bytes promised, and bytes there
_CUT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_LENGTH = 0x7FFF_0000  # bytes; what writes to a pipe promises as much or more
_QUIET = (b"RIFF", b"fLaC", b"OggS")  # how files begin on which libsndfile writes nothing to stderr


@contextmanager
def open_audio(path: Place) -> Iterator[Plain | _SoundFile | _Av]:
    """Open a regular file, or a piece of one, with the first decoder that takes it."""
    if isinstance(path, Piece) and (plain := Plain.of(path)):
        yield plain
        return
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opened(path))
        except (OSError, ValueError) as error:  # ValueError: a NUL or half a surrogate in the name
            reason = getattr(error, "strerror", None) or str(error)
            raise AudioError(f"{path}: {reason.lower()}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise AudioError(f"{path}: not a regular file")
        try:
            with _muted(os.pread(descriptor, 4, 0) not in _QUIET):
                # by descriptor, so that the suffix cannot speak
                handle = soundfile.SoundFile(os.dup(descriptor), closefd=True)
        except (soundfile.LibsndfileError, TypeError, ValueError) as error:
            reason = getattr(error, "error_string", str(error)).strip(" .")
            with _open_av(path, descriptor, reason) as source:
                yield source
        else:
            with handle:
                try:
                    yield _SoundFile(path, handle, descriptor)
                except soundfile.LibsndfileError as error:
                    raise AudioError(f"{path}: {error.error_string.strip(' .').lower()}") from None


class _SoundFile:
    """Decode with libsndfile."""

    def __init__(self, path: Place, handle: soundfile.SoundFile, descriptor: int) -> None:
        self.path, self.handle, self.descriptor = path, handle, descriptor
        self.at = 0  # the next frame
        # frames that the header may promise too many: codecs count whole blocks
        self.slack = 0 if handle.subtype.startswith(("PCM", "FLOAT", "DOUBLE")) else 2048
        frames = handle.frames
        if handle.format == "MP3" and handle.seekable() and not _mp3_says_length(descriptor):
            frames = self._true_end()
        self.info = AudioInfo(frames, handle.samplerate, handle.channels, f"{handle.format} {handle.subtype}")

    @property
    def promised_s(self) -> float:
        """Seconds by the header of a WAV, AIFF or AU file, of which libsndfile gives those that are there."""
        if cut := _CUT.search(self.handle.extra_info):
            promised, there = map(int, cut.groups())
            if 0 < there < promised < _UNKNOWN_LENGTH:
                return self.info.duration_s * promised / there
        return self.info.duration_s

    def read(self, start: int, count: int) -> np.ndarray:
        first = start
        if start != self.at:
            if not self.handle.seekable():  # GSM
                first = self.at
            elif self.handle.format == "MP3":  # a frame borrows bits from some before it: at first all is wrong
                first = max(0, start - 2 * self.handle.samplerate)
            elif self.handle.subtype == "VORBIS":  # libsndfile 1.2.2 is off by the end's padding in the last page
                first = min(start, _last_page(self.descriptor))
        try:
            with _muted(self.handle.format in ("MP3", "CAF")):
                if first != self.at:
                    self.handle.seek(first)
                wave = self.handle.read(start - first + count, dtype="float32", always_2d=True)
            self.at = first + len(wave)
            return wave[start - first :]
        except soundfile.LibsndfileError as error:
            if find_spec("av") is not None:  # libsndfile 1.2.2 loses sync on sound FLACs that FFmpeg decodes
                with (  # by a descriptor with a place in the file of its own
                    opened(self.path) as descriptor,
                    _open_av(self.path, descriptor, str(error)) as source,
                ):
                    return source.read(start, count)
            raise AudioError(f"{self.path}: {error.error_string.strip(' .').lower()}") from None

    def _true_end(self) -> int:
        """Find where a file ends whose length libsndfile guessed from its first frame, as a rule too late."""
        promised, found = self.handle.frames, 0
        back = self.handle.samplerate
        with _muted():
            while not found and back < 2 * promised:
                start = self.handle.seek(max(0, promised - back))
                found = len(self.handle.read(back, dtype="float32", always_2d=True))
                back *= 4
            self.handle.seek(0)
        return start + found if found else promised

    def blocks(self) -> Iterator[np.ndarray]:
        done = 0
        while len(wave := self.read(done, min(_BLOCK, self.info.frames - done))):
            yield wave
            done += len(wave)


def _mp3_says_length(descriptor: int) -> bool:
    """Whether the first frame after the tags tells how many frames there are."""
    head = os.pread(descriptor, 10, 0)
    tags = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=False))
    frame = os.pread(descriptor, 256, tags if head.startswith(b"ID3") else 0)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _last_page(descriptor: int) -> int:
    """Where the last page of an Ogg file starts, in frames."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 2**17, max(0, size - 2**17))  # two pages of the largest kind
    ends = [int.from_bytes(page[2:10], "little", signed=True) for page in tail.split(b"OggS")[1:]]
    return max(0, ends[-2]) if len(ends) > 1 else 0


_mute_lock = Lock()
_mutes: list[int] = []  # how many readers want silence, as copies of the one true stderr


@contextmanager
def _muted(wanted: bool = True) -> Iterator[None]:
    """Send the process's stderr nowhere: the decoders of MP3 and ALAC complain there about cut frames."""
    if not wanted:
        yield
        return
    with _mute_lock:  # threads: the first to come mutes, the last to go restores
        _mutes.append(_mutes[0] if _mutes else os.dup(2))
        if len(_mutes) == 1:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
    try:
        yield
    finally:
        with _mute_lock:
            kept = _mutes.pop()
            if not _mutes:
                os.dup2(kept, 2)
                os.close(kept)


@contextmanager
def _open_av(path: Place, descriptor: int, refusal: str) -> Iterator[_Av]:
    if os.fstat(descriptor).st_size == 0:
        raise AudioError(f"{path}: the file is empty")
    if find_spec("av") is None:
        raise AudioError(f"{path}: {refusal}; for more formats: pip install 'dfad[formats]'")
    import av

    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        with (
            os.fdopen(os.dup(descriptor), "rb") as file,
            av.open(file, options={"format_whitelist": _CONTAINERS}) as container,
        ):
            if not container.streams.audio or container.streams.audio[0].codec_context is None:
                raise AudioError(f"{path}: holds no sound that can be decoded")
            if container.streams.audio[0].codec.name == "flac":  # else damage would pass for sound
                container.streams.audio[0].codec_context.options = {"err_detect": "crccheck+explode"}
            yield _Av(path, container)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{path}: no audio that can be decoded ({reason.lower()})") from None


class _Av:
    """Decode with FFmpeg: from the start, as its seeking is not exact."""

    slack = 4096  # containers count the encoder's padding too

    def __init__(self, path: Place, container: Any) -> None:
        self.path, self.container = path, container
        self.stream = container.streams.audio[0]
        rate, channels = self.stream.codec_context.sample_rate, self.stream.codec_context.channels
        if channels > 8:  # beyond its 8 planes PyAV 18 reads wild memory
            raise AudioError(f"{path}: {channels} channels, expected 1 to 8 in this format")
        length = self.stream.duration and float(self.stream.duration * self.stream.time_base)
        if not length and container.format.name != "aac":
            length = (container.duration or 0) / 1e6
        if not length or container.format.name == "aac":  # without a header FFmpeg guesses: count the packets
            ticks = sum(packet.duration or 0 for packet in container.demux(self.stream))
            length = float(ticks * self.stream.time_base)
            container.seek(0)
        self.info = AudioInfo(int(length * rate), rate, channels, f"{container.format.name} {self.stream.codec.name}")
        self.promised_s = self.info.duration_s

    def read(self, start: int, count: int) -> np.ndarray:
        parts: list[np.ndarray] = [np.zeros((0, self.info.channels), np.float32)]
        seen = 0
        for wave in self.blocks():
            parts.append(wave[max(0, start - seen) : max(0, start + count - seen)])
            seen += len(wave)
            if seen >= start + count:
                break
        return np.concatenate(parts)

    def blocks(self) -> Iterator[np.ndarray]:
        import av

        to_float = av.AudioResampler(format="fltp")
        for frame in self.container.decode(self.stream):
            for part in to_float.resample(frame):
                yield part.to_ndarray().T
