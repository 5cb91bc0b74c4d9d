"""A clip of any length, explained: its score over time, and maps of one crop of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfad.audio import fit
from dfad.errors import ConfigError, did_you_mean
from dfad.explain.cells import Cells
from dfad.explain.explanation import Explanation
from dfad.explain.methods import METHODS
from dfad.scorer import GraphScorer, Scorer
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.reader import Reader
from dfad.scoring.result import Result

_AROUND_S = 20.0  # that is kept of the clip around the crop

Wave = NDArray[np.float32]


@torch.inference_mode(False)
def explain(
    scorer: Scorer,
    source: str | Path | np.ndarray,
    sample_rate: int | None = None,
    *,
    at_s: float | None = None,
    methods: Sequence[str] = tuple(METHODS),
    result: Result | None = None,
    max_hours: float = 12.0,
) -> Explanation:
    """Explain what a detector says of a clip.

    Args:
        scorer: the detector; it is left as it was found.
        source: an audio file, or a waveform of shape (samples,) or (samples, channels) in [-1, 1].
        sample_rate: of the waveform, Hz; not needed for a file.
        at_s: where the explained crop begins, seconds; by default that of the window that speaks most for spoof.
        methods: of `METHODS`.
        result: what the scorer said of the clip in its usual windows; by default it is asked again.
        max_hours: a longer file is refused before it is decoded.

    Raises:
        AudioError: for sound that cannot be used.
        ConfigError: for a method that there is not, a moment that the clip does not have, or an exported graph.
    """
    if isinstance(scorer, GraphScorer):
        raise ConfigError("an exported graph has no gradients to explain by; give the run folder or its checkpoint")
    for name in methods:
        if name not in METHODS:
            raise ConfigError(f"no method {name!r}; {did_you_mean(name, METHODS)}")
    source = source if isinstance(source, np.ndarray) else Path(source)
    if result is None:
        result = scorer(source, sample_rate, max_hours=max_hours)
    frontend = scorer.knobs.frontend
    if at_s is not None and not 0 <= at_s < result.duration_s:
        raise ConfigError(f"nothing to explain at {at_s:g} s: the clip lasts {result.duration_s:.2f} s")
    most = min(result.windows, key=lambda window: window.score)
    last = round(result.windows[-1].start_s * frontend.sample_rate)
    start = min(last, round((most.start_s if at_s is None else at_s) * frontend.sample_rate))

    reader = Reader(source, frontend, ScoringKnobs(hop_s=frontend.crop_s, max_hours=max_hours), sample_rate)
    begin, around = _around(reader, start, last + reader.crop)
    own = around[start - begin : start - begin + reader.crop]
    heard = fit(own, reader.crop)
    cells = Cells(scorer, torch.from_numpy(heard))
    found = [METHODS[name](cells) for name in methods]
    deployed = scorer.deployed
    crop = scorer.judge(float(scorer.score(torch.from_numpy(heard)[None])))
    return Explanation(
        result=result,
        start_s=start / reader.rate,
        end_s=(start + len(own)) / reader.rate,
        crop=replace(crop, duration_s=len(own) / reader.rate),
        crop_s=reader.crop_s,
        p_threshold=deployed.p_spoof(deployed.decides_at),
        p_baseline=deployed.p_spoof(-float(cells.told(torch.zeros_like(cells.values)[None]))),
        maps=tuple(replace(one, seconds=one.seconds + start / reader.rate) for maps, _ in found for one in maps),
        notes=tuple(note for _, notes in found for note in notes),
        sample_rate=reader.rate,
        heard=heard,
        around=around,
        around_s=begin / reader.rate,
    )


def _around(reader: Reader, start: int, length: int) -> tuple[int, Wave]:
    """The sample at which the surroundings of a crop begin, and they; nothing more of the clip is kept."""
    wanted = max(reader.crop, round(_AROUND_S * reader.rate))
    begin = max(0, min(start - (wanted - reader.crop) // 2, length - wanted))
    wave, end = np.zeros(wanted, np.float32), 0
    for first, piece in reader:  # all of them: the reader knows only then how long the clip is
        low, high = max(first, begin), min(first + len(piece), begin + wanted)
        if low < high:
            wave[low - begin : high - begin] = piece[low - first : high - first]
            end = high - begin
    return begin, wave[: min(end, reader.samples - begin)]
