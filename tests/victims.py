"""Detectors to attack: one whose gradient is known, small ones of every frontend, and ones that hide it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfad.frontends import FRONTENDS, RawKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.robustness.targets import Targets
from dfad.robustness.victim import Victim

SAMPLES, RATE = 800, 8000


class Linear(nn.Module):
    """A score that is weights · wave."""

    def __init__(self, samples: int = SAMPLES) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(samples, generator=torch.Generator().manual_seed(1)))

    def forward(self, wave: Tensor) -> Tensor:
        return wave @ self.weights


def linear() -> Victim:
    return Victim(RawKnobs(sample_rate=RATE, crop_s=SAMPLES / RATE).build(), Linear())


def small(name: str = "logmel", samples: int = 4000) -> Victim:
    """A random network behind a frontend."""
    options = {"name": name, "sample_rate": RATE, "crop_s": samples / RATE}
    usual = {"n_fft": 256}
    own = {
        "logmel": {**usual, "n_mels": 20},
        "mfcc": {**usual, "n_mels": 20, "n_coefficients": 12},
        "cqt": {"bins_per_octave": 6, "n_octaves": 4, "f_min": 250.0},
        "raw": {},
    }
    knobs = FRONTENDS[name].read({**options, **own.get(name, usual)})
    torch.manual_seed(0)
    network = (
        CNNKnobs(channels=(4, 8), activation="gelu", pool="avg").build(knobs) if knobs.spectral else Linear(samples)
    )
    return Victim(knobs.build(), network.eval())


def targets(clips: int = 8, samples: int = SAMPLES, *, scale: float = 0.1, threshold: float = 0.0) -> Targets:
    """Noise, half of it labelled spoof, of two systems."""
    random = torch.Generator().manual_seed(2)
    wave = scale * torch.randn(clips, samples, generator=random).clamp(-4, 4)
    label = torch.arange(clips) % 2
    keys = torch.randint(-(2**62), 2**62, (clips,), generator=random)
    groups = ["" if label[row] else f"A0{row // 2 % 2}" for row in range(clips)]
    return Targets(wave, label, keys, groups, threshold=threshold)


def told_rightly(victim: Victim, found: Targets) -> Targets:
    """The same clips with the labels that the detector gives them."""
    label = (victim.query(found.clean) >= found.threshold).long()
    groups = ["" if bona_fide else "A00" for bona_fide in label.tolist()]
    return Targets(found.wave, label, found.keys, groups, found.seed, found.threshold)
