"""What a manifest of ten million clips costs (`dfad.clips`): reading and hashing it, each in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from dfad.clips import Manifest

CLIPS, SPEAKERS, STEP = 10_000_000, 100_000, 500_000


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        sizes = {suffix: (Path(folder) / f"m.{suffix}").stat().st_size / 1e9 for suffix in ("parquet", "csv")}
        rows = {name: measured(name, Path(folder)) for name in JOBS}
    lines = [f"| {name} | {seconds:.1f} | {peak:.2f} |" for name, (seconds, peak) in rows.items()]
    return [
        f"{CLIPS:,} clips of {SPEAKERS:,} speakers: path (45 bytes), label, split, attack, speaker, duration_s; "
        f"{sizes['parquet']:.2f} GB as Parquet, {sizes['csv']:.2f} GB as CSV, in the page cache. One process each.",
        "",
        "| what | seconds | peak memory, GB |",
        "|---|---|---|",
        *lines,
    ]


def measured(name: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory (GB) of a process of its own."""
    command = [sys.executable, "-m", "bench.manifest", name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def write(folder: Path) -> None:
    """Write the manifest, in both forms, in pieces."""
    schema = part(0).schema
    with parquet.ParquetWriter(folder / "m.parquet", schema) as one, csv.CSVWriter(folder / "m.csv", schema) as other:
        for start in range(0, CLIPS, STEP):
            table = part(start)
            one.write_table(table)
            other.write_table(table)


def part(start: int) -> pa.Table:
    """Some of its rows: a tenth is bona fide, and a tenth each is for validation and test."""
    random, rows = np.random.default_rng(start), np.arange(start, start + STEP)
    speaker = np.char.add("speaker-", np.char.zfill(random.integers(0, SPEAKERS, STEP).astype(str), 6))
    system = random.integers(0, 10, STEP)
    columns = {
        "path": joined("clips/", speaker, "/utterance-", np.char.zfill(rows.astype(str), 9), ".flac"),
        "label": np.where(system == 0, "bona-fide", "spoof"),
        "split": np.array(["train"] * 8 + ["dev", "eval"])[random.integers(0, 10, STEP)],
        "attack": np.where(system == 0, "", joined("A0", system.astype(str))),
        "speaker": speaker,
        "duration_s": np.round(random.uniform(1, 12, STEP), 3),
    }
    return pa.table(columns)


def joined(*parts: str | np.ndarray) -> np.ndarray:
    whole: np.ndarray = np.array("")
    for piece in parts:
        whole = np.char.add(whole, piece)
    return whole


def reading(name: str) -> Callable[[Path], float]:
    """Read the manifest from a file."""
    return lambda folder: timed(lambda: Manifest.read(folder / name))


def pandas_alone(folder: Path) -> float:
    """What a table of texts costs, before anything in it is checked."""
    return timed(lambda: pd.read_csv(folder / "m.csv", dtype=str, keep_default_na=False))


def digest(folder: Path) -> float:
    """Hash a manifest that has been read."""
    return timed(Manifest.read(folder / "m.parquet").digest)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


JOBS = {
    "`Manifest.read`, Parquet": reading("m.parquet"),
    "`Manifest.read`, CSV": reading("m.csv"),
    "`pandas.read_csv` alone, every cell as text": pandas_alone,
    "`Manifest.digest` of what was read": digest,
}

if __name__ == "__main__" and not sys.argv[1:]:
    print("\n".join(main()))
elif __name__ == "__main__":
    print(JOBS[sys.argv[1]](Path(sys.argv[2])), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
