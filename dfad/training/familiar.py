"""What the clips of a training sounded like, so that a scorer can tell when it hears something else."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from dfad.clips import Manifest
from dfad.corpora import CorpusKnobs
from dfad.corpora.check import in_threads
from dfad.errors import AudioError
from dfad.frontends import FrontendKnobs
from dfad.scoring.familiar import BANDS, LEAST_TRAINING, LEAST_VALIDATION, Familiar, features
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.reader import Reader
from dfad.training.scoring import Screen

MOST, MOST_S = 400, 30.0  # clips of each split, and seconds of each: moments of work, whatever the corpus


def familiar_of(manifest: Manifest, data: CorpusKnobs, frontend: FrontendKnobs, screen: Screen) -> Familiar | None:
    """Learn it from training clips, and how far they may be from each other from validation clips; never from test.

    Args:
        manifest: the clips, less those that are skipped.
        data: by which they are read.
        frontend: of the detector.
        screen: told how it goes.

    Returns:
        None where there are too few clips.
    """
    rows = {split: _some(manifest, split) for split in ("train", "val")}
    if len(rows["train"]) < LEAST_TRAINING or len(rows["val"]) < LEAST_VALIDATION:
        return None
    options = ScoringKnobs(hop_s=frontend.crop_s, max_hours=data.limits.max_duration_s / 3600)

    def work(row: int) -> np.ndarray:
        reader = Reader(manifest.path(row), frontend, options)
        try:
            for start, _ in reader:
                if start > MOST_S * frontend.sample_rate:
                    break
        except AudioError:  # a corpus that was not scanned: its scoring tells
            return np.full(BANDS, np.nan)
        return features(reader.sound)

    both = np.concatenate(list(rows.values()))
    found = np.stack(list(in_threads(work, both, screen.watch("listening to training clips"))))
    training, validation = found[: len(rows["train"])], found[len(rows["train"]) :]
    return Familiar.fit(training[~np.isnan(training[:, 0])], validation[~np.isnan(validation[:, 0])])


def _some(manifest: Manifest, split: str) -> np.ndarray:
    """Some clips of a split, always the same: by a hash of their ids."""
    rows = manifest.rows(split)
    hashes = [crc32(str(id).encode()) for id in manifest.ids[rows]]
    return np.sort(rows[np.argsort(hashes, kind="stable")[:MOST]])
