"""Companding is that of ITU-T G.711, value by value."""

from __future__ import annotations

import io
from math import pi

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from dfad.effects.companding import a_law, mu_law

EIGHT = torch.tensor([8])


def mu(wave: Tensor) -> Tensor:
    return mu_law(wave, EIGHT)


@pytest.mark.parametrize(("effect", "subtype"), [(mu, "ULAW"), (a_law, "ALAW")])
def test_every_16_bit_sample_becomes_what_libsndfile_makes_of_it(effect, subtype):
    samples = np.arange(-32768, 32768).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format="WAV", subtype=subtype)
    file.seek(0)
    expected, _ = soundfile.read(file, dtype="float32")
    assert torch.equal(effect(torch.from_numpy(samples / np.float32(32768))[None])[0], torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("effect", "scale", "found", "decoded"),
    [  # the largest input, the lowest of every segment and the smallest, of tables 1 and 2 of G.711
        (mu, 8192, [8158, 4063, 2015, 991, 479, 223, 95, 31, 2, 0], [8031, 4191, 2079, 1023, 495, 231, 99, 33, 2, 0]),
        (a_law, 4096, [4095, 2048, 1024, 512, 256, 128, 64, 32, 0], [4032, 2112, 1056, 528, 264, 132, 66, 33, 1]),
    ],
)
def test_segments_are_those_of_the_recommendation(effect, scale, found, decoded):
    assert (effect(torch.tensor([found]) / scale) * scale).tolist() == [decoded]
    negative = [-value for value in decoded[:-1]]
    assert (effect(-torch.tensor([found[:-1]]) / scale) * scale).tolist() == [negative]


@pytest.mark.parametrize("effect", [mu, a_law])
def test_a_tone_is_as_clean_as_telephony_demands(effect):
    time = torch.arange(64000, dtype=torch.float64) / 8000
    for below_full in range(0, 31, 3):  # ITU-T G.712: 33 dB from 0 to -30 dBm0; full scale is 3.14 dBm0
        tone = (10 ** ((-3.14 - below_full) / 20) * torch.sin(2 * pi * 1020 * time)).float()[None]
        error = (effect(tone) - tone).double().square().mean()
        assert 10 * (tone.double().square().mean() / error).log10() > 33


@pytest.mark.parametrize("effect", [mu, a_law])
def test_what_was_coded_is_coded_as_itself(effect):
    once = effect(torch.linspace(-1, 1, 10001)[None])
    assert torch.equal(effect(once), once)
    assert len(once.unique()) in (255, 256)  # the µ-law has two zeros


def test_a_bit_more_halves_the_error():
    wave = torch.linspace(-0.9, 0.9, 200001)[None]
    errors = [(mu_law(wave, torch.tensor([bits])) - wave).square().mean().sqrt() for bits in range(6, 12)]
    ratios = torch.stack(errors[:-1]) / torch.stack(errors[1:])
    torch.testing.assert_close(ratios, torch.full_like(ratios, 2.0), atol=0.05, rtol=0)


@pytest.mark.parametrize("effect", [mu, a_law])
def test_the_gradient_is_that_of_clipping(effect):
    wave = torch.tensor([[-1.5, -0.3, 0.0, 0.001, 0.9, 1.2]], requires_grad=True)
    effect(wave).sum().backward()
    assert wave.grad is not None
    assert wave.grad.tolist() == [[0, 1, 1, 1, 1, 0]]
