"""What an audit costs (`dfad.audit`): measuring 10,000 two-second clips, all of the audit, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from dfad.audit.measure import facts_of, measure
from dfad.audit.whole import audit
from dfad.clips import Manifest

CLIPS, FEW, FILES = 10_000, 1000, 500
SECONDS, LONG, RATES = 2, 1200, (16_000, 44_100)


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        for rate in RATES:
            write(Path(folder), rate)
        rows = {how: measured(how, folder) for how in JOBS}
    lines = [f"| {name} | {seconds:.1f} | {peak:.0f} |" for name, (seconds, peak) in rows.items()]
    return [
        f"WAV files (PCM_16) of {SECONDS} s, warm cache, a process each, {len(os.sched_getaffinity(0))} cores; memory: "
        "the most that is held beyond what the process held when its libraries were loaded.",
        "",
        "| what | seconds | memory more, MB |",
        "|---|---|---|",
        *lines,
    ]


def write(folder: Path, rate: int) -> None:
    """A few files under many names: noise in bursts, half of it of either class, 200 speakers."""
    random = np.random.default_rng(rate)
    names = []
    for number in range(CLIPS):
        path = folder / f"{rate}-{number}.wav"
        if number < FILES:
            burst = np.repeat(random.uniform(0, 0.3, 8), SECONDS * rate // 8)
            soundfile.write(path, burst * random.normal(size=len(burst)), rate)
        else:
            os.link(folder / f"{rate}-{number % FILES}.wav", path)
        names.append(path.name)
    table = pd.DataFrame({"path": names, "label": ["real", "fake"] * (CLIPS // 2)})
    table["speaker"] = [f"s{number // 2 % 200}" for number in range(CLIPS)]
    table["split"] = np.where(np.arange(CLIPS) // 2 % 200 < 150, "train", "test")
    table.to_csv(folder / f"{rate}.csv", index=False)
    soundfile.write(folder / f"{rate}-short.wav", random.normal(size=SECONDS * rate) * 0.1, rate)
    with soundfile.SoundFile(folder / f"{rate}-long.wav", "w", rate, 1) as file:
        for _ in range(LONG // 60):
            file.write(random.normal(size=60 * rate) * 0.1)


def measured(how: str, folder: str) -> tuple[float, float]:
    """Seconds and memory (MB) of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.audit", how, folder], capture_output=True, text=True, check=True
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


@contextmanager
def watched() -> Iterator[list[float]]:
    """The most memory, MB, that the process holds more than at the start; in the list at the end."""

    def held() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    start, most, done = held(), [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], held() - start)

    watcher = threading.Thread(target=look)
    watcher.start()
    yield most
    done.set()
    watcher.join()


def of_manifest(folder: Path, rate: int, clips: int) -> Manifest:
    return Manifest.read(folder / f"{rate}.csv").only(np.arange(clips))


JOBS = {
    f"measuring {FEW:,} clips, 16 kHz": lambda folder: measure(of_manifest(folder, 16_000, FEW)),
    f"measuring {CLIPS:,} clips, 16 kHz": lambda folder: measure(of_manifest(folder, 16_000, CLIPS)),
    f"measuring {CLIPS:,} clips, 44.1 kHz": lambda folder: measure(of_manifest(folder, 44_100, CLIPS)),
    f"the whole audit of {CLIPS:,} clips, 16 kHz": lambda folder: audit(of_manifest(folder, 16_000, CLIPS)),
    f"measuring one clip of {SECONDS} s, 44.1 kHz": lambda folder: facts_of(folder / "44100-short.wav"),
    f"measuring one clip of {LONG // 60} min, 44.1 kHz": lambda folder: facts_of(folder / "44100-long.wav"),
}

if __name__ == "__main__" and not sys.argv[1:]:
    print("\n".join(main()))
elif __name__ == "__main__":
    begun = time.perf_counter()
    with watched() as grown:
        JOBS[sys.argv[1]](Path(sys.argv[2]))
    print(time.perf_counter() - begun, grown[0])
