"""Decoding: every format, true crops, honest resampling, and a clear error for everything that is no good clip."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dfad import decoders
from dfad.audio import Limits, fit, load, probe, to_mono, verify
from dfad.errors import AudioError

RATE = 16000
Writer = Callable[..., Path]


def sweep(rate: int, seconds: float) -> np.ndarray:
    """A rising tone with bursts of noise: no two parts of it are alike."""
    time = np.arange(round(rate * seconds)) / rate
    noise = np.random.default_rng(0).normal(size=len(time)) * (np.sin(3 * time) > 0)
    return 0.3 * np.sin(2 * np.pi * (200 + 80 * time) * time) + 0.1 * noise


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Write a sweep, under a name that says nothing of its format."""

    def writer(
        kind: str = "WAV PCM_16", rate: int = RATE, seconds: float = 3.0, channels: int = 1, **more: Any
    ) -> Path:
        container, encoding = kind.split()
        path = tmp_path / "clip.bin"
        waves = np.stack([sweep(rate, seconds)] * channels, axis=1)
        soundfile.write(path, waves, rate, format=container, subtype=encoding, **more)
        return path

    return writer


def mp3(quality: float, mode: str) -> dict[str, Any]:
    return {"kind": "MP3 MPEG_LAYER_III", "compression_level": quality, "bitrate_mode": mode}


FORMATS = [
    *({"kind": f"WAV {encoding}"} for encoding in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "IMA_ADPCM")),
    {"kind": "FLAC PCM_16"},
    {"kind": "FLAC PCM_24"},
    {"kind": "AIFF PCM_16"},
    {"kind": "OGG VORBIS"},
    {"kind": "OGG OPUS"},
    *(mp3(quality, mode) for quality in (0.2, 0.9, 0.99) for mode in ("CONSTANT", "VARIABLE")),
]
EXACT = {"PCM_16": 1e-4, "PCM_24": 1e-6, "PCM_32": 1e-6, "FLOAT": 1e-6}


def complaint(path: Path, read: Callable[..., object] = verify, **more: Any) -> str:
    with pytest.raises(AudioError) as error:
        read(path, **more)
    return str(error.value)


# what comes out


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("encoding", EXACT)
def test_lossless_formats_give_the_samples(write: Writer, encoding: str, channels: int) -> None:
    wave = load(write(f"WAV {encoding}", channels=channels), sample_rate=RATE)
    assert wave.dtype == np.float32
    np.testing.assert_allclose(wave, sweep(RATE, 3.0), atol=EXACT[encoding])


@pytest.mark.parametrize("options", FORMATS, ids=str)
def test_every_format_sounds_like_its_source(write: Writer, options: dict[str, Any]) -> None:
    path = write(**options, rate=24000)
    wave = load(path, sample_rate=24000)
    source = sweep(24000, 3.0)
    assert len(source) <= len(wave) <= len(source) + 4096  # MP3 without a header keeps the encoder's padding
    lag = np.argmax(np.fft.irfft(np.fft.rfft(wave, 2**18) * np.fft.rfft(source, 2**18).conj()))
    assert lag < 2500
    moved = wave[lag:][: len(source) - 2500]
    assert np.corrcoef(moved, source[: len(moved)])[0, 1] > 0.9


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.tile([0.5, -0.1], (8000, 1)), RATE, subtype="FLOAT")
    np.testing.assert_allclose(load(tmp_path / "a.wav", sample_rate=RATE), 0.2, atol=1e-6)


@pytest.mark.parametrize("suffix", [".mp3", ".raw", ".txt", ""])
def test_suffix_does_not_matter(write: Writer, suffix: str) -> None:
    path = write("FLAC PCM_16")
    other = path.rename(path.with_suffix(suffix))
    assert probe(other).format == "FLAC PCM_16"
    assert len(load(other, sample_rate=RATE)) == 3 * RATE


def test_probe_reads_the_header(write: Writer) -> None:
    info = probe(write("OGG VORBIS", rate=22050, channels=2))
    assert (info.frames, info.sample_rate, info.channels, info.duration_s) == (66150, 22050, 2, 3.0)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 44101])
def test_resampling_keeps_a_tone_and_the_length(tmp_path: Path, rate: int) -> None:
    time = np.arange(2 * rate) / rate
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * time), rate, subtype="FLOAT")
    wave = load(tmp_path / "a.wav", sample_rate=RATE)
    assert len(wave) == 2 * RATE
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    assert np.argmax(spectrum) / 2 == 1000
    assert np.sqrt(np.mean(wave**2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-2)


def test_tone_above_nyquist_is_gone(tmp_path: Path) -> None:
    time = np.arange(2 * 48000) / 48000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 11000 * time), 48000, subtype="FLOAT")
    wave = load(tmp_path / "a.wav", sample_rate=RATE)[1000:-1000]
    assert 20 * np.log10(np.sqrt(np.mean(wave**2)) / (0.5 / np.sqrt(2))) < -60


