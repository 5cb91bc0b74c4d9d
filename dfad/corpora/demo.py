"""The demo corpus: synthetic voices against vocoded copies, made on first use from a seed, without any download.

Its numbers are about the machinery, not about speech. Bona fide clips are utterances of `voices`; spoofed clips are
other utterances of the same voices, copied through one of the vocoders. The two come in pairs that share room, noise,
band, level and onset, so none of these tells the classes apart. No voice is in two splits, and the test split has one
vocoder that training and validation never saw.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import soundfile
import torch
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import Field
from scipy import signal

from dfad.clips import Manifest
from dfad.corpora.base import CorpusKnobs, Progress
from dfad.corpora.voices import SAMPLE_RATE, draw_voice, utter
from dfad.effects.threads import one_thread
from dfad.effects.vocoders import VOCODERS
from dfad.errors import DataError
from dfad.knobs import Free

Wave = NDArray[np.float32]

RECIPE = 2  # raised when the same seed would give other clips
NOTE = "demo corpus: synthetic voices, so these numbers are about the machinery, not about speech"
SECONDS = 2.0
SEEN_ATTACKS = ("lpc", "minimum-phase", "griffin-lim")
UNSEEN_ATTACK = "sinusoidal"  # partials and noise, no pulses and no guessed phase
COLUMNS = ("path", "label", "split", "attack", "speaker", "duration_s")


@dataclass(frozen=True)
class _Split:
    voices: int
    pairs: int  # per voice
    attacks: tuple[str, ...]


SPLITS = {
    "train": _Split(24, 5, SEEN_ATTACKS),
    "val": _Split(8, 5, SEEN_ATTACKS),
    "test": _Split(16, 6, (*SEEN_ATTACKS, UNSEEN_ATTACK)),
}


@dataclass(frozen=True)
class _Clip:
    """One line of the manifest; clips with the same `scene` share room, noise, band, level and onset."""

    label: str
    split: str
    attack: str
    voice: int
    scene: int
    utterance: int

    @property
    def speaker(self) -> str:
        return f"voice{self.voice:02}"

    @property
    def path(self) -> str:
        ending = f"-{self.attack}" if self.attack else ""
        return f"{self.split}/{self.label}/{self.speaker}-{self.utterance:02}{ending}.wav"

    def row(self) -> tuple[str, ...]:
        return (self.path, self.label, self.split, self.attack, self.speaker, f"{SECONDS:.3f}")


def synthesise(root: Path, *, seed: int, progress: Progress | None = None) -> None:
    """Write the corpus: `<split>/<label>/<name>.wav` (16 kHz mono PCM_16, 2 s) and `manifest.csv`.

    It is made in a folder beside `root` that is renamed at the end, so `root` is whole or not there at all. What a
    killed run left behind is made anew. The caller sees to it that only one process does this at a time.

    Args:
        root: where the corpus shall be; must not exist, or be empty.
        seed: the same seed gives the same files, bit for bit, on the same machine.
        progress: called after each clip with the clips done and their number.

    Raises:
        DataError: if `root` is in the way.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"{root}: expected an empty place for the demo corpus, found files; remove them first")
    partial = root.with_name(f".{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    clips = list(_plan())
    try:
        with one_thread():
            for done, clip in enumerate(clips, start=1):
                path = partial / clip.path
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, _render(clip, seed), SAMPLE_RATE, subtype="PCM_16")
                if progress is not None:
                    progress(done, len(clips))
        with (partial / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *(clip.row() for clip in clips)])
        partial.replace(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _plan() -> Iterator[_Clip]:
    """List the clips, pair after pair: the bona fide one, then a spoofed one with another utterance."""
    voice = scene = 0
    for name, split in SPLITS.items():
        for _ in range(split.voices):
            for pair in range(split.pairs):
                attack = split.attacks[scene % len(split.attacks)]
                yield _Clip("bona-fide", name, "", voice, scene, 2 * pair)
                yield _Clip("spoof", name, attack, voice, scene, 2 * pair + 1)
                scene += 1
            voice += 1


def _render(clip: _Clip, seed: int) -> Wave:
    """Make one clip, (samples,) float32 in [-1, 1], from nothing but its line and the seed."""
    scene = np.random.default_rng((seed, 1, clip.scene))
    onset = scene.uniform(0.05, 0.35)
    wave = utter(draw_voice((seed, 2, clip.voice)), (seed, 3, clip.voice, clip.utterance), SECONDS - onset)
    if clip.attack:
        draw = int(np.random.default_rng((seed, 4, clip.scene)).integers(2**31))
        wave = VOCODERS[clip.attack](torch.from_numpy(wave)[None], SAMPLE_RATE, draw)[0].numpy()
    wave = np.pad(wave, (round(SECONDS * SAMPLE_RATE) - len(wave), 0))
    return _set_scene(wave, scene)


def _set_scene(wave: Wave, rng: np.random.Generator) -> Wave:
    """Put a dry clip into a room with noise, through a microphone, at a level: all drawn from `rng`."""
    reverberation_s = rng.uniform(0.08, 0.4)  # to -60 dB
    times = np.arange(int(reverberation_s * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.normal(size=len(times)) * 10.0 ** (-3.0 * times / reverberation_s)
    response *= 10.0 ** (rng.uniform(-18.0, -6.0) / 20) / np.linalg.norm(response)  # reverberant against direct sound
    response[0] = 1.0
    wet = signal.fftconvolve(wave, response)[: len(wave)]

    colour = rng.uniform(0.5, 1.5)  # power falls with frequency to this exponent: between white and brown
    spectrum = np.fft.rfft(rng.normal(size=len(wave)))
    noise = np.fft.irfft(spectrum * np.maximum(np.arange(len(spectrum)), 100) ** (-0.5 * colour), len(wave))
    snr = rng.uniform(18.0, 42.0)
    noisy = wet + noise * _rms(wet) / _rms(noise) * 10.0 ** (-snr / 20)

    band = signal.butter(4, rng.uniform(5000.0, 7800.0), fs=SAMPLE_RATE, output="sos")
    heard = signal.sosfilt(band, noisy)
    level = 10.0 ** (rng.uniform(-44.0, -21.0) / 20)
    return np.asarray(np.clip(heard * level / _rms(heard), -1.0, 1.0), dtype=np.float32)


def _rms(wave: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(wave))))


class DemoKnobs(CorpusKnobs):
    """Options of the demo corpus."""

    name: Literal["demo"] = "demo"
    path: Annotated[Path, Free] = Field(Path("data/demo"), description="where it is synthesised, a folder per seed")
    seed: int = Field(0, ge=0, description="another seed, other voices")
    batch_size: int = Field(32, ge=1, description=CorpusKnobs.model_fields["batch_size"].description)

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Read the corpus; synthesise it first if it is not there. Another process that does so is waited for."""
        root = self.path / f"recipe{RECIPE}-seed{self.seed}"
        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path / f"{root.name}.lock"):
            if not (root / "manifest.csv").is_file():
                synthesise(root, seed=self.seed, progress=progress)
        return Manifest.read(root / "manifest.csv").noted(NOTE)
