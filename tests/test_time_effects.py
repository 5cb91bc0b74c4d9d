"""Speed, silence before and after: what is heard when."""

from __future__ import annotations

from math import pi

import pytest
import torch

from dfad.audio import fit
from dfad.effects.time import insert_silence, speed, trim_silence

RATE = 16000


def places(samples: int) -> torch.Tensor:
    return torch.arange(samples, dtype=torch.float64)


@pytest.mark.parametrize("factor", [0.5, 0.9, 0.97, 1.05, 1.1, 1.4])
@pytest.mark.parametrize(("hertz", "at_most_db"), [(100, -100), (1000, -100), (3000, -85), (5000, -70)])
def test_a_tone_gets_another_pitch_and_is_still_a_tone(factor, hertz, at_most_db):
    wave = torch.sin(2 * pi * hertz * places(16000) / RATE).float()[None]
    factor = torch.tensor([factor])  # a float32, whose last digits tell after a second
    found = speed(wave, factor)[0].double()
    inside = slice(1000, int(16000 / factor.clamp_min(1)) - 1000)
    ideal = torch.sin(2 * pi * hertz * factor.double() * places(16000) / RATE)
    error = (found - ideal)[inside].square().mean() / ideal[inside].square().mean()
    assert 10 * error.log10() < at_most_db


def test_what_would_pass_half_the_rate_is_filtered_out():
    wave = torch.sin(2 * pi * 7000 * places(16000) / RATE).float()[None]
    found = speed(wave, torch.tensor([1.5]))[0, 500:10000]
    assert found.abs().max() < 1e-4


def test_a_click_comes_when_it_should_and_a_slower_clip_is_cut():
    click = torch.zeros(5, 8000)
    click[:, 3300] = 1
    found = speed(click, torch.tensor([0.5, 0.75, 1.1, 1.0, 0.4]))
    assert found[:4].argmax(-1).tolist() == [6600, 4400, 3000, 3300]
    assert found[4].abs().max() < 1e-2  # it would come at 8250


def test_a_faster_clip_is_repeated_as_when_it_is_read():
    wave = torch.randn(1, 6000, generator=torch.Generator().manual_seed(0))
    faster = speed(wave, torch.tensor([1.25]))[0].numpy()
    assert (faster == fit(faster[:4800], 6000)).all()
    assert (faster[:4800] != fit(faster[:4799], 4800)).any()


def speech(before: int, heard: int, after: int, level: float = 0.3) -> torch.Tensor:
    noise = torch.randn(before + heard + after, generator=torch.Generator().manual_seed(0))
    scale = torch.full_like(noise, 1e-3)
    scale[before : before + heard] = level
    return noise * scale


@pytest.mark.parametrize(("before", "heard", "after"), [(0, 800, 0), (320, 800, 0), (0, 800, 480), (1600, 1600, 333)])
def test_silence_before_and_after_goes_and_the_rest_is_repeated(before, heard, after):
    wave = speech(before, heard, after)
    found = trim_silence(wave[None], RATE, torch.tensor([-30.0]))[0]
    expected = fit(wave[before : before + heard].numpy(), len(wave))
    assert (found.numpy() == expected).all()


def test_every_clip_has_its_own_threshold_against_its_loudest_frame():
    wave = torch.stack([speech(1600, 1600, 0), speech(1600, 1600, 0), 1e-3 * speech(1600, 1600, 0)])
    found = trim_silence(wave, RATE, torch.tensor([-30.0, -80.0, -30.0]))
    assert torch.equal(found[0, :1600], wave[0, 1600:])
    assert torch.equal(found[1], wave[1])
    assert torch.equal(found[2], 1e-3 * found[0])


def test_silence_inside_a_clip_stays():
    wave = torch.cat([speech(320, 800, 800), speech(0, 800, 0)])
    found = trim_silence(wave[None], RATE, torch.tensor([-30.0]))[0]
    assert torch.equal(found[:2400], wave[320:])


def test_zeros_come_before_a_clip_and_its_end_is_cut():
    wave = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    found = insert_silence(wave, torch.tensor([0, 1, 400, 1000]))
    assert torch.equal(found[0], wave[0])
    for row, samples in ((1, 1), (2, 400), (3, 1000)):
        assert not found[row, :samples].any()
        assert torch.equal(found[row, samples:], wave[row, : 1000 - samples])