# crops


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("options", FORMATS, ids=str)
def test_crop_is_a_part_of_the_whole(write: Writer, options: dict[str, Any], rate: int) -> None:
    if options["kind"] == "OGG OPUS" and rate % 4000:
        pytest.skip("Opus has no such rate")
    path = write(**options, rate=rate, seconds=6.0, channels=2 if options["kind"] != "WAV IMA_ADPCM" else 1)
    whole, frames = load(path, sample_rate=RATE), probe(path).frames
    unit = rate // gcd(rate, RATE)  # so many frames make whole samples
    for position in (0.0, 0.1, 0.5, 0.77, 0.95, 1.0):
        start = round(position * (frames - rate)) // unit * unit
        crop = load(path, sample_rate=RATE, crop_s=1.0, position=start / (frames - rate))
        assert len(crop) == RATE
        first = start // unit * (RATE // gcd(rate, RATE))
        np.testing.assert_allclose(crop, whole[first : first + RATE], atol=1e-4)


def test_crop_longer_than_the_clip_is_the_clip(write: Writer) -> None:
    path = write(rate=22050)
    np.testing.assert_array_equal(load(path, sample_rate=RATE, crop_s=9, position=0.7), load(path, sample_rate=RATE))


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_crop_of_an_hour_reads_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    path = tmp_path / "hour.wav"
    soundfile.write(path, np.zeros(rate), rate)
    head = bytearray(path.read_bytes()[:44])
    head[40:44] = struct.pack("<I", 3600 * rate * 2)
    path.write_bytes(head)
    os.truncate(path, 44 + 3600 * rate * 2)  # sparse
    counts = []
    read = soundfile.SoundFile.read

    def counting(self: Any, frames: int = -1, **more: Any) -> Any:
        counts.append(frames)
        return read(self, frames, **more)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    assert len(load(path, sample_rate=RATE, crop_s=4.0, position=0.9)) == 4 * RATE
    assert 4 * rate <= sum(counts) <= 4.2 * rate


def test_mp3_whose_length_is_a_guess(write: Writer) -> None:
    path = write(**mp3(0.9, "CONSTANT"), rate=22050, seconds=20)
    assert soundfile.info(path).frames > probe(path).frames  # the guess grows with the clip
    assert verify(path).frames == len(load(path, sample_rate=22050))
    assert len(load(path, sample_rate=22050, crop_s=1, position=1.0)) == 22050


@pytest.mark.parametrize("samples", [1, 2, 5, 13])
def test_fit_repeats_or_cuts(samples: int) -> None:
    wave = np.arange(5.0)
    assert fit(wave, samples).tolist() == [row % 5 for row in range(samples)]


# what is refused


