"""Whether a graph says what PyTorch says, on sound of several lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dfad.audio import fit
from dfad.errors import RunError
from dfad.graphs import Graph
from dfad.metrics.bootstrap import untold
from dfad.scorer import Scorer

TOLERANCE = 1e-4
LENGTHS = (1.0, 0.7, 1.3, 2.0, 1.0)  # crops; clips take turns at these, and are as long as they are where shorter


@dataclass(frozen=True)
class Parity:
    """How far a graph is from PyTorch.

    Attributes:
        sound: what it was tried on.
        clips: how many.
        lengths: how many different ones.
        raw: largest difference of raw scores.
        calibrated: largest difference of calibrated scores from what the calibrator makes of the graph's raw scores.
    """

    sound: str
    clips: int
    lengths: int
    raw: float
    calibrated: float

    def __str__(self) -> str:
        return (
            f"{self.clips} clips of {self.lengths} lengths ({self.sound}): raw scores within {self.raw:.1e} of "
            f"PyTorch, calibrated ones within {self.calibrated:.1e}"
        )


def parity(
    graph: Graph,
    scorer: Scorer,
    clips: Sequence[np.ndarray],
    sound: str,
    *,
    progress: Callable[[int, int], None] = untold,
) -> Parity:
    """Compare the scores of clips, each cut to one of a few lengths.

    Raises:
        RunError: if any differ by more than `TOLERANCE`, or one is no number.
    """
    calibrator, fixed = scorer.deployed.calibrator, isinstance(graph.session.get_inputs()[0].shape[1], int)
    crop, least = scorer.knobs.frontend.crop_samples, int(graph.about["least_samples"])
    raw, calibrated, lengths = 0.0, 0.0, set()
    for number, clip in enumerate(clips):
        samples = crop if fixed else max(least, min(round(LENGTHS[number % len(LENGTHS)] * crop), len(clip)))
        wave = fit(clip, samples)[None].astype(np.float32)
        lengths.add(samples)
        found = {name: float(values[0]) for name, values in graph.run(wave).items()}
        with torch.inference_mode():
            wanted = float(scorer.score(torch.from_numpy(wave))[0])
        shown = float(calibrator(found["raw_score"])) if calibrator else found["raw_score"]
        raw = max(raw, _apart(found["raw_score"], wanted))
        calibrated = max(calibrated, _apart(found["score"], shown), _apart(found["p_spoof"], _p(scorer, found)))
        progress(number + 1, len(clips))
    result = Parity(sound, len(clips), len(lengths), raw, calibrated)
    if not max(raw, calibrated) <= TOLERANCE:
        raise RunError(f"the graph does not say what PyTorch says, so it was not kept: {result}")
    return result


def _p(scorer: Scorer, found: dict[str, float]) -> float:
    return scorer.deployed.p_spoof(found["raw_score"])


def _apart(found: float, wanted: float) -> float:
    """The difference; none between two that are not told, infinite where only one is no number."""
    if np.isnan(found) and np.isnan(wanted):
        return 0.0
    difference = abs(found - wanted)
    return np.inf if np.isnan(difference) else difference
