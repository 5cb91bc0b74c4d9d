"""What copy synthesis costs: each vocoder on one clip in one thread, as a loader process does it, beside decoding.

Processor time is counted: what others do on the machine changes it little.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import soundfile

from dfad.audio import load
from dfad.corpora.voices import SAMPLE_RATE, draw_voice, utter
from dfad.effects.vocoders import VOCODERS, vocode

CLIPS, SECONDS = 12, 2.0


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    times: dict[str, list[float]] = {name: [] for name in ("decoding a FLAC", *VOCODERS)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.flac"
        for number in range(1 + CLIPS):
            soundfile.write(path, utter(draw_voice(number), (number, 1), SECONDS), SAMPLE_RATE)
            began = time.process_time()
            wave = load(path, sample_rate=SAMPLE_RATE)
            times["decoding a FLAC"].append(1000 * (time.process_time() - began))
            for name in VOCODERS:
                began = time.process_time()
                vocode(wave, SAMPLE_RATE, name, number)
                times[name].append(1000 * (time.process_time() - began))
    lines = [
        f"{CLIPS} clips of {SECONDS:g} s at {SAMPLE_RATE} Hz, one at a time in one thread, median.",
        "",
        "| vocoder | processor time, ms per clip |",
        "|---|---|",
    ]
    return lines + [f"| `{name}` | {median(found[1:]):.1f} |" for name, found in times.items()]


if __name__ == "__main__":
    print("\n".join(main()))
