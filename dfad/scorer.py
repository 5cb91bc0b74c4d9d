"""Scorer: waveform → score; what a user ships. No Lightning, no Hydra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from zipfile import ZipFile

import numpy as np
import soxr
import torch
from torch import Tensor, nn

from dfad import portable
from dfad.audio import LIMITS, fit, load
from dfad.deployed import Deployed, Raw
from dfad.errors import AudioError, ConfigError, RunError
from dfad.frontends import FRONTENDS, FrontendKnobs
from dfad.graphs import Graph, GraphNetwork
from dfad.knobs import Knobs, Named
from dfad.networks import NetworkKnobs
from dfad.networks.fusion import EVERY_NETWORK
from dfad.networks.heads import Head

FORMAT = 1  # of what a checkpoint says of itself; raised when an older dfad could misread it


class DetectorKnobs(Knobs):
    """What a checkpoint says of itself, under its key `dfad`: enough to rebuild waveform → score."""

    format: int = FORMAT
    frontend: Annotated[FrontendKnobs, Named(FRONTENDS)]
    model: Annotated[NetworkKnobs, Named(EVERY_NETWORK)]
    head: Head = "linear"  # last layer of the network, by the loss
    raw: Raw = Raw()  # what it gives
    attacks: tuple[str, ...] = ()  # that training had

    def network(self) -> nn.Module:
        """Build the network, with random weights."""
        return self.model.build(self.frontend, self.head)


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what it needs to be used."""

    path: Path
    knobs: DetectorKnobs
    weights: Mapping[str, Tensor]  # of the network alone
    epoch: int  # the last one that it was trained in, from 1

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a checkpoint; nothing in it can run code.

        Raises:
            RunError: for a file that is missing, damaged, something else, or of a newer dfad.
        """
        if not path.is_file():
            raise RunError(f"no checkpoint at {path}")
        try:
            with ZipFile(path) as file:  # torch compares no checksums: changed weights would be used as they are
                whole = file.testzip() is None
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True) if whole else None
        except Exception:  # hostile bytes can raise anything
            whole = False
        if not whole:
            raise RunError(
                f"{path} is damaged, or no checkpoint that can be loaded safely; give one that train.py wrote"
            )
        about = content.get("dfad") if isinstance(content, dict) else None
        if not isinstance(about, dict) or not isinstance(content.get("state_dict"), dict):
            raise RunError(f"{path} is not a checkpoint of dfad; give one that train.py wrote, or its run folder")
        version = about.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise RunError(f"{path} is of format {version}, this dfad reads up to {FORMAT}: pip install --upgrade dfad")
        try:
            knobs = DetectorKnobs.read(about)
        except ConfigError as error:
            raise RunError(f"{path} does not describe a detector that this dfad knows:\n{error}") from None
        prefix = "network."
        weights = {name[len(prefix) :]: v for name, v in content["state_dict"].items() if name.startswith(prefix)}
        return cls(path, knobs, weights, int(content.get("epoch", -1)) + 1)

    def network(self) -> nn.Module:
        """Build the trained network, in eval mode on the CPU."""
        network = self.knobs.network()
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise RunError(f"{self.path}: the weights do not fit the network it describes\n{error}") from None
        return network.eval()


@dataclass(frozen=True)
class Result:
    """What a detector says of one clip.

    Attributes:
        score: log-odds of bona fide; higher = more likely real. Calibrated, it is a log-likelihood ratio.
        p_spoof: the probability that the clip is synthetic, at `prior`; NaN if `score` is a cosine, which tells none.
        verdict: `bona-fide` or `spoof`, at the threshold.
        threshold: the run's own, chosen on validation, in the units of `score`; for a bare checkpoint the one that it
            was trained at, 0 unless by a loss with a margin.
        calibrated: whether the score went through a calibrator; if not, read `p_spoof` with care.
        prior: the share of spoof that is expected beforehand.
        raw_score: what the network says, as it stands in score tables.
        raw_threshold: the threshold in its units, by which the verdict goes: a calibrator with steps can give a
            score below the threshold and one above it the same ratio.
        unit: what `score` is: `log-likelihood ratio`; of a bare checkpoint `log-odds`, or `cosine` where the loss has a
            margin.
    """

    score: float
    p_spoof: float
    verdict: str
    threshold: float
    calibrated: bool
    prior: float
    raw_score: float
    raw_threshold: float
    unit: str = "log-odds"


class Scorer:
    """A trained detector that takes files and arrays.

    Of a run, it is calibrated and decides at the run's threshold; of a bare checkpoint it is raw, and decides at the
    threshold that it was trained at, 0 or the middle between two margins.
    It hears what evaluation hears: the first `crop_s` seconds at the detector's sample rate, repeated if shorter.

    >>> scorer = dfad.load("runs/cnn-logmel-demo-0a1b2c3d")  # doctest: +SKIP
    >>> scorer("suspicious.wav").p_spoof  # doctest: +SKIP
    0.93
    """

    def __init__(
        self, checkpoint: Checkpoint, deployed: Deployed | None = None, *, device: str | torch.device = "cpu"
    ) -> None:
        self.knobs, self.device = checkpoint.knobs, torch.device(device)
        self.deployed = deployed or Deployed(raw=checkpoint.knobs.raw)
        self.frontend = checkpoint.knobs.frontend.build().to(self.device)
        self.network = checkpoint.network().to(self.device)

    def __call__(self, source: str | Path | np.ndarray, sample_rate: int | None = None) -> Result:
        """Score one clip.

        Args:
            source: an audio file, or a waveform of shape (samples,) or (samples, channels) in [-1, 1].
            sample_rate: of the waveform, Hz; not needed for a file.

        Raises:
            AudioError: for sound that cannot be used.
        """
        frontend = self.knobs.frontend
        if isinstance(source, np.ndarray):
            wave = _prepared(source, sample_rate, frontend)
        else:
            wave = load(Path(source), sample_rate=frontend.sample_rate, crop_s=frontend.crop_s)
        score = float(self.score(torch.from_numpy(fit(wave, frontend.crop_samples)[None]))[0])
        return self.judge(score)

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
        )

    @torch.inference_mode()
    def score(self, wave: Tensor) -> Tensor:
        """Score a batch of crops, raw.

        Shape:
            (batch, crop_samples) float32 -> (batch,) float32 on the CPU
        """
        return self.network(self.frontend(wave.to(self.device))).float().cpu()


class GraphScorer(Scorer):
    """A scorer of an exported graph, in which the frontend is; on the CPU, by onnxruntime."""

    def __init__(self, graph: Graph) -> None:
        about = {"detector": graph.json("detector"), "deployed": graph.json("deployed")}
        self.knobs, self.deployed = _described(graph.path, about)
        self.device = torch.device("cpu")
        self.frontend, self.network = nn.Identity(), GraphNetwork(graph)  # type: ignore[assignment]


def load_scorer(run: str | Path, *, device: str | torch.device = "cpu") -> Scorer:
    """Load the best checkpoint of a run folder with its calibrator and threshold, a bare checkpoint, or an export.

    Raises:
        RunError: if there is no such thing, or it is something else.
    """
    path = Path(run)
    if path.suffix == ".onnx":
        if torch.device(device).type != "cpu":
            raise ConfigError(f"{path} is run by onnxruntime on the CPU, not on {device}; give the run folder for that")
        return GraphScorer(Graph.read(path))
    if portable.is_portable(path):
        about, weights = portable.read(path)
        knobs, deployed = _described(path, about)
        return Scorer(Checkpoint(path, knobs, weights, int(about.get("epoch", 0))), deployed, device=device)
    if not path.is_dir():
        return Scorer(Checkpoint.read(path), device=device)
    return Scorer(Checkpoint.read(best_checkpoint(path)), Deployed.of_run(path), device=device)


def _described(path: Path, about: Mapping[str, Any]) -> tuple[DetectorKnobs, Deployed]:
    """What an exported detector says of itself."""
    try:
        return DetectorKnobs.read(about["detector"]), Deployed.read(about["deployed"])
    except (ConfigError, KeyError) as error:
        raise RunError(f"{path} does not describe a detector that this dfad knows:\n{error}") from None


def best_checkpoint(run: Path) -> Path:
    """The checkpoint of a run that validation chose.

    Raises:
        RunError: if the folder holds none.
    """
    path = run / "checkpoints" / "best.ckpt"
    if not path.is_file():
        raise RunError(f"{run} is no run folder, or its training has not finished an epoch: there is no {path}")
    return path


def _prepared(wave: np.ndarray, sample_rate: int | None, frontend: FrontendKnobs) -> np.ndarray:
    """Bring an array to what `load` gives for a file."""
    if sample_rate is None:
        raise AudioError("an array needs its sample rate: scorer(wave, sample_rate)")
    if not LIMITS.min_rate <= sample_rate <= LIMITS.max_rate:
        raise AudioError(f"sample rate {sample_rate} Hz, expected {LIMITS.min_rate} to {LIMITS.max_rate}")
    frames = wave[:, None] if wave.ndim == 1 else wave
    if frames.ndim != 2 or not 1 <= frames.shape[1] <= LIMITS.max_channels:
        raise AudioError(f"expected a waveform (samples,) or (samples, channels), found the shape {wave.shape}")
    if len(wave) < LIMITS.min_duration_s * sample_rate:
        raise AudioError(f"{len(wave) / sample_rate:.3f} s long, at least {LIMITS.min_duration_s} s are needed")
    if not np.issubdtype(wave.dtype, np.floating):
        raise AudioError(f"expected floating-point samples in [-1, 1], found {wave.dtype}")
    mono = frames.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError("the waveform holds NaN or infinite samples")
    return mono if sample_rate == frontend.sample_rate else soxr.resample(mono, sample_rate, frontend.sample_rate)
