"""Which clips a suite scores, which an adversary learns from, and what of the others comes to the device."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dfad.clips import Manifest
from dfad.labels import Label
from dfad.robustness.conditions import CLEAN
from dfad.robustness.given import Voices
from dfad.robustness.perturbations import LAUNDERING
from dfad.robustness.tables import SNR
from dfad.training.dataset import Batch
from dfad.training.perturbing import KNOWN, Laundering, known_rows
from dfad.training.suite import chosen_rows

RATE = 16000


def manifest(bona_fide: int, **systems: int) -> Manifest:
    """So many clips of bona fide speech, and of each spoofing system."""
    attacks = [""] * bona_fide + [name for name, count in systems.items() for _ in range(count)]
    ids = [f"{row}.wav" for row in range(len(attacks))]
    labels = [int(not attack) for attack in attacks]
    return Manifest(
        pd.DataFrame({"id": ids, "label": labels, "split": "test", "attack": attacks, "speaker": ""}), Path()
    )


def test_an_adversary_learns_from_each_system_and_from_bona_fide_speech() -> None:
    clips = manifest(100, rare=3, common=5000)
    found = clips.frame.iloc[known_rows(clips, np.arange(len(clips)))]
    assert found["attack"].value_counts().to_dict() == {"": KNOWN, "rare": 3, "common": KNOWN}
    again = known_rows(clips, np.arange(200))
    assert again.max() < 200
    assert (np.diff(again) > 0).all()


@pytest.mark.parametrize(
    ("bona_fide", "most", "expected"),
    [(10, 6, (3, 3)), (10, 7, (3, 4)), (2, 10, (2, 8)), (0, 5, (0, 5)), (5, 2000, (5, 1000))],
)
def test_chosen_clips_are_of_both_classes_alike(bona_fide: int, most: int, expected: tuple[int, int]) -> None:
    clips = manifest(bona_fide, tts=1000)
    rows = chosen_rows(clips, most)
    labels = clips.labels[rows]
    assert ((labels == Label.BONA_FIDE).sum(), (labels == Label.SPOOF).sum()) == expected
    assert set(rows) <= set(chosen_rows(clips, most + 1))
    assert chosen_rows(clips, None).tolist() == list(range(len(clips)))


class Launderer:
    """Launders clips of noise near full scale, 0.5 s each."""

    def __init__(self, clips: int, *names: str) -> None:
        self.waves = torch.rand(clips, RATE // 2, generator=torch.Generator().manual_seed(0)) * 1.98 - 0.99
        dataset = SimpleNamespace(sample_rate=RATE, held=dict(enumerate(self.waves.numpy())))
        scoring: Any = SimpleNamespace(
            rank=SimpleNamespace(world=1),
            module=SimpleNamespace(dataset=dataset),
            manifest=manifest(clips),
            rows=np.arange(clips),
        )
        self.conditions = [CLEAN, *(LAUNDERING[name].conditions[-1] for name in names)]
        self.laundering = Laundering(scoring, 0, self.conditions)

    def __call__(self) -> list[tuple[torch.Tensor, np.ndarray]]:
        """Two batches under each condition: the clips, and the ratios in dB that are told of them."""
        found = []
        for condition in self.conditions:
            perturb = self.laundering.under(condition)
            halves = torch.arange(len(self.waves)).chunk(2)
            done = [perturb(Batch(self.waves[rows], rows, torch.zeros_like(rows), rows)) for rows in halves]
            found.append((torch.cat([wave for wave, _ in done]), np.concatenate([noted[SNR] for _, noted in done])))
        return found


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """To which devices voices are brought."""
    devices = []

    def to(self: Voices, device: torch.device) -> Voices:
        devices.append(device)
        return self

    monkeypatch.setattr(Voices, "to", to)
    return devices


def test_only_babble_brings_voices_to_the_device(brought: list[torch.device]) -> None:
    clean, white, law, gain = Launderer(8, "noise-white", "mu-law", "gain", "noise-babble")()[:4]
    assert len(brought) == 2  # the two batches of babble, of which the second finds them there
    assert np.isposinf(clean[1]).all()
    np.testing.assert_allclose(white[1], 0.0, atol=0.1)  # though clips were scaled down to full scale
    assert white[0].abs().amax(-1).numpy() == pytest.approx(np.ones(8))
    assert (law[1] < 20).all()
    np.testing.assert_allclose(gain[1], -20 * np.log10(1 - 10**-1.5), atol=1e-3)


def test_voices_that_are_on_the_device_are_not_copied_again() -> None:
    made = Launderer(8, "noise-babble")
    made()
    first = made.laundering.voices
    assert first is not None
    at = first.waves.data_ptr()
    made()
    assert made.laundering.voices is not None
    assert made.laundering.voices.waves.data_ptr() == at
