"""Loader processes share a large manifest: what they have for themselves stays far below its size."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch.utils.data import DataLoader

from dfad.audio import LIMITS
from dfad.clips import Manifest
from dfad.frontends import LogMelKnobs
from dfad.training import dataset
from dfad.training.dataset import ClipDataset
from dfad.training.sampling import TrainBatches
from tests.conftest import ROOT, environment

ROWS, BATCHES = 1_500_000, 60
REST = (LogMelKnobs(crop_s=0.1), LIMITS)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes that begin as copies, and /proc")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a manifest with names as long as they often are."""
    numbers = np.arange(ROWS)
    speaker = np.char.add("speaker-", np.char.zfill((numbers % 10_007).astype(str), 6))
    names = np.char.add(
        np.char.add(speaker, "/utterance-"), np.char.add(np.char.zfill(numbers.astype(str), 9), ".flac")
    )
    table = {"path": names, "label": np.where(numbers % 2, "spoof", "bona-fide"), "split": "train", "speaker": speaker}
    path = tmp_path_factory.mktemp("large") / "m.parquet"
    pd.DataFrame(table).to_parquet(path)
    return path


class Copied(ClipDataset):
    """A dataset that holds its names as Python objects, of which every look at one writes into its page."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.names = list(self.manifest.ids)

    def __getitem__(self, pick: Any) -> Any:
        assert self.names[pick.row]
        return super().__getitem__(pick)


def private(process: int) -> float:
    """Megabytes that a process shares with no other."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1e3


def of_a_loader(dataset: ClipDataset) -> float:
    """Megabytes that the larger of two loader processes has for itself, once they have read clips here and there."""
    batches = TrainBatches(np.arange(len(dataset.manifest)), batch_size=1024, seed=0, epoch=lambda: 0)
    loader = DataLoader(
        dataset, batch_sampler=batches, num_workers=2, collate_fn=dataset.collate, multiprocessing_context="fork"
    )
    read = iter(loader)
    seen = np.concatenate([batch.row.numpy() for batch in islice(read, BATCHES)])
    assert len(np.unique(seen)) == BATCHES * 1024
    return max(private(worker.pid) for worker in read._workers)  # type: ignore[attr-defined]


def measure(kind: str, path: str) -> None:
    """Print the megabytes that a loader process has of its own because the table is large, and those of the table."""

    def load(path: Path, **_: Any) -> np.ndarray:
        assert path.suffix == ".flac"
        return np.zeros(100, np.float32)

    dataset.load = load
    made, manifest = {"ClipDataset": ClipDataset, "Copied": Copied}[kind], Manifest.read(Path(path))
    few = manifest.only(np.arange((BATCHES + 4) * 1024))  # that which has nothing to do with the table
    own = of_a_loader(made(manifest, *REST)) - of_a_loader(made(few, *REST))
    print(own, manifest.frame.memory_usage(deep=True).sum() / 1e6)


@pytest.mark.parametrize("kind", ["ClipDataset", "Copied"])
def test_a_loader_process_makes_no_copy(kind: str, path: Path) -> None:
    code = f"from tests.test_manifest_memory import measure; measure({kind!r}, {str(path)!r})"
    words = [sys.executable, "-c", code]  # a process of its own: what others have left in this one would count too
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own, size = map(float, done.stdout.split())
    assert size > 120
    assert (own < size / 4) == (kind == "ClipDataset"), f"{own:.0f} MB of {size:.0f} MB"
