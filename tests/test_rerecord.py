"""Re-recording has the band, the noise and the compression that it is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfad.effects.rerecord import KNEE_DB, compress, rerecord, transducer
from dfad.effects.rooms import response
from tests.test_rooms import random, speech_like

RATE = 16_000
ROOM = response(random(4, 4000, seed=3), RATE, torch.full((4,), 0.25), torch.full((4,), 3.0))


def gain_db(hertz: Tensor, *bounds: float, rate: int = RATE) -> Tensor:
    """What the transducer does to tones, against its gain in the middle of its band, 1 kHz."""
    click = torch.zeros(1, rate)
    click[0, rate // 2] = 1.0
    found = transducer(click, rate, *(torch.tensor([bound]) for bound in bounds))
    spectrum = 20 * torch.fft.rfft(found[0].double()).abs().log10()  # a bin per Hz
    return (spectrum[hertz.long()] - spectrum[1000]).float()


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(("low", "high"), [(100.0, 5000.0), (200.0, 4000.0), (50.0, 7000.0)])
def test_the_band_is_where_it_is_asked(low, high, rate):
    edges = gain_db(torch.tensor([low, high]), low, high, 1000.0, 0.0, rate=rate)
    torch.testing.assert_close(edges, torch.full((2,), -3.01), atol=0.3, rtol=0)
    below = gain_db(torch.tensor([low / 5, low / 10]), low, high, 1000.0, 0.0, rate=rate)
    torch.testing.assert_close(below[0] - below[1], torch.tensor(12.0), atol=0.3, rtol=0)  # per octave


def test_a_resonance_has_its_height_and_place():
    hertz = torch.arange(100, 7000)
    for height in (6.0, -4.0):
        found = gain_db(hertz, 0.0, 8000.0, 3000.0, height)
        found = found - found[-1]
        torch.testing.assert_close(found[3000 - 100], torch.tensor(height), atol=0.5, rtol=0)
        assert abs(int(hertz[found.abs().argmax()]) - 3000) <= 10


def test_the_transducer_keeps_place_and_power_and_takes_an_offset_out():
    wave = speech_like(4, RATE)
    low, high = torch.tensor([100.0, 200.0, 300.0, 80.0]), torch.tensor([4000.0, 5000.0, 3400.0, 8000.0])
    found = transducer(wave + 0.3, RATE, low, high, torch.full((4,), 500.0), torch.full((4,), 3.0))
    torch.testing.assert_close(found.square().mean(-1), wave.var(-1, correction=0), rtol=1e-4, atol=0)
    assert (found.mean(-1).abs() < 1e-3).all()
    for heard, said in zip(found, wave, strict=True):
        correlation = torch.fft.irfft(torch.fft.rfft(heard) * torch.fft.rfft(said).conj())
        assert correlation.argmax() == 0


def steps(*levels_db: float) -> Tensor:
    """A tone of 1 kHz, a second at each level."""
    tone = torch.sin(torch.arange(RATE) * (2 * torch.pi * 1000 / RATE))
    return torch.cat([tone * 10 ** (level / 20) for level in levels_db])[None]


def settled_db(wave: Tensor) -> Tensor:
    """The level of the last tenth of every second, after attack and release."""
    return 10 * wave.view(-1, RATE)[:, -RATE // 10 :].double().square().mean(-1).log10()


@pytest.mark.parametrize("ratio", [1.5, 2.0, 4.0])
def test_compression_follows_its_curve(ratio):
    levels = (-50.0, -30.0, -20.0, -10.0, -40.0)
    wave = steps(*levels)
    found = settled_db(compress(wave, RATE, torch.tensor([ratio]), threshold_db=-20.0))
    before = settled_db(wave)
    over = before - (10 * wave.double().square().mean().log10() - 20.0)  # above the threshold, in dB
    assert (over[1:4] > KNEE_DB / 2).all()  # the straight part of the curve
    assert (over[[0, 4]] < -KNEE_DB / 2).all()  # untouched
    asked = torch.where(over > 0, over / ratio, over)
    torch.testing.assert_close(found - found[0], asked - asked[0], atol=0.1, rtol=0)


def test_compression_keeps_the_power_and_narrows_the_range():
    wave = speech_like(3, RATE)
    found = compress(wave, RATE, torch.tensor([1.0, 2.0, 8.0]))
    assert torch.equal(found[0], wave[0])
    torch.testing.assert_close(found.square().mean(-1), wave.square().mean(-1))
    peaks = found.abs().amax(-1) / wave.abs().amax(-1)
    assert peaks[2] < peaks[1] < 1


def test_compression_does_not_foresee():
    wave = torch.cat([0.01 * random(1, RATE), 0.5 * random(1, RATE, seed=1)], -1)
    louder = torch.cat([wave[:, :RATE], 2 * wave[:, RATE:]], -1)
    found = [compress(x, RATE, torch.tensor([3.0]), level) for x, level in ((wave, 0.0), (louder, -6.02))]
    early = [x[0, :RATE] / x[0, :RATE].square().mean().sqrt() for x in found]
    torch.testing.assert_close(*early, atol=1e-3, rtol=0)


def bounds(low: float, high: float) -> tuple[Tensor, Tensor]:
    return torch.full((4,), low), torch.full((4,), high)


def test_a_recording_has_the_noise_that_is_asked_for():
    wave, noise = speech_like(4, RATE), random(4, RATE, seed=7)
    asked, one = torch.tensor([0.0, 10.0, 20.0, 40.0]), torch.ones(4)
    quiet = rerecord(wave, RATE, ROOM, *bounds(100.0, 6000.0), noise, torch.full((4,), torch.inf), one)
    noisy = rerecord(wave, RATE, ROOM, *bounds(100.0, 6000.0), noise, asked, one)
    share = (noisy * quiet).sum(-1) / (noisy.norm(dim=-1) * quiet.norm(dim=-1))  # cosine: SNR = cos² / (1 − cos²)
    found = 10 * (share.square() / (1 - share.square())).log10()
    torch.testing.assert_close(found, asked, atol=0.3, rtol=0)  # speech and noise are not quite orthogonal


def test_rerecording_at_rest_changes_nothing():
    wave, one = speech_like(4, RATE), torch.ones(4)
    room = response(random(4, 4000), RATE, torch.tensor([0.0, 0.0, 0.0, 0.3]), torch.zeros(4))
    found = rerecord(wave, RATE, room, *bounds(0.0, 8000.0), random(4, RATE), torch.full((4,), torch.inf), one)
    assert torch.equal(found[:3], wave[:3])
    assert not torch.allclose(found[3], wave[3], atol=0.01)


def test_rerecording_is_aligned_differentiable_and_alone():
    wave = speech_like(4, RATE).requires_grad_()
    ratio, snr = torch.tensor([1.0, 2.0, 3.0, 1.5]), torch.tensor([15.0, 20.0, 30.0, torch.inf])
    colour = torch.tensor([300.0, 500.0, 900.0, 2000.0]), torch.tensor([3.0, -3.0, 6.0, 0.0])

    def recorded(rows: slice) -> Tensor:
        edges = (bound[rows] for bound in bounds(150.0, 6000.0))
        drawn = (snr[rows], ratio[rows], *(part[rows] for part in colour))
        return rerecord(wave[rows], RATE, ROOM[rows], *edges, random(4, RATE, seed=7)[rows], *drawn)

    found = recorded(slice(0, 4))
    torch.testing.assert_close(found.square().mean(-1), wave.var(-1, correction=0), rtol=1e-4, atol=0)
    for row in range(4):
        torch.testing.assert_close(recorded(slice(row, row + 1))[0], found[row], atol=1e-6, rtol=0)
        correlation = torch.fft.irfft(torch.fft.rfft(found[row]) * torch.fft.rfft(wave[row]).conj())
        assert correlation.argmax() == 0
    (found * random(4, RATE, seed=9)).sum().backward()
    assert wave.grad is not None
    assert wave.grad.isfinite().all()
    assert (wave.grad.abs().amax(-1) > 0).all()


def test_silence_clicks_and_offsets_stay_finite():
    wave = torch.zeros(4, 4000)
    wave[1, 100], wave[2], wave[3, 0] = 1.0, 0.5, -1.0
    snr, ratio = torch.full((4,), 20.0), torch.full((4,), 3.0)
    colour = torch.full((4,), 700.0), torch.full((4,), 4.0)
    wave.requires_grad_()
    found = rerecord(wave, RATE, ROOM, *bounds(200.0, 5000.0), random(4, 4000), snr, ratio, *colour)
    (found * random(4, 4000, seed=1)).sum().backward()
    assert found.isfinite().all()
    assert not found[0].any()
    assert wave.grad is not None
    assert wave.grad.isfinite().all()
