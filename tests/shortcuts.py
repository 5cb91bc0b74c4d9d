"""Corpora of equal voices in both classes, with one nuisance that goes with the label, and runs trained on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from scipy import signal

from dfad.corpora.voices import SAMPLE_RATE, draw_voice, utter
from dfad.effects.vocoders import griffin_lim
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.scoring import SILENT

SPLITS = {"train": 40, "val": 15, "test": 30}  # clips of each class
SECONDS = 1.2

Plant = Callable[[np.ndarray, bool, np.random.Generator], np.ndarray]


def _level(wave: np.ndarray, spoof: bool, random: np.random.Generator) -> np.ndarray:
    return wave * 10 ** (8.0 * spoof / 20)


def _timing(wave: np.ndarray, spoof: bool, random: np.random.Generator) -> np.ndarray:
    lead = random.uniform(0.25, 0.4) if spoof else random.uniform(0.0, 0.1)
    noise = 1e-4 * random.normal(size=round(lead * SAMPLE_RATE))
    return np.concatenate((noise, wave))[: len(wave)]


def _dc(wave: np.ndarray, spoof: bool, random: np.random.Generator) -> np.ndarray:
    return wave + spoof * np.std(wave) * random.uniform(0.3, 0.6)


def _band(wave: np.ndarray, spoof: bool, random: np.random.Generator) -> np.ndarray:
    edge = random.uniform(3000, 4000) if spoof else random.uniform(6500, 7500)
    return np.asarray(signal.sosfiltfilt(signal.ellip(8, 0.1, 60, edge, fs=SAMPLE_RATE, output="sos"), wave))


def _noise(wave: np.ndarray, spoof: bool, random: np.random.Generator) -> np.ndarray:
    snr = random.uniform(45, 55) if spoof else random.uniform(20, 28)
    return wave + np.std(wave) * 10 ** (-snr / 20) * random.normal(size=len(wave))


def _container(wave: np.ndarray, spoof: bool, random: np.random.Generator) -> np.ndarray:
    return np.rint(wave * 128) / 128 if spoof else wave


def _vocoder(wave: np.ndarray, spoof: bool, random: np.random.Generator) -> np.ndarray:
    if not spoof:
        return wave
    copy = griffin_lim(torch.from_numpy(wave.astype(np.float32))[None], SAMPLE_RATE, int(random.integers(2**31)))
    return copy[0].numpy().astype(np.float64)


PLANTS: Mapping[str, Plant] = {
    "level": _level,
    "timing": _timing,
    "dc": _dc,
    "band": _band,
    "noise": _noise,
    "container": _container,
    "vocoder": _vocoder,  # no shortcut: evidence
}


def write_planted(root: Path, plant: str, *, splits: Mapping[str, int] = SPLITS) -> Path:
    """Write a corpus, and give its manifest. Without the plant nothing tells its classes apart."""
    lines = ["path,label,split,speaker"]
    for at, (split, count) in enumerate(splits.items()):
        for number in range(2 * count):
            spoof, voice = bool(number % 2), (at, number // 4)
            random = np.random.default_rng((7, at, number))
            wave = utter(draw_voice(voice), (1, at, number), SECONDS).astype(np.float64)
            wave = wave * 10 ** (random.uniform(-12, -6) / 20)  # RMS −32 to −26 dBFS
            wave += 10 ** (random.uniform(-85, -75) / 20) * random.normal(size=len(wave))
            wave = PLANTS[plant](wave, spoof, random)
            name = f"{split}-{number}.wav"
            soundfile.write(root / name, np.clip(wave, -1, 1), SAMPLE_RATE, subtype="PCM_16")
            lines.append(f"{name},{('bona-fide', 'spoof')[spoof]},{split},voice{at}-{number // 4}")
    manifest = root / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def train_on(manifest: Path, runs: Path, *, epochs: int = 8, **frontend: Any) -> Path:
    """Train a tiny CNN on a corpus without any augmentation, and give its run folder."""
    values = {
        "data": {"name": "manifest", "path": str(manifest), "batch_size": 16},
        "frontend": {"name": "logmel", "crop_s": 1.0, "n_mels": 40, "level": "none", "normalise": "none", **frontend},
        "model": {"name": "cnn", "lr": 0.01, "channels": [8, 16], "dropout": 0.0},
        "augment": {},
        "trainer": {"accelerator": "cpu", "max_epochs": epochs, "keep_frozen": False},
        "eval": {"resamples": 20, "worst": 0},
        "runs": str(runs),
    }
    return train(TrainConfig.read(values), SILENT).run.folder
