"""Scorer: waveform → score; what a user ships. No Lightning, no Hydra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dfad import portable
from dfad.checkpoint import Checkpoint, DetectorKnobs, best_checkpoint
from dfad.cores import cores
from dfad.deployed import Deployed
from dfad.errors import AudioError, ConfigError, RunError
from dfad.graphs import Graph, GraphNetwork
from dfad.places import Place
from dfad.scoring.aggregate import aggregation
from dfad.scoring.ahead import ahead
from dfad.scoring.batches import Scored, scored
from dfad.scoring.options import ScoringKnobs
from dfad.scoring.reader import Reader
from dfad.scoring.result import Result, Window
from dfad.scoring.warnings import Hears, warnings_of
from dfad.scoring.windows import Piece

_USUAL = ScoringKnobs()
_BATCH, _BATCH_GPU, _BATCH_SAMPLES = 16, 128, 2**22  # windows that are scored at a time, and samples in them


class Scorer:
    """A trained detector that takes files and arrays of any length.

    Of a run, it is calibrated and decides at the run's threshold; of a bare checkpoint it is raw, and decides at the
    threshold that it was trained at, 0 or the middle between two margins.
    It hears a clip in overlapping windows of `crop_s` seconds at the detector's sample rate, and what it says of them
    becomes one score; a clip shorter than that is repeated. With `first` it hears the first window alone, which is
    all that training's validation and evaluation hear: scores are then those of `eval.py`, and of clips that fill no
    more than one window they are so anyway.

    >>> scorer = dfad.load("runs/cnn-logmel-demo-0a1b2c3d")  # doctest: +SKIP
    >>> scorer("suspicious.wav").p_spoof  # doctest: +SKIP
    0.93
    """

    def __init__(
        self, checkpoint: Checkpoint, deployed: Deployed | None = None, *, device: str | torch.device = "cpu"
    ) -> None:
        self.path, self.knobs, self.device = checkpoint.path, checkpoint.knobs, torch.device(device)
        self.deployed = deployed or Deployed(raw=checkpoint.knobs.raw)
        self.frontend = checkpoint.knobs.frontend.build().to(self.device)
        self.network = checkpoint.network().to(self.device)

    def __call__(
        self,
        source: str | Path | np.ndarray,
        sample_rate: int | None = None,
        *,
        first: bool = False,
        hop_s: float | None = None,
        aggregate: str = "mean",
        max_hours: float = 12.0,
    ) -> Result:
        """Score one clip.

        Args:
            source: an audio file, or a waveform of shape (samples,) or (samples, channels) in [-1, 1].
            sample_rate: of the waveform, Hz; not needed for a file.
            first: hear only what evaluation hears, the first `crop_s` seconds.
            hop_s: seconds from the start of a window to that of the next; half a window by default.
            aggregate: what makes one score of the windows': `mean`, `max` (the most spoofed), `top-3` (the mean of
                the three most spoofed; any number will do).
            max_hours: a longer file is refused before it is decoded.

        Raises:
            AudioError: for sound that cannot be used.
            ConfigError: for options that cannot be used.
        """
        options = ScoringKnobs.read(
            {"first": first, "hop_s": hop_s, "aggregate": aggregate, "max_hours": max_hours}, at="scorer"
        )
        reader = self._reader(source if isinstance(source, np.ndarray) else Path(source), options, sample_rate)
        (clip,) = scored([(reader, reader)], self._numbers, self._batch)
        if clip.error:
            raise clip.error
        return self._result(clip)

    def each(
        self, paths: Iterable[Place], options: ScoringKnobs = _USUAL, *, threads: int | None = None
    ) -> Iterator[tuple[Place, Result | AudioError]]:
        """Score many files, in their order; those that cannot be scored come with the reason.

        Files are decoded ahead in threads and share batches. What is in memory at a time depends neither on their
        number nor on their length, but for the results' windows.

        Args:
            paths: files, taken as they are needed.
            options: how they are scored.
            threads: that decode; by default as many as there are cores, four at most.

        Raises:
            ConfigError: for options that cannot be used.
        """
        threads = threads or min(4, cores())
        readers, queued = tee(self._reader(path, options) for path in paths)
        with closing(ahead(queued, threads=threads, kept=self._batch)) as streams:
            for reader, found in self._results(zip(readers, streams, strict=True)):
                assert not isinstance(reader.source, np.ndarray)
                yield reader.source, found

    def results(self, readers: Iterable[Reader]) -> Iterator[Result | AudioError]:
        """Score what readers give, in their order and in batches that they share; see `each`."""
        yield from (found for _, found in self._results((reader, reader) for reader in readers))

    def _results(self, clips: Iterable[tuple[Reader, Iterable[Piece]]]) -> Iterator[tuple[Reader, Result | AudioError]]:
        for clip in scored(clips, self._numbers, self._batch):
            try:
                found: Result | AudioError = clip.error or self._result(clip)
            except AudioError as error:
                found = error
            yield clip.reader, found

    def judge(self, score: float) -> Result:
        """What a raw score means."""
        deployed, calibrator = self.deployed, self.deployed.calibrator
        threshold = deployed.decides_at
        shown, shown_threshold = calibrator([score, threshold]) if calibrator else (score, threshold)
        return Result(
            score=float(shown),
            p_spoof=deployed.p_spoof(score),
            verdict="bona-fide" if score >= threshold else "spoof",
            threshold=float(shown_threshold),
            calibrated=calibrator is not None,
            prior=deployed.prior,
            raw_score=score,
            raw_threshold=threshold,
            unit="log-likelihood ratio" if calibrator else deployed.raw.unit,
            threshold_from=deployed.threshold_from,
        )

    @torch.inference_mode()
    def score(self, wave: Tensor) -> Tensor:
        """Score a batch of crops, raw.

        Shape:
            (batch, crop_samples) float32 -> (batch,) float32 on the CPU
        """
        return self.network(self.frontend(wave.to(self.device))).float().cpu()

    @property
    def hears(self) -> Hears:
        """What it hears, by which clips are warned of."""
        frontend = self.knobs.frontend
        return Hears(frontend.crop_s, frontend.top_hz, self.deployed.familiar)

    @property
    def _batch(self) -> int:
        """Windows that are scored at a time: so few that a long file takes hardly more memory than a short one."""
        most = _BATCH if self.device.type == "cpu" else _BATCH_GPU
        return max(1, min(most, _BATCH_SAMPLES // self.knobs.frontend.crop_samples))

    def _numbers(self, waves: np.ndarray) -> np.ndarray:
        return self.score(torch.from_numpy(waves)).numpy()

    def _reader(self, source: Place | np.ndarray, options: ScoringKnobs, sample_rate: int | None = None) -> Reader:
        crop_s = self.knobs.frontend.crop_s
        if options.hop_s is not None and options.hop_s > crop_s:
            raise ConfigError(f"a hop of {options.hop_s:g} s leaves gaps between windows of {crop_s:g} s; give less")
        return Reader(source, self.knobs.frontend, options, sample_rate)

    def _result(self, clip: Scored) -> Result:
        """What the scores of a clip's windows mean together, and each.

        Raises:
            AudioError: if the network gave no number.
        """
        reader, raw = clip.reader, np.array(clip.scores)
        if np.isnan(raw).any():
            name = "" if isinstance(reader.source, np.ndarray) else f"{reader.source}: "
            raise AudioError(f"{name}the detector gives no number for it")
        shown = self.deployed.calibrator(raw) if self.deployed.calibrator else raw
        starts = np.array(clip.starts)
        ends = np.minimum(starts + reader.crop, reader.samples)
        about = (starts / reader.rate, ends / reader.rate, shown, self.deployed.p_spoofs(raw))
        return replace(
            self.judge(aggregation(reader.options.aggregate)(raw)),
            duration_s=reader.sound.duration_s,
            aggregation="first" if reader.options.first else reader.options.aggregate,
            windows=tuple(Window(*values) for values in zip(*(one.tolist() for one in about), strict=True)),
            warnings=warnings_of(reader.sound, self.hears),
        )


class GraphScorer(Scorer):
    """A scorer of an exported graph, in which the frontend is; on the CPU, by onnxruntime."""

    def __init__(self, graph: Graph) -> None:
        about = {"detector": graph.json("detector"), "deployed": graph.json("deployed")}
        self.knobs, self.deployed = _described(graph.path, about)
        self.path, self.device = graph.path, torch.device("cpu")
        self.frontend, self.network = nn.Identity(), GraphNetwork(graph)  # type: ignore[assignment]


def load_scorer(run: str | Path, *, device: str | torch.device = "cpu") -> Scorer:
    """Load the best checkpoint of a run folder with its calibrator and threshold, a bare checkpoint, or an export.

    Raises:
        RunError: if there is no such thing, or it is something else.
        ConfigError: for a graph on another device than the CPU.
    """
    path = Path(run)
    if path.suffix == ".onnx":
        if torch.device(device).type != "cpu":
            raise ConfigError(f"{path} is run by onnxruntime on the CPU, not on {device}; give the run folder for that")
        return GraphScorer(Graph.read(path))
    if portable.is_portable(path):
        about, weights = portable.read(path)
        knobs, deployed = _described(path, about)
        checkpoint = Checkpoint(portable.weights_of(path), knobs, weights, int(about.get("epoch", 0)))
        return Scorer(checkpoint, deployed, device=device)
    if not path.is_dir():
        return Scorer(Checkpoint.read(path), device=device)
    return Scorer(Checkpoint.read(best_checkpoint(path)), Deployed.of_run(path), device=device)


def _described(path: Path, about: Mapping[str, Any]) -> tuple[DetectorKnobs, Deployed]:
    """What an exported detector says of itself."""
    try:
        return DetectorKnobs.read(about["detector"]), Deployed.read(about["deployed"])
    except (ConfigError, KeyError) as error:
        raise RunError(f"{path} does not describe a detector that this dfad knows:\n{error}") from None
