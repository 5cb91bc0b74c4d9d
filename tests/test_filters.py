"""Filters and resampling: what passes, what does not, and that nothing moves."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
import soxr
import torch
from torch import Tensor

from dfad.effects.filters import band, telephone, tilt
from dfad.effects.resampling import through

RATE = 16000
NONE = torch.zeros(1)


def tone(hertz: float, samples: int = 32000) -> Tensor:
    return torch.sin(2 * pi * hertz * torch.arange(samples, dtype=torch.float64) / RATE + 0.3).float()[None]


def gain_db(effect, hertz: float) -> float:
    """Of a tone, away from both ends."""
    wave = tone(hertz)
    inside = slice(8000, 24000)
    return float(20 * (effect(wave)[:, inside].double().norm() / wave[:, inside].double().norm()).log10())


@pytest.mark.parametrize("cut", [50.0, 300.0, 1000.0, 3400.0, 7000.0])
def test_a_cut_off_is_where_it_was_asked_for(cut):
    half = min(0.1 * cut, 100.0)

    def low_pass(wave: Tensor) -> Tensor:
        return band(wave, RATE, NONE, torch.tensor([cut]))

    def high_pass(wave: Tensor) -> Tensor:
        return band(wave, RATE, torch.tensor([cut]), torch.tensor([RATE / 2]))

    for effect, side in ((low_pass, 1), (high_pass, -1)):
        assert gain_db(effect, cut) == pytest.approx(-6.02, abs=0.05)
        assert gain_db(effect, cut - side * half) == pytest.approx(0, abs=0.05)
        assert gain_db(effect, cut - side * min(0.4 * cut, 500)) == pytest.approx(0, abs=0.001)
        assert gain_db(effect, cut + side * half) < -70
        assert gain_db(effect, cut + side * min(0.4 * cut, 500)) < -90


def test_a_telephone_passes_its_band_only():
    for hertz in (350, 1000, 3300):
        assert gain_db(lambda wave: telephone(wave, RATE), hertz) == pytest.approx(0, abs=0.05)
    for hertz in (50, 265, 3510, 7000):
        assert gain_db(lambda wave: telephone(wave, RATE), hertz) < -80


@pytest.mark.parametrize("slope", [-6.0, 1.5, 4.0])
def test_a_tilt_has_its_slope_around_1_khz(slope):
    for octave in (-3, -1, 0, 1, 2.5):
        found = gain_db(lambda wave: tilt(wave, RATE, torch.tensor([slope])), 1000 * 2**octave)
        assert found == pytest.approx(slope * octave, abs=0.1)


def test_a_tilt_goes_no_further_below_50_hz():
    found = [gain_db(lambda wave: tilt(wave, RATE, torch.tensor([-6.0])), hertz) for hertz in (20, 40)]
    assert found == pytest.approx([6 * np.log2(20)] * 2, abs=0.2)


@pytest.mark.parametrize("rate", [4000, 8000, 12000, 15999])
def test_there_and_back_keeps_what_the_lower_rate_can_hold(rate):
    def there_and_back(wave: Tensor) -> Tensor:
        return through(wave, RATE, torch.tensor([rate]))

    assert gain_db(there_and_back, 0.9 * rate / 2) == pytest.approx(0, abs=0.01)
    if rate < 15000:
        assert gain_db(there_and_back, rate / 2 + 20) < -80


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 12000])
def test_there_and_back_is_what_a_resampler_makes(rate):
    wave = torch.randn(32000, generator=torch.Generator().manual_seed(0))
    found = through(wave[None], RATE, torch.tensor([float(rate)]))[0].numpy()
    oracle = soxr.resample(soxr.resample(wave.numpy(), RATE, rate, quality="HQ"), rate, RATE, quality="HQ")
    inside = slice(2000, 30000)
    window = np.hanning(28000)
    ours, error = (np.abs(np.fft.rfft(window * x[inside])) ** 2 for x in (found, oracle[:32000] - found))
    hertz = np.fft.rfftfreq(28000, 1 / RATE)
    passed, stopped = hertz < 0.9 * rate / 2, hertz > 1.01 * rate / 2
    assert 10 * np.log10(error[passed].sum() / ours[passed].sum()) < -65  # one shifted by half a sample would be at -10
    assert 10 * np.log10(ours[stopped].sum() / ours.sum()) < -100


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_a_higher_rate_and_back_loses_nothing(rate):
    wave = tone(7900)
    assert torch.equal(through(wave, RATE, torch.tensor([rate])), wave)


@pytest.mark.parametrize(
    "effect",
    [
        lambda x: band(x, RATE, torch.tensor([200.0]), torch.tensor([3000.0])),
        lambda x: telephone(x, RATE),
        lambda x: tilt(x, RATE, torch.tensor([-4.0])),
        lambda x: through(x, RATE, torch.tensor([8000.0])),
    ],
    ids=["band", "telephone", "tilt", "through"],
)
def test_filters_move_nothing(effect):
    click = torch.zeros(1, 8001)
    click[0, 4000] = 1
    found = effect(click)[0]
    assert found.argmax() == 4000
    torch.testing.assert_close(found, found.flip(0), atol=1e-6, rtol=0)


def test_one_end_of_a_clip_does_not_ring_into_the_other():
    click = torch.zeros(1, 16000)
    click[0, 0] = 1
    found = band(click, RATE, torch.tensor([300.0]), torch.tensor([3400.0]))
    assert found[0, 8000:].abs().max() < 1e-5


def test_every_clip_has_its_own_cut_offs():
    wave = torch.randn(3, 8000, generator=torch.Generator().manual_seed(0))
    low, high = torch.tensor([0.0, 100.0, 900.0]), torch.tensor([3000.0, 8000.0, 1200.0])
    found = band(wave, RATE, low, high)
    for row in range(3):
        one = band(wave[row : row + 1], RATE, low[row : row + 1], high[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], one, atol=1e-6, rtol=0)
