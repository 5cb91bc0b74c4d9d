"""How fast clips are read, as files and from packs: in random order and within a window, in one process and by two."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from torch.utils.data import DataLoader

from dfad.audio import LIMITS
from dfad.clips import Manifest
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.corpora.packed_clips import Recipe
from dfad.corpora.packing import write_pack
from dfad.frontends import RawKnobs
from dfad.packs import where
from dfad.training.dataset import ClipDataset
from dfad.training.sampling import TrainBatches
from dfad.training.windows import Windows

CLIPS, SECONDS, RATE, BATCH, WINDOW, ROUNDS = 2048, 2.0, 16000, 64, 8, 3
CHUNK = 4_000_000  # bytes, so that there are many more chunks than in a window


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        ways = {
            "WAV files, any order": (files(home, "wav"), None),
            "a pack of samples (`--as pcm`), any order": (packed(home, "wav", "pcm"), None),
            f"a pack of samples, `data.window={WINDOW}`": (packed(home, "wav", "pcm"), WINDOW),
            "a pack of the WAV files (`--as as-is`), any order": (packed(home, "wav", "as-is"), None),
            "FLAC files, any order": (files(home, "flac"), None),
            "a pack of the FLAC files (`--as as-is`), any order": (packed(home, "flac", "as-is"), None),
        }
        readers = {name: reader(knobs, window) for name, (knobs, window) in ways.items()}
        rates: dict[str, list[tuple[float, ...]]] = {name: [] for name in readers}
        for number in range(ROUNDS + 1):
            for name, read in readers.items():
                found = tuple(read(workers, number) for workers in (0, 2))
                if number:  # the first round warms up
                    rates[name].append(found)
    load = os.getloadavg()[0]
    first = next(iter(rates))
    lines = [
        f"{CLIPS:,} clips of {SECONDS:.0f} s, mono, 16 bits at {RATE // 1000} kHz, in the page cache; batches of "
        f"{BATCH} through PyTorch's loader, no augmentation, chunks of {CHUNK // 1_000_000} MB, medians of {ROUNDS} "
        f"rounds in turn; load average {load:.1f} on {os.cpu_count()} cores.",
        "",
        "| read from | clips/s, one process | times the files' | clips/s, two loader processes | times the files' |",
        "|---|---|---|---|---|",
    ]
    for name, found in rates.items():
        base = rates[first] if "FLAC" not in name else rates["FLAC files, any order"]
        cells = [name]
        for column in (0, 1):
            ratio = median(here[column] / there[column] for here, there in zip(found, base, strict=True))
            cells += [f"{median(rate[column] for rate in found):,.0f}", f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def files(home: Path, suffix: str) -> CorpusKnobs:
    """A corpus of files; noise will do."""
    manifest = home / suffix / "clips.csv"
    if not manifest.is_file():
        manifest.parent.mkdir()
        random, lines = np.random.default_rng(0), ["path,label,split"]
        for number in range(CLIPS):
            name = f"{number}.{suffix}"
            wave = 0.1 * random.normal(size=round(SECONDS * RATE))
            soundfile.write(manifest.parent / name, wave, RATE, subtype="PCM_16")
            lines.append(f"{name},{('spoof', 'bona-fide')[number % 2]},train")
        manifest.write_text("\n".join(lines) + "\n")
    return CORPORA["manifest"].read({"name": "manifest", "path": str(manifest)})


def packed(home: Path, suffix: str, kind: str) -> CorpusKnobs:
    """That corpus in a pack."""
    out = home / f"{suffix}-{kind}"
    recipe = Recipe(kind, RATE if kind == "pcm" else None, CHUNK)
    write_pack(files(home, suffix).manifest(), where(str(out)), recipe, limits=LIMITS)
    return CORPORA["packed"].read({"name": "packed", "path": str(out)})


def reader(knobs: CorpusKnobs, window: int | None) -> Callable[[int, int], float]:
    """Clips per second of an epoch, by so many loader processes."""
    manifest: Manifest = knobs.manifest()
    windows = Windows.of(manifest, knobs.model_copy(update={"window": window})) if window else None
    dataset = ClipDataset(manifest, RawKnobs(crop_s=SECONDS), LIMITS)

    def read(workers: int, epoch: int) -> float:
        batches = TrainBatches(manifest.rows("train"), batch_size=BATCH, seed=0, epoch=lambda: epoch, windows=windows)
        loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=dataset.collate)
        steps = iter(loader)
        next(steps)  # processes have started
        began, count = time.perf_counter(), sum(len(batch) for batch in steps)
        return count / (time.perf_counter() - began)

    return read


if __name__ == "__main__":
    print("\n".join(main()))
