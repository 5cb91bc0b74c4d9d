"""Windows of many clips in batches: short files share one, a long one fills many, and results keep their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dfad.errors import AudioError
from dfad.scoring.reader import Reader
from dfad.scoring.windows import Piece, Wave

Network = Callable[[NDArray[np.float32]], NDArray[np.floating]]  # (batch, crop) → raw scores (batch,)


@dataclass
class Scored:
    """A clip and the raw scores of its windows, or why there are none.

    Attributes:
        reader: that gave the windows.
        starts: their first samples.
        scores: one for each, once `whole`.
        error: why it cannot be scored.
        whole: whether no more is to come.
    """

    reader: Reader
    starts: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    error: AudioError | None = None
    read: bool = False

    @property
    def whole(self) -> bool:
        """Whether no more is to come."""
        return self.read and (self.error is not None or len(self.scores) == len(self.starts))


def scored(clips: Iterable[tuple[Reader, Iterable[Piece]]], network: Network, batch: int) -> Iterator[Scored]:
    """Score clips in full batches, each of which may hold windows of several.

    Args:
        clips: what reads each, and its windows.
        network: scores a batch.
        batch: windows in it.
    """
    open_clips: deque[Scored] = deque()
    pending: list[tuple[Scored, Wave]] = []

    def flush() -> None:
        if not pending:
            return
        scores = network(np.stack([wave for _, wave in pending]))
        for (clip, _), score in zip(pending, scores.tolist(), strict=True):
            clip.scores.append(score)
        pending.clear()

    for reader, pieces in clips:
        clip = Scored(reader)
        open_clips.append(clip)
        try:
            for start, wave in pieces:
                clip.starts.append(start)
                pending.append((clip, wave))
                if len(pending) == batch:
                    flush()
        except AudioError as error:
            clip.error = error
            pending[:] = [(other, wave) for other, wave in pending if other is not clip]
        clip.read = True
        while open_clips and open_clips[0].whole:
            yield open_clips.popleft()
    flush()
    yield from open_clips
