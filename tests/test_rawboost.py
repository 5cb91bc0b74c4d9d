"""RawBoost's three distortions are those of the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import firwin, freqz
from scipy.stats import kstest
from torch import Tensor

from dfad.effects.rawboost import LONGEST, convolutive, impulsive, notches, stationary
from tests.test_rooms import random, speech_like

RATE = 16_000
GAINS = torch.tensor([0.0, -5.0, -10.0, -15.0, -20.0])
NONE = torch.tensor([0.0, *[-torch.inf] * 4])


def drawn(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Centres, widths and coefficients in the published ranges."""
    rng = torch.Generator().manual_seed(seed)
    uniform = torch.rand(3, *shape, generator=rng)
    return 20 + 7980 * uniform[0], 100 + 900 * uniform[1], (10 + 91 * uniform[2]).long()


def magnitude(filters: Tensor) -> Tensor:
    return torch.fft.rfft(filters.double(), 16_000).abs()  # a bin per Hz


def test_notches_are_those_of_scipy():
    centres, widths, taps = drawn(20, 5)
    found = magnitude(notches(RATE, centres, widths, taps)).numpy()
    for row in range(20):
        cascade = np.ones(1)
        for centre, width, count in zip(centres[row].tolist(), widths[row].tolist(), taps[row].tolist(), strict=True):
            edges = max(centre - width / 2, 1e-3), min(centre + width / 2, RATE / 2 - 1e-3)
            cascade = np.convolve(cascade, firwin(count + 1 - count % 2, edges, window="hamming", fs=RATE))
        cascade = cascade / np.abs(freqz(cascade, 1, fs=RATE)[1]).max()
        asked = np.abs(freqz(cascade, 1, worN=np.arange(8001), fs=RATE)[1])
        np.testing.assert_allclose(found[row], asked, atol=2e-4)  # scipy's grid for the maximum is a little coarser


@pytest.mark.parametrize("centre", [1000.0, 2500.0, 6000.0])
def test_a_notch_is_where_it_is_asked(centre):
    found = magnitude(notches(RATE, torch.tensor([[centre]]), torch.tensor([[1000.0]]), torch.tensor([[101]])))[0]
    deep = found[round(centre) - 200 : round(centre) + 200]
    assert (deep < 0.02).all()
    torch.testing.assert_close(
        found[[round(centre) - 500, round(centre) + 500]], torch.full((2,), 0.5).double(), atol=0.02, rtol=0
    )
    assert found[round(centre) - 800] > 0.98
    assert found[round(centre) + 800] > 0.98
    assert found.max() <= 1.0001


