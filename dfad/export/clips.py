"""Sound to try an exported detector on: clips that the run has scored, where they lie, else made ones."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import numpy as np

from dfad.audio import load
from dfad.errors import AudioError
from dfad.export.about import stored
from dfad.frontends import FrontendKnobs
from dfad.roots import placed
from dfad.scores import ScoreTable

MADE = "made sound"


def clips_of(run: Path, frontend: FrontendKnobs, most: int) -> tuple[str, list[np.ndarray]]:
    """Up to so many waveforms of at most two crops, of validation and test by turns.

    Returns:
        What they are, and the clips: `MADE` where none of the run's own can be read.
    """
    found: list[np.ndarray] = []
    manifest = stored(run, "manifest.json")
    if manifest and (root := placed(manifest["root"], Path())):
        tables = [run / "scores" / f"{split}.csv" for split in ("test", "val")]
        ids = [list(ScoreTable.read(table).frame["id"]) for table in tables if table.is_file()]
        for id_ in (id_ for pair in zip_longest(*ids) for id_ in pair if id_ is not None):
            if len(found) == most:
                break
            try:
                path = root / id_
                found.append(load(path, sample_rate=frontend.sample_rate, crop_s=2 * frontend.crop_s))
            except (AudioError, KeyError):  # moved, or of a part that is not here
                continue
    if found:
        return "validation and test clips of the run", found
    return MADE, [made(frontend, seed) for seed in range(most)]


def made(frontend: FrontendKnobs, seed: int) -> np.ndarray:
    """Two crops of a gliding buzz in noise, loud and quiet by turns."""
    random = np.random.default_rng(seed)
    samples = 2 * frontend.crop_samples
    low, high = random.uniform(80, 400, 2)
    turns = np.cumsum(np.linspace(low, high, samples)) / frontend.sample_rate
    loud = np.abs(np.sin(np.linspace(0, random.uniform(4, 20), samples)))
    wave = loud * np.sign(np.sin(2 * np.pi * turns)) + random.uniform(0.01, 1) * random.normal(size=samples)
    return (random.uniform(0.01, 0.5) * wave / np.abs(wave).max()).astype(np.float32)
