"""What a codec costs (`dfad.effects.codecs`): one clip there and back, beside decoding it from its file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile

from dfad.audio import load
from dfad.corpora.voices import SAMPLE_RATE, draw_voice, utter
from dfad.effects import codec_ffmpeg, codec_sndfile
from dfad.effects.codecs import CODECS, recode

ROUNDS, LONG_S = 7, 20
SECONDS = (2, 4)


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    waves = [utter(draw_voice(1), 1, seconds) for seconds in SECONDS]
    jobs: dict[str, list[Callable[[], Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("wav", "flac", "mp3"):
            paths = [Path(folder) / f"{seconds}.{suffix}" for seconds in SECONDS]
            for path, wave in zip(paths, waves, strict=True):
                soundfile.write(path, wave, SAMPLE_RATE)
            jobs[f"decoding {suffix.upper()} | | |"] = [
                lambda path=path: load(path, sample_rate=SAMPLE_RATE) for path in paths
            ]
        for name, codec in CODECS.items():
            for kbps in codec.kbps:
                row = f"`{name}` | {kbps:g} | {spent(name, kbps):.1f} |"
                jobs[row] = [
                    lambda wave=wave, name=name, kbps=kbps: recode(wave, SAMPLE_RATE, name, kbps) for wave in waves
                ]
        milliseconds = measured(jobs)
    return [
        "A demo voice at 16 kHz, resampled where a codec has another rate; CPU time on one core, median of "
        f"{ROUNDS} interleaved rounds. kbit/s: asked, and spent on {LONG_S} s of speech with all headers.",
        "",
        f"| | kbit/s | spent | {' | '.join(f'ms, {seconds} s' for seconds in SECONDS)} |",
        "|---|---|---|" + "---|" * len(SECONDS),
        *(f"| {row} {' | '.join(f'{cost:.1f}' for cost in costs)} |" for row, costs in milliseconds.items()),
    ]


def measured(jobs: dict[str, list[Callable[[], Any]]]) -> dict[str, list[float]]:
    """Milliseconds of each job, all of them in turn."""
    taken: dict[str, list[list[float]]] = {row: [[] for _ in calls] for row, calls in jobs.items()}
    for turn in range(ROUNDS + 1):
        for row, calls in jobs.items():
            for call, times in zip(calls, taken[row], strict=True):
                begun = time.process_time()
                call()
                if turn:  # the first is to warm up
                    times.append(1000 * (time.process_time() - begun))
    return {row: [median(times) for times in several] for row, several in taken.items()}


def spent(name: str, kbps: float) -> float:
    """The bit rate that the encoder really has, kbit/s."""
    wave = np.concatenate([utter(draw_voice(seed), seed, LONG_S / 10) for seed in range(10)])
    with (
        patch.object(codec_sndfile, "_decode", wraps=codec_sndfile._decode) as of_bytes,
        patch.object(codec_ffmpeg, "_decode", wraps=codec_ffmpeg._decode) as of_packets,
    ):
        recode(wave, SAMPLE_RATE, name, kbps)
    if of_bytes.called:
        size = len(of_bytes.call_args.args[0])
    else:
        size = sum(packet.size for packet in of_packets.call_args.args[1])
    return 8 * size / 1000 / LONG_S


if __name__ == "__main__":
    print("\n".join(main()))
