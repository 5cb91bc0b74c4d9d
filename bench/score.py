"""Hours of audio that `dfad score` hears in an hour of one core, and where that hour goes.

Processor time, not the clock: threads that decode stand beside the network, and what others do does not count.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile
import soxr
import torch

from dfad.audio import decode
from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.frontends import LogMelKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.scorer import Scorer
from dfad.scoring.result import Result

SECONDS = (1.5, 3.0, 5.0, 8.0, 20.0)
KINDS = (("wav", 16_000, 1), ("flac", 44_100, 2), ("mp3", 24_000, 1))
EACH, LONG_S = 12, 600.0


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    torch.set_num_threads(1)
    knobs = DetectorKnobs(frontend=LogMelKnobs(), model=CNNKnobs())
    scorer = Scorer(Checkpoint(Path("random"), knobs, knobs.network().state_dict(), 0))
    lines = [
        "`cnn` on `logmel`, windows of 2 s every 1 s, one thread for the network; noise, warm cache; shares of the "
        "processor time.",
        "",
        "| files | hours per core-hour | decode, resample | frontend | network | neither |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for what, paths in corpora(Path(folder)).items():
            list(scorer.each(paths[:8]))  # warms up
            lines.append(row(what, scorer, paths))
    return lines


def corpora(home: Path) -> dict[str, list[Path]]:
    """Short files of each kind and length, and a long one."""
    random = np.random.default_rng(0)
    found: dict[str, list[Path]] = {}
    for suffix, rate, channels in KINDS:
        name = f"{EACH * len(SECONDS)} {suffix.upper()} of {min(SECONDS):g} to {max(SECONDS):g} s, {rate / 1000:g} kHz"
        for seconds in SECONDS:
            for number in range(EACH):
                path = home / f"{seconds}-{number}.{suffix}"
                soundfile.write(path, 0.1 * random.normal(size=(round(seconds * rate), channels)), rate)
                found.setdefault(name, []).append(path)
    soundfile.write(home / "long.wav", 0.1 * random.normal(size=round(LONG_S * 16_000)), 16_000)
    return {**found, f"one WAV of {LONG_S / 60:g} min, 16 kHz": [home / "long.wav"]}


def row(what: str, scorer: Scorer, paths: list[Path]) -> str:
    """Score files, and tell where the time went."""
    spent: Counter[str] = Counter()
    with timed(scorer, spent):
        began = time.process_time()
        results = [result for _, result in scorer.each(paths)]
        total = time.process_time() - began
    seconds = sum(result.duration_s for result in results if isinstance(result, Result))
    assert seconds
    parts = [spent[name] / total for name in ("decode", "frontend", "network")]
    shares = " | ".join(f"{share:.1%}" for share in [*parts, 1 - sum(parts)])
    return f"| {what} | {seconds / total:.0f} | {shares} |"


@contextmanager
def timed(scorer: Scorer, spent: Counter[str]) -> Iterator[None]:
    """Count the processor time of each part, by the thread that does it."""

    def clocked(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*args, **more)
            finally:
                spent[name] += time.thread_time() - began

        return call

    def decoded(*args: Any, **more: Any) -> Iterator[Any]:
        step = clocked("decode", decode(*args, **more).__next__)
        try:
            while True:
                yield step()
        except StopIteration:
            return

    real = soxr.ResampleStream

    class Resampler:
        def __init__(self, *args: Any, **more: Any) -> None:
            self.resample_chunk = clocked("decode", real(*args, **more).resample_chunk)

    with (
        patch("dfad.scoring.reader.decode", decoded),
        patch("dfad.scoring.reader.soxr.ResampleStream", Resampler),
        patch.object(scorer.frontend, "forward", clocked("frontend", scorer.frontend.forward)),
        patch.object(scorer.network, "forward", clocked("network", scorer.network.forward)),
    ):
        yield


if __name__ == "__main__":
    print("\n".join(main()))
