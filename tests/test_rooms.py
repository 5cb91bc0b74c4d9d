"""Rooms decay as asked, and a clip is heard through them in place and at its level."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from torch import Tensor

from dfad.effects import convolution
from dfad.effects.rooms import DIRECT_S, convolve, from_direct, response, rt60, with_power_of

RATE = 16_000


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def speech_like(*shape: int, seed: int = 0) -> Tensor:
    """Noise in syllables."""
    syllables = torch.sin(torch.arange(shape[-1]) * (2 * torch.pi * 4 / RATE)).clamp_min(0)
    return 0.1 * random(*shape, seed=seed) * syllables


def drr_db(room: Tensor) -> Tensor:
    """As it is measured: what comes within 2.5 ms over what comes later."""
    edge = round(DIRECT_S * RATE)
    energy = room.double().square()
    return 10 * (energy[:, :edge].sum(-1) / energy[:, edge:].sum(-1)).log10()


@pytest.mark.parametrize("seconds", [0.2, 0.3, 0.6, 0.9, 1.0])
def test_a_room_decays_as_asked(seconds):
    for rate in (8_000, 16_000, 44_100):
        room = response(random(8, round(1.2 * rate)), rate, torch.full((8,), seconds), torch.linspace(-5, 20, 8))
        torch.testing.assert_close(rt60(room, rate), torch.full((8,), seconds), rtol=0.1, atol=0)


def test_a_response_that_just_holds_the_decay_is_long_enough():
    room = response(random(8, RATE // 2), RATE, torch.full((8,), 0.5), torch.zeros(8))
    torch.testing.assert_close(rt60(room, RATE), torch.full((8,), 0.5), rtol=0.1, atol=0)


def test_the_measurement_is_right_for_a_decay_without_noise():
    time = torch.arange(RATE) / RATE
    for seconds in (0.1, 0.5, 0.8):
        found = rt60((10.0 ** (-3 * time / seconds))[None], RATE)
        torch.testing.assert_close(found, torch.tensor([seconds]), rtol=0.02, atol=0)


def test_every_clip_has_its_own_direct_to_reverberant_ratio():
    asked = torch.tensor([-10.0, 0.0, 6.0, 20.0])
    room = response(random(4, RATE), RATE, torch.tensor([1.0, 0.2, 0.05, 0.6]), asked)
    assert (room[:, 0] == 1).all()
    torch.testing.assert_close(drr_db(room).float(), asked, atol=0.01, rtol=0)


def test_a_room_without_reverberation_changes_nothing():
    room = response(random(3, 4000), RATE, torch.tensor([0.0, 0.3, 0.3]), torch.tensor([0.0, torch.inf, 0.0]))
    wave = speech_like(3, RATE)
    found = convolve(wave, room)
    assert torch.equal(room[:2, 1:], torch.zeros(2, 3999))
    assert torch.equal(found[:2], wave[:2])
    assert not torch.allclose(found[2], wave[2], atol=0.01)
    assert rt60(room[:2], RATE).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("samples", "taps", "ahead"), [(4000, 300, 0), (4000, 301, 150), (500, 4000, 0), (1, 1, 0)])
def test_convolution_is_that_of_scipy(samples, taps, ahead):
    signals, filters = random(3, 2, samples), random(3, 2, taps, seed=1)
    found = convolution.convolve(signals, filters, ahead)
    pairs = zip(signals.double().numpy(), filters.double().numpy(), strict=True)
    asked = np.stack([sum(fftconvolve(x, h)[ahead:][:samples] for x, h in zip(*pair, strict=True)) for pair in pairs])
    np.testing.assert_allclose(found.numpy(), asked, atol=2e-6 * np.abs(asked).max())


def test_a_clip_in_a_room_is_aligned_and_as_loud():
    wave = speech_like(4, 2 * RATE)
    room = response(random(4, RATE, seed=1), RATE, torch.tensor([0.2, 0.3, 0.6, 0.9]), torch.tensor([5.0, 0, 0, -5]))
    found = convolve(wave, room)
    torch.testing.assert_close(found.square().mean(-1), wave.square().mean(-1))
    for heard, said in zip(found.numpy(), wave.numpy(), strict=True):
        assert np.abs(fftconvolve(heard, said[::-1])).argmax() == len(said) - 1


def test_a_room_is_causal():
    click = torch.zeros(1, 8000)
    click[0, 5000] = 1.0
    room = response(random(1, 4000), RATE, torch.tensor([0.25]), torch.tensor([0.0]))
    found = convolve(click, room)
    assert found[0, :5000].abs().max() < 1e-6 * found.abs().max()
    torch.testing.assert_close(found[0, 5000:] / found[0, 5000], room[0, :3000], atol=1e-5, rtol=0)


def test_a_measured_response_begins_with_its_direct_sound():
    room = 0.01 * random(3, 1000)
    room[0, 100], room[1, 0], room[2, 999] = 0.5, -2.0, 1.0
    found = from_direct(room)
    assert (found[:, 0] == 1).all()
    torch.testing.assert_close(found[0, :900], room[0, 100:] / 0.5)
    torch.testing.assert_close(found[1], room[1] / -2.0)
    assert not found[0, 900:].any()
    assert not found[2, 1:].any()
    assert not from_direct(torch.zeros(1, 10)).any()


def test_clips_do_not_hear_their_neighbours():
    wave, room = speech_like(3, RATE), response(random(3, 4000), RATE, torch.full((3,), 0.2), torch.zeros(3))
    found = convolve(wave, room)
    for row in range(3):
        torch.testing.assert_close(convolve(wave[row : row + 1], room[row : row + 1])[0], found[row], atol=1e-6, rtol=0)


def test_silence_clicks_and_offsets_stay_finite_and_gradients_too():
    wave = torch.zeros(3, 4000)
    wave[1, 100], wave[2] = 1.0, 0.5
    wave.requires_grad_()
    room = response(random(3, 2000), RATE, torch.full((3,), 0.1), torch.zeros(3))
    found = convolve(wave, room)
    (found * random(3, 4000)).sum().backward()
    assert found.isfinite().all()
    assert not found[0].any()
    assert wave.grad is not None
    assert wave.grad.isfinite().all()


def test_power_is_given_back():
    wave = speech_like(3, 4000)
    torch.testing.assert_close(with_power_of(wave, 7 * wave), wave)
    assert torch.equal(with_power_of(wave, wave), wave)
