"""Corpora made by code in which nothing tells the classes apart, or just one thing that was planted."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from scipy import signal

from dfad.clips import Manifest
from dfad.corpora.voices import SAMPLE_RATE, draw_voice, utter

Wave = np.ndarray
Plant = Callable[[Wave, np.random.Generator], Wave]
SPLITS = ("train", "train", "val", "test")  # by speaker
VOICES = 16


@cache
def said(voice: int, utterance: int) -> Wave:
    """A dry utterance of 1.6 s; many corpora are made of a few."""
    return utter(draw_voice((7, voice)), (8, voice, utterance), 1.6).astype(np.float64)


def recorded(random: np.random.Generator, voice: int) -> Wave:
    """A clip: an utterance between two silences, in noise, through some microphone, at some level."""
    dry = said(voice, int(random.integers(4)))[: int(random.uniform(1.0, 1.6) * SAMPLE_RATE)]
    ends = (random.uniform(0.05, 0.3, 2) * SAMPLE_RATE).astype(int)
    wave = np.pad(dry, tuple(ends))
    wave = wave + 10 ** (random.uniform(-60, -40) / 20) * random.normal(size=len(wave))
    band = signal.butter(
        4, [random.uniform(40, 90), random.uniform(6500, 7800)], "bandpass", fs=SAMPLE_RATE, output="sos"
    )
    return signal.sosfilt(band, wave) * 10 ** (random.uniform(-14, -2) / 20)


def planted(
    root: Path,
    seed: int,
    *,
    clips: int = 160,
    plant: Callable[[str, str], Plant | None] = lambda label, split: None,
    store: Callable[[str], dict[str, object]] = lambda label: {},
    name: Callable[[str, int], str] = lambda label, number: f"clip{number:04}",
) -> Manifest:
    """Write a corpus of voices that both classes have.

    Args:
        root: folder for it.
        seed: another seed, another corpus.
        clips: half of each class.
        plant: by label and split, what is done to a clip.
        store: by label, how it is stored: `rate` (16 kHz), `format` (WAV), `subtype` (PCM_16).
        name: by label and number, the stem of its file.
    """
    random = np.random.default_rng(seed)
    rows = []
    for number in range(clips):
        label, voice = ("real", "fake")[number % 2], (number // 2) % VOICES
        split = SPLITS[voice % len(SPLITS)]
        wave = recorded(random, voice)
        if change := plant(label, split):
            wave = change(wave, random)
        how = {"rate": SAMPLE_RATE, "format": "WAV", "subtype": "PCM_16"} | store(label)
        if how["rate"] != SAMPLE_RATE:
            wave = signal.resample_poly(wave, int(str(how["rate"])), SAMPLE_RATE)
        path = f"{name(label, number)}.{str(how['format']).lower()}"
        soundfile.write(root / path, np.clip(wave, -1, 1), how["rate"], format=how["format"], subtype=how["subtype"])
        rows.append({"path": path, "label": label, "split": split, "speaker": f"v{voice}"})
    return Manifest.check(pd.DataFrame(rows), root, source="planted")


def in_spoof(change: Plant) -> Callable[[str, str], Plant | None]:
    """The plant in all spoof clips."""
    return lambda label, split: change if label == "fake" else None


def low_passed(hertz: float) -> Plant:
    sos = signal.butter(8, hertz, fs=SAMPLE_RATE, output="sos")
    return lambda wave, random: signal.sosfilt(sos, wave)


def noisy(wave: Wave, random: np.random.Generator) -> Wave:
    return wave + 10 ** (-22 / 20) * wave.std() * random.normal(size=len(wave))


PLANTS: dict[str, list[dict[str, object]]] = {  # by group, ways to plant a shortcut of it
    "timing": [
        {"plant": in_spoof(lambda wave, random: np.pad(wave, (6000, 0)))},
        {"plant": in_spoof(lambda wave, random: np.pad(wave, (0, 6000)))},
        {"plant": in_spoof(lambda wave, random: wave[: int(0.7 * len(wave))])},
        {"plant": in_spoof(lambda wave, random: np.concatenate((wave, wave)))},
    ],
    "level": [
        {"plant": in_spoof(lambda wave, random: 0.25 * wave)},
        {"plant": in_spoof(lambda wave, random: 0.9 * wave / np.abs(wave).max())},
        {"plant": in_spoof(lambda wave, random: wave + 0.01)},
        {"plant": in_spoof(lambda wave, random: np.where(np.abs(wave) < 0.02 * wave.std(), 0, wave))},
    ],
    "band": [
        {"plant": in_spoof(low_passed(5000))},
        {"plant": in_spoof(low_passed(3500))},
        {"plant": in_spoof(noisy)},
    ],
    "container": [
        {"store": lambda label: {"subtype": "PCM_24"} if label == "fake" else {}},
        {"store": lambda label: {"format": "FLAC"} if label == "fake" else {}},
        {"store": lambda label: {"rate": 24000} if label == "fake" else {}},
        {"store": lambda label: {"format": "MP3", "subtype": "MPEG_LAYER_III"} if label == "fake" else {}},
        {"store": lambda label: {"rate": 8000} if label == "fake" else {}},
        {"store": lambda label: {"subtype": "FLOAT"} if label == "fake" else {}},
    ],
}