@pytest.mark.parametrize(
    "content", [b"", b"hello " * 9000, b"\x89PNG\r\n\x1a\n" * 99, b"RIFF\0\0\0\0WAVE", b"\1\2" * 9999]
)
def test_no_audio(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.raw"
    path.write_bytes(content)
    for read in (probe, verify):
        assert complaint(path, read).startswith(f"{path}: ")
    assert complaint(path, load, sample_rate=RATE).startswith(f"{path}: ")


def test_empty_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert complaint(tmp_path / "a.wav").endswith("the file is empty")


def test_header_without_samples(write: Writer) -> None:
    assert "0.000 s long" in complaint(write(seconds=0))


TRUNCATED = ["FLAC PCM_16", "MP3 MPEG_LAYER_III", "WAV PCM_16", "OGG VORBIS", "OGG OPUS"]


@pytest.mark.parametrize("kind", TRUNCATED)
def test_half_a_file_is_known_by_its_manifest(write: Writer, kind: str) -> None:
    path = write(kind)
    os.truncate(path, path.stat().st_size // 2)
    complaint(path, expected_s=3.0)
    complaint(path, load, sample_rate=RATE, crop_s=1.0, position=0.9, expected_s=3.0)


@pytest.mark.parametrize("kind", TRUNCATED[:2])
def test_half_a_file_whose_header_knows_better(write: Writer, kind: str) -> None:
    path = write(kind)
    os.truncate(path, path.stat().st_size // 2)
    complaint(path)
    complaint(path, load, sample_rate=RATE)


@pytest.mark.parametrize("kind", ["WAV PCM_16", "WAV FLOAT", "AIFF PCM_16", "AU PCM_16"])
def test_the_scan_holds_a_file_against_its_header(write: Writer, kind: str) -> None:
    path = write(kind)
    verify(path)
    os.truncate(path, path.stat().st_size // 2)
    assert "truncated, 1." in complaint(path)
    assert "s of the 3.000 s in its header" in complaint(path)


def test_a_wav_from_a_pipe_promises_nothing(write: Writer) -> None:
    path = write("WAV PCM_16")
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"  # bytes of sound, which its writer could not know beforehand
    path.write_bytes(content)
    assert verify(path).frames == 3 * RATE


@pytest.mark.parametrize("kind", ["WAV PCM_16", "MP3 MPEG_LAYER_III", "OGG VORBIS"])
def test_sound_files_last_as_long_as_expected(write: Writer, kind: str) -> None:
    assert verify(write(kind), expected_s=3.02).frames == 3 * RATE


@pytest.mark.parametrize("with_av", [True, False])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_one_wrong_bit_in_a_flac(write: Writer, monkeypatch: pytest.MonkeyPatch, place: float, with_av: bool) -> None:
    path = write("FLAC PCM_16")
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    if not with_av:
        monkeypatch.setattr(decoders, "find_spec", lambda name: None)
    complaint(path)
    complaint(path, load, sample_rate=RATE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_nan_and_infinity(tmp_path: Path, bad: float, channels: int) -> None:
    waves = np.zeros((RATE, channels), np.float32)
    waves[9000, -1] = bad
    soundfile.write(tmp_path / "a.wav", waves, RATE, subtype="FLOAT")
    assert complaint(tmp_path / "a.wav").endswith("holds NaN or infinite samples")
    assert "NaN" in complaint(tmp_path / "a.wav", load, sample_rate=8000)


def test_too_short_and_too_long(write: Writer) -> None:
    assert "0.050 s long, at least 0.1 s" in complaint(write(seconds=0.05))
    assert "3 s long, at most 2 s" in complaint(write(), limits=Limits(max_duration_s=2))


def wav_header(rate: int, channels: int, size: int = 64000) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, min(2 * rate * channels, 2**32 - 1), 2 * channels, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size)


@pytest.mark.parametrize(
    ("rate", "channels", "what"),
    [
        (2**31 - 1, 1, "rate 2147483647 Hz"),
        (1, 1, "rate 1 Hz"),
        (RATE, 1000, "1000 channels"),
        (RATE, 0, ""),
        (0, 1, ""),
    ],
)
def test_absurd_headers(tmp_path: Path, rate: int, channels: int, what: str) -> None:
    (tmp_path / "a.wav").write_bytes(wav_header(rate, channels) + bytes(64000))
    assert what in complaint(tmp_path / "a.wav")


def test_unknown_codec(tmp_path: Path) -> None:
    header = bytearray(wav_header(RATE, 1))
    header[20:22] = b"\xee\xee"
    (tmp_path / "a.wav").write_bytes(header + bytes(64000))
    complaint(tmp_path / "a.wav")


def test_many_channels_through_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.wav").write_bytes(wav_header(RATE, 27, 54000) + bytes(54000))

    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError

    monkeypatch.setattr(soundfile, "SoundFile", refuse)  # else FFmpeg would not be asked
    assert "27 channels, expected 1 to 8" in complaint(tmp_path / "a.wav")


@pytest.mark.parametrize("options", FORMATS, ids=str)
def test_random_damage_is_an_audio_error_or_sound(write: Writer, options: dict[str, Any]) -> None:
    content = write(**options, seconds=0.7).read_bytes()
    random = np.random.default_rng(0)
    for _ in range(12):
        damaged = bytearray(content)
        for place in random.integers(random.choice([64, len(content)]), size=8):
            damaged[place] = random.integers(256)
        path = write(**options, seconds=0)
        path.write_bytes(damaged[: random.integers(1, len(content))] if random.random() < 0.3 else damaged)
        try:
            wave = load(path, sample_rate=RATE, crop_s=0.3, position=random.random())
        except AudioError:
            continue
        assert len(wave) > 0
        assert np.isfinite(wave).all()


def test_a_day_is_refused_unread(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("FLAC PCM_16")
    content = bytearray(path.read_bytes())
    frames = 24 * 3600 * RATE
    content[21] = content[21] & 0xF0 | frames >> 32
    content[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    path.write_bytes(content)
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    assert "86400 s long" in complaint(path)
    assert "86400 s long" in complaint(path, load, sample_rate=RATE, crop_s=4)


def test_things_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert "no such file" in complaint(tmp_path / "missing.wav")
    assert "no such file" in complaint(tmp_path / "link")
    assert "not a regular file" in complaint(tmp_path)
    assert "not a regular file" in complaint(tmp_path / "pipe")
    assert "not a regular file" in complaint(Path(os.devnull))
    complaint(tmp_path / "a\0b.wav")
    complaint(tmp_path / "a\ud800.wav")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(write: Writer) -> None:
    path = write()
    path.chmod(0)
    assert "permission denied" in complaint(path)


@pytest.mark.parametrize(
    "script",
    ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"],
    ids=["concat", "playlist"],
)
@pytest.mark.parametrize("remote", [False, True])
def test_scripts_open_nothing_else(write: Writer, tmp_path: Path, script: str, remote: bool) -> None:
    pytest.importorskip("av")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        target = f"http://127.0.0.1:{server.getsockname()[1]}/clip.wav" if remote else write().name
        path = tmp_path / "script.wav"
        path.write_text(script.format(target))
        complaint(path)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


# FFmpeg


@pytest.fixture
def m4a(tmp_path: Path) -> Writer:
    av = pytest.importorskip("av")

    def writer(container: str = "mp4", channels: int = 1, rate: int = 44100) -> Path:
        layout = "mono" if channels == 1 else "stereo"
        waves = np.stack([sweep(rate, 3.0)] * channels).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(waves, format="fltp", layout=layout)
        frame.rate, frame.pts = rate, 0
        with av.open(str(tmp_path / "clip"), "w", format=container) as file:
            stream = file.add_stream("aac", rate=rate, layout=layout)
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                file.mux(packet)
        return tmp_path / "clip"

    return writer


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("container", ["mp4", "adts"])
def test_aac(m4a: Writer, container: str, channels: int) -> None:
    path = m4a(container, channels)
    info = verify(path, expected_s=3.0)
    assert (info.sample_rate, info.channels) == (44100, channels)
    whole = load(path, sample_rate=44100)
    lag = 0 if container == "mp4" else 1024
    source = sweep(44100, 3.0)
    assert np.corrcoef(whole[lag:][: len(source)], source[: len(whole) - lag])[0, 1] > 0.9
    for position in (0.0, 0.3, 1.0):
        crop = load(path, sample_rate=44100, crop_s=1.0, position=position)
        first = round(position * (info.frames - 44100))
        np.testing.assert_allclose(crop, whole[first : first + 44100][: len(crop)], atol=1e-6)
        assert abs(len(crop) - 44100) < 4096


def test_length_of_adts_is_counted_not_guessed(m4a: Writer) -> None:
    path = m4a("adts")
    assert probe(path).frames == len(load(path, sample_rate=44100))


def test_damaged_m4a(m4a: Writer) -> None:
    path = m4a()
    os.truncate(path, path.stat().st_size // 2)
    complaint(path)


def test_without_av_the_error_says_what_to_install(m4a: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = m4a()
    monkeypatch.setattr(decoders, "find_spec", lambda name: None)
    assert complaint(path).endswith("for more formats: pip install 'dfad[formats]'")


# side effects


@pytest.mark.parametrize("cut", [False, True])
def test_decoders_do_not_chatter(write: Writer, capfd: pytest.CaptureFixture[str], cut: bool) -> None:
    path = write(**mp3(0.99, "CONSTANT"))
    if cut:
        path.write_bytes(path.read_bytes()[1000:-50])
    for position in (0.3, 1.0):
        load(path, sample_rate=RATE, crop_s=0.5, position=position)
    load(path, sample_rate=RATE)
    verify(path)
    path.write_bytes(path.read_bytes()[:40])
    complaint(path)
    assert capfd.readouterr() == ("", "")


def test_stderr_survives_many_threads(write: Writer, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(**mp3(0.9, "VARIABLE"))

    def crop(row: int) -> int:
        return len(load(path, sample_rate=RATE, crop_s=0.5, position=row % 10 / 10))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(crop, range(100))) == {RATE // 2}
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_no_descriptor_is_left_open(write: Writer, m4a: Writer, tmp_path: Path) -> None:
    good = [m4a().rename(tmp_path / "m4a")]
    for row, options in enumerate(FORMATS):
        good.append(write(**options, seconds=0.5).rename(tmp_path / str(row)))
    (tmp_path / "text").write_text("no sound")
    flac = bytearray((tmp_path / "6").read_bytes())
    flac[len(flac) // 2] ^= 0x10
    (tmp_path / "flac").write_bytes(flac)
    bad = [tmp_path / "text", tmp_path / "flac", tmp_path, tmp_path / "missing"]
    before = None
    for _ in range(10):
        for path in good:
            load(path, sample_rate=RATE, crop_s=0.2, position=0.5)
        for path in bad:
            complaint(path)
        before = before or len(list(Path("/proc/self/fd").iterdir()))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
def test_the_mean_of_the_channels_is_numpys_bit_for_bit(channels: int) -> None:
    wave = np.random.default_rng(0).normal(size=(5000, channels)).astype(np.float32)
    np.testing.assert_array_equal(to_mono(wave), wave.mean(axis=1, dtype=np.float32))
    assert to_mono(wave.astype(np.float64)).dtype == np.float32
