"""Noise has the colour, the power and the level that were asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfad.effects.noise import LOWEST, add_noise, babble, coloured


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def power(wave: Tensor) -> Tensor:
    return wave.double().square().mean(-1)


COLOURS = torch.tensor([0.0, 1.0, 2.0, 0.5])


def test_power_falls_with_the_exponent():
    deviates = random(1, 2**18).expand(4, -1)
    found = torch.fft.rfft(coloured(deviates, COLOURS).double()).abs().square()
    octaves = [found[:, 2**k : 2 ** (k + 1)].mean(-1) for k in range(11, 17)]
    slopes = 10 * (torch.stack(octaves[1:]) / torch.stack(octaves[:-1])).log10()
    torch.testing.assert_close(slopes.mean(0), -3.0103 * COLOURS.double(), atol=0.1, rtol=0)


def test_coloured_noise_has_power_one_and_nothing_below_what_is_heard():
    found = coloured(random(4, 32000), COLOURS)
    torch.testing.assert_close(power(found), torch.ones(4).double(), atol=1e-5, rtol=0)
    low = torch.fft.rfft(found.double()).abs()[:, : int(32000 * LOWEST) - 1]
    assert low[1:].max() < 1e-3 < low[0].min()


def test_white_noise_is_as_it_was_but_for_its_power():
    deviates = random(2, 1000)
    found = coloured(deviates, torch.zeros(2))
    torch.testing.assert_close(found * power(deviates).sqrt().float()[:, None], deviates)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0, 40.0])
def test_every_kind_has_its_signal_to_noise_ratio(snr_db):
    wave = 0.1 * random(5, 16000)
    kinds = torch.cat([coloured(random(4, 16000, seed=1), COLOURS), babble(random(1, 3, 16000, seed=2))])
    added = add_noise(wave, kinds, torch.full((5,), snr_db)) - wave
    found = 10 * (power(wave) / power(added)).log10()
    torch.testing.assert_close(found, torch.full((5,), snr_db).double(), atol=0.1, rtol=0)


def test_talkers_are_equally_loud_and_the_silent_say_nothing():
    voices = random(1, 3, 20000) * torch.tensor([0.01, 1.0, 0.0])[:, None]
    found = babble(voices)
    assert power(found).item() == pytest.approx(1, abs=1e-5)
    shares = [(found[0] * voices[0, talker]).mean() / power(voices[0, talker]).sqrt() for talker in (0, 1)]
    assert [share.item() for share in shares] == pytest.approx([0.5**0.5] * 2, abs=0.01)
    assert torch.equal(babble(voices[:, :2]), found)
    assert not babble(torch.zeros(1, 4, 100)).any()


def test_a_silent_clip_has_a_gradient_in_noise():
    wave = torch.zeros(2, 100, requires_grad=True)
    add_noise(wave, random(2, 100), torch.tensor([10.0, torch.inf])).sum().backward()
    assert wave.grad is not None
    assert torch.equal(wave.grad, torch.ones_like(wave))
