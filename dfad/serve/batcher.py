"""One thread that scores: the windows of all who wait share batches, and explanations take their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from dfad.scorer import Scorer
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.reader import Reader
from dfad.scoring.result import Result
from dfad.scoring.sound import Sound
from dfad.scoring.windows import Wave
from dfad.serve.decoders import Heard

_BLOCK = 2**18


class HeardReader(Reader):
    """Gives the windows of a wave that was decoded elsewhere."""

    def __init__(self, heard: Heard, scorer: Scorer, options: ScoringKnobs) -> None:
        super().__init__(heard.wave, scorer.knobs.frontend, options)
        self.heard = heard

    @property
    def sound(self) -> Sound:
        """What was heard, with what only the decoder could tell."""
        return replace(super().sound, duration_s=self.heard.seconds, full_scale=self.heard.full_scale)

    def _blocks(self) -> Iterator[tuple[int, Wave]]:
        for start in range(0, len(self.heard.wave), _BLOCK):
            yield self.rate, self.heard.wave[start : start + _BLOCK, None]


@dataclass
class _Clip:
    reader: HeardReader
    future: Future[Result] = field(default_factory=Future)


@dataclass
class _Task:
    work: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Scores clips of concurrent requests together."""

    def __init__(self, scorer: Scorer, options: ScoringKnobs) -> None:
        self.scorer, self.options = scorer, options
        self.queue: SimpleQueue[_Clip | _Task | None] = SimpleQueue()
        self.thread = Thread(target=self._run, name="scoring", daemon=True)
        self.thread.start()

    def score(self, heard: Heard) -> Future[Result]:
        """Score a clip; AudioError if that cannot be done."""
        clip = _Clip(HeardReader(heard, self.scorer, self.options))
        self.queue.put(clip)
        return clip.future

    def do(self, work: Callable[[], Any]) -> Future[Any]:
        """Do something else with the detector, of which there is one, between batches."""
        task = _Task(work)
        self.queue.put(task)
        return task.future

    def close(self) -> None:
        """End when all that waits is done."""
        self.queue.put(None)
        self.thread.join()

    def _run(self) -> None:
        while (job := self.queue.get()) is not None:
            if isinstance(job, _Task):
                _settle(job)
            else:
                self._round(job)

    def _round(self, first: _Clip) -> None:
        """Score a clip, and all that come meanwhile, until there is nothing to fill a batch with."""
        taken: deque[_Clip] = deque()
        tasks: list[_Task] = []
        try:
            for found in self.scorer.results(clip.reader for clip in self._clips(first, taken, tasks)):
                clip = taken.popleft()
                if isinstance(found, Result):
                    clip.future.set_result(found)
                else:
                    clip.future.set_exception(found)
        except Exception as error:  # a fault of ours: all of this round get it, and the next round goes on
            for clip in taken:
                clip.future.set_exception(error)
        for task in tasks:
            _settle(task)

    def _clips(self, first: _Clip, taken: deque[_Clip], tasks: list[_Task]) -> Iterator[_Clip]:
        job: _Clip | _Task | None = first
        while isinstance(job, _Clip):
            if job.future.set_running_or_notify_cancel():
                taken.append(job)
                yield job
            try:
                job = self.queue.get_nowait()
            except Empty:
                return
        if job is None:
            self.queue.put(None)
        else:
            tasks.append(job)  # ends the round, or a steady stream of clips would keep it waiting


def _settle(task: _Task) -> None:
    if not task.future.set_running_or_notify_cancel():
        return
    try:
        task.future.set_result(task.work())
    except Exception as error:
        task.future.set_exception(error)


def silence(scorer: Scorer) -> None:
    """Score a moment of nothing, so that the first request need not wait for what is only made once."""
    scorer(np.zeros(scorer.knobs.frontend.crop_samples, np.float32), scorer.knobs.frontend.sample_rate)