def test_notches_without_width_or_above_half_the_rate_let_everything_pass():
    found = notches(
        RATE, torch.tensor([[3000.0], [9000.0]]), torch.tensor([[0.0], [500.0]]), torch.tensor([[51], [51]])
    )
    asked = torch.zeros(2, LONGEST)
    asked[:, LONGEST // 2] = 1.0
    torch.testing.assert_close(found, asked, atol=1e-6, rtol=0)


def test_many_notches_in_a_row_are_the_product_of_each():
    centres, widths, taps = drawn(1, 12, seed=3)
    found = magnitude(notches(RATE, centres, widths, taps))[0]
    alone = magnitude(notches(RATE, centres[0, :, None], widths[0, :, None], taps[0, :, None])).prod(0)
    torch.testing.assert_close(found, alone / alone.max(), atol=1e-3, rtol=0)


def test_a_notch_that_leaves_nothing_gives_silence():
    found = notches(RATE, torch.tensor([[4000.0]]), torch.tensor([[8000.0]]), torch.tensor([[51]]))
    assert magnitude(found).max() < 0.01


def test_too_many_coefficients_are_an_error():
    with pytest.raises(ValueError, match="at most 101 coefficients, not 102"):
        notches(RATE, torch.tensor([[3000.0]]), torch.tensor([[100.0]]), torch.tensor([[102]]))


def test_powers_make_the_harmonics_that_algebra_gives():
    """cos² = ½ + ½ cos 2x; cos³ = ¾ cos x + ¼ cos 3x; and so on, each with its gain."""
    tone = 0.8 * torch.cos(torch.arange(RATE) * (2 * torch.pi * 500 / RATE))[None]
    nothing = torch.zeros(1, 5, 1)
    found = convolutive(tone, RATE, nothing, nothing, torch.full((1, 5, 1), 11), GAINS[None])[0]
    found = torch.fft.rfft(found.double()).real * 2 / RATE
    a, g = 0.8, (10.0 ** (GAINS / 20)).double().tolist()
    asked = [
        0.0,
        g[0] * a + g[2] * a**3 * 3 / 4 + g[4] * a**5 * 10 / 16,
        g[1] * a**2 / 2 + g[3] * a**4 / 2,
        g[2] * a**3 / 4 + g[4] * a**5 * 5 / 16,
        g[3] * a**4 / 8,
        g[4] * a**5 / 16,
    ]
    torch.testing.assert_close(found[[0, 500, 1000, 1500, 2000, 2500]], torch.tensor(asked).double(), atol=1e-3, rtol=0)


def test_the_notches_of_a_power_act_on_that_power_alone():
    tone = 0.8 * torch.cos(torch.arange(RATE) * (2 * torch.pi * 1500 / RATE))[None]
    centres, widths = torch.tensor([[[5000.0], [3000.0]]]), torch.tensor([[[1000.0], [1000.0]]])
    found = convolutive(tone, RATE, centres, widths, torch.full((1, 2, 1), 101), torch.zeros(1, 2))[0, 2000:-2000]
    place = torch.arange(len(found)) * (2 * torch.pi / RATE)
    level = [2 * (found * torch.exp(1j * hertz * place)).mean().abs() for hertz in (1500, 3000)]
    assert level[0] > 0.78
    assert level[1] < 0.01  # else 0.32


def test_convolutive_noise_leaves_no_offset_and_keeps_the_place():
    wave = speech_like(4, RATE)
    found = convolutive(wave + 0.1, RATE, *drawn(4, 5, 5), GAINS.expand(4, -1))
    assert (found.mean(-1).abs() < 1e-6).all()
    for heard, said in zip(found, wave, strict=True):
        assert torch.fft.irfft(torch.fft.rfft(heard) * torch.fft.rfft(said).conj()).argmax() == 0


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_the_share_of_samples_is_hit(share):
    wave = 0.1 + random(4, 64_000).abs()
    found = impulsive(wave, random(4, 64_000, seed=1), torch.full((4,), share), torch.full((4,), 2.0))
    hits = (found != wave).sum(-1).float()
    spread = (64_000 * share * (1 - share)) ** 0.5
    assert ((hits - 64_000 * share).abs() < 4 * spread).all()


def test_impulses_follow_the_signal_and_the_published_distribution():
    wave = torch.full((1, 2**20), 0.25)
    wave[0, 1::2] = -0.5
    found = impulsive(wave, random(1, 2**20, seed=1), torch.tensor([0.1]), torch.tensor([2.0]))
    factor = ((found - wave) / (2.0 * wave))[found != wave]

    def share_below(x: np.ndarray) -> np.ndarray:
        """Of products of two numbers uniform on [−1, 1]: (1 + x − x ln |x|) / 2."""
        return (1 + x - x * np.log(np.abs(x))) / 2

    assert kstest(factor.double().numpy(), share_below).pvalue > 0.01
    assert factor.abs().max() <= 1


def test_stationary_noise_has_its_ratio_and_its_notches():
    wave = speech_like(4, 4 * RATE)
    asked = torch.tensor([10.0, 20.0, 30.0, 40.0])
    centres, widths, taps = torch.full((4, 1), 3000.0), torch.full((4, 1), 1000.0), torch.full((4, 1), 101)
    noise = stationary(wave, RATE, random(4, 4 * RATE, seed=1), centres, widths, taps, asked).double() - wave
    found = 10 * (wave.double().square().mean(-1) / noise.square().mean(-1)).log10()
    torch.testing.assert_close(found, asked.double(), atol=0.1, rtol=0)
    power = torch.fft.rfft(noise).abs().square()  # four bins per Hz
    inside, outside = (power[:, 4 * low : 4 * high].mean(-1) for low, high in ((2800, 3200), (5000, 7000)))
    assert (inside / outside < 1e-3).all()


def at_rest(wave: Tensor) -> list[Tensor]:
    clips, samples = wave.shape
    centres, widths, taps = drawn(clips, 5, 5)
    noise, never = random(clips, samples), torch.full((clips,), torch.inf)
    return [
        convolutive(wave, RATE, centres, torch.zeros_like(widths), taps, NONE.expand(clips, -1)),
        impulsive(wave, noise, torch.zeros(clips), torch.full((clips,), 2.0)),
        impulsive(wave, noise, torch.full((clips,), 0.1), torch.zeros(clips)),
        stationary(wave, RATE, noise, centres[:, 0], widths[:, 0], taps[:, 0], never),
    ]


def test_strength_0_changes_nothing():
    wave = speech_like(3, RATE) + 0.01
    assert all(torch.equal(found, wave) for found in at_rest(wave))


def boosted(wave: Tensor, rows: slice = slice(0, 4)) -> list[Tensor]:
    centres, widths, taps = (part[rows] for part in drawn(4, 5, 5))
    noise = random(4, wave.shape[-1], seed=1)[rows]
    return [
        convolutive(wave[rows], RATE, centres, widths, taps, GAINS.expand(len(centres), -1)),
        impulsive(wave[rows], noise, torch.full((4,), 0.05)[rows], torch.full((4,), 2.0)[rows]),
        stationary(wave[rows], RATE, noise, centres[:, 0], widths[:, 0], taps[:, 0], torch.full((4,), 20.0)[rows]),
    ]


def test_clips_do_not_hear_their_neighbours():
    wave = speech_like(4, RATE)
    for row in range(4):
        for alone, among in zip(boosted(wave, slice(row, row + 1)), boosted(wave), strict=True):
            torch.testing.assert_close(alone[0], among[row], atol=1e-6, rtol=0)


def test_silence_clicks_and_offsets_stay_finite_and_gradients_too():
    wave = torch.zeros(4, 4000)
    wave[1, 100], wave[2], wave[3] = 1.0, 0.5, speech_like(4000)
    wave.requires_grad_()
    for found in boosted(wave):
        assert found.dtype == torch.float32
        assert found.shape == wave.shape
        assert found.isfinite().all()
        (gradient,) = torch.autograd.grad((found * random(4, 4000)).sum(), wave)
        assert gradient[1:].isfinite().all()
        assert (gradient[3] != 0).any()
