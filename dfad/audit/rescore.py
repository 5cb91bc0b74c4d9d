"""Score clips with a detector as they are, and as they would be with another value of each nuisance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from numpy.random import Generator

from dfad.audio import Limits, load
from dfad.audit.traits import Traits, Wave, measure
from dfad.audit.treatments import GROUPS, Neutral, Source
from dfad.clips import Manifest
from dfad.corpora.check import in_threads
from dfad.frontends import FrontendKnobs
from dfad.metrics.bootstrap import untold
from dfad.scorer import Scorer

REACH_S = 10.0  # decoded beyond the crop, to find speech that begins late
AHEAD, AT_ONCE = 48, 16  # clips that threads decode and treat, and clips of these that are scored meanwhile
BATCH = 64  # versions of clips
SWAPS = 3

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Clips:
    """Clips that can be decoded as a detector hears them.

    Attributes:
        manifest: of the corpus.
        rows: which of its clips.
        frontend: of the detector.
        limits: of the decoder.
    """

    manifest: Manifest
    rows: np.ndarray
    frontend: FrontendKnobs
    limits: Limits

    def source(self, row: int) -> Source:
        """Decode one clip.

        Raises:
            AudioError: if it cannot be used.
        """
        seconds = float(self.manifest.frame["duration_s"].iloc[row])
        wave = load(
            self.manifest.path(row),
            sample_rate=self.frontend.sample_rate,
            crop_s=self.frontend.crop_s + REACH_S,
            expected_s=None if np.isnan(seconds) else seconds,
            limits=self.limits,
        )
        return Source(wave, self.frontend.crop_samples, self.frontend.sample_rate)

    def traits(self, progress: Progress = untold) -> list[Traits]:
        """Measure every clip."""

        def work(row: int) -> Traits:
            source = self.source(row)
            return measure(source.wave, source.crop, source.sample_rate)

        return list(in_threads(work, self.rows, progress))


def some_of(manifest: Manifest, rows: np.ndarray, most: int) -> np.ndarray:
    """Choose at most so many rows, by a hash of the clips' ids: always the same ones.

    Shape:
        rows: (clips,) -> (at most `most`,) int64, ascending
    """
    hashes = [crc32(str(id).encode()) for id in manifest.ids[rows]]
    return np.sort(rows[np.argsort(hashes, kind="stable")[:most]])


def traits_table(traits: Sequence[Traits]) -> pd.DataFrame:
    """Give all traits but the spectra: a row per clip, a column `trait:<name>` each."""
    names = [field.name for field in fields(Traits) if field.name != "floor"]
    return pd.DataFrame({f"trait:{name}": [getattr(each, name) for each in traits] for name in names})


def rescore(
    scorer: Scorer,
    clips: Clips,
    neutral: Neutral,
    donors: Sequence[Traits],
    groups: Sequence[str] = tuple(GROUPS),
    *,
    swaps: int = SWAPS,
    progress: Progress = untold,
) -> pd.DataFrame:
    """Score every clip clean, and under each treatment of each group.

    Each clip is decoded once. What is drawn for it depends on its id alone, not on the clips beside it, and what a
    treatment leaves as it is has the clean score itself.

    Args:
        scorer: the detector.
        clips: to score.
        neutral: the common values.
        donors: clips whose values are dealt.
        groups: which ones.
        swaps: values that each clip is dealt in turn.
        progress: told of clips done.

    Returns:
        A row per clip, in the order of `clips.rows`: `score`, and per group `score:<group>` (the common value) and
        `score:<group>:<turn>` (dealt values), all float32; and the clip's own traits.
    """
    names = ["score"]
    for group in groups:
        names += [f"score:{group}", *(f"score:{group}:{turn + 1}" for turn in range(swaps))]

    def work(row: int) -> tuple[list[Wave], Traits]:
        source, id = clips.source(row), str(clips.manifest.ids[row])
        heard = [source.heard, *_treated(source, id, neutral, donors, groups, swaps)]
        return heard, measure(source.wave, source.crop, source.sample_rate)

    scores: list[np.ndarray] = []
    traits: list[Traits] = []
    ready = in_threads(work, clips.rows, at_once=AHEAD)
    while some := list(islice(ready, AT_ONCE)):
        scores.append(_scores(scorer, [heard for heard, _ in some]))
        traits += [found for _, found in some]
        progress(len(traits), len(clips.rows))
    return pd.concat([pd.DataFrame(np.concatenate(scores), columns=names), traits_table(traits)], axis=1)


def _scores(scorer: Scorer, heard: Sequence[Sequence[Wave]]) -> np.ndarray:
    """Score all versions of some clips, the first of each always, others only where they differ from it.

    Shape:
        heard: (clips, versions) waves of the crop's length -> (clips, versions) float32
    """
    changed = np.array(
        [[at == 0 or not np.array_equal(wave, clip[0]) for at, wave in enumerate(clip)] for clip in heard]
    )
    places = np.argwhere(changed.T)  # the clean ones first, batched as they stand
    scores = np.empty(changed.shape, np.float32)
    for start in range(0, len(places), BATCH):
        some = places[start : start + BATCH]
        batch = torch.from_numpy(np.stack([heard[clip][version] for version, clip in some]))
        scores[some[:, 1], some[:, 0]] = scorer.score(batch).numpy()
    return np.where(changed, scores, scores[:, :1])


def _treated(
    source: Source, id: str, neutral: Neutral, donors: Sequence[Traits], groups: Sequence[str], swaps: int
) -> Iterator[Wave]:
    """What is heard of a clip under every treatment, in the order of the scores' names."""
    dealt = [donors[int(_random(id, "donor", turn).integers(len(donors)))] for turn in range(swaps)]
    for name in groups:
        yield GROUPS[name].same(source, neutral, _random(id, name, swaps))
        for turn, donor in enumerate(dealt):
            yield GROUPS[name].swap(source, donor, _random(id, name, turn))


def _random(id: str, name: str, turn: int) -> Generator:
    """Random numbers of a clip, a group and a turn."""
    return np.random.default_rng((crc32(id.encode()), crc32(name.encode()), turn))
