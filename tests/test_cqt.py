"""The constant-Q transform: the windowed sum that defines it, and the physics of tones, octaves and bursts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dfad.errors import ConfigError
from dfad.frontends import CQTKnobs
from tests.test_frontends import noise, tone

SMALL = {"bins_per_octave": 12, "n_octaves": 5, "f_min": 250.0, "crop_s": 0.3}


def knobs(**options: object) -> CQTKnobs:
    return CQTKnobs.read({"name": "cqt", **options})


def plain(wave: Tensor, **options: object) -> np.ndarray:
    """(bands, frames): log powers of one clip as the transform gives them."""
    return knobs(level="none", normalise="none", **options).build()(wave)[0, 0].numpy()


def by_definition(wave: Tensor, bins: int, octaves: int, low: float, rate: int, hop: int) -> np.ndarray:
    """(bands, frames): |sum of windowed samples times a turning phasor|² for every band and frame (Brown, 1991)."""
    samples = wave[0].double().numpy()
    quality = 1 / (2 ** (1 / bins) - 1)
    margin = int(np.ceil(quality * rate / low / 2))
    padded = np.pad(samples, margin, mode="reflect")
    found = []
    for band in range(bins * octaves):
        hertz = low * 2 ** (band / bins)
        length = quality * rate / hertz
        half = int(np.ceil(length / 2)) - 1
        time = np.arange(-half, half + 1)
        window = 0.5 + 0.5 * np.cos(2 * np.pi * time / length)
        atom = window / np.sqrt(np.sum(window**2)) * np.exp(-2j * np.pi * hertz / rate * time)
        centres = margin + np.arange(0, len(samples) + 1, hop)
        found.append([abs(padded[at - half : at + half + 1] @ atom) ** 2 for at in centres])
    return np.array(found)


@pytest.mark.parametrize("samples", [1000, 4800, 4801, 12345], ids=lambda samples: f"{samples}-samples")
@pytest.mark.parametrize(
    ("rate", "bins", "octaves", "low", "hop_ms"),
    [(16000, 12, 5, 250.0, 10.0), (16000, 24, 3, 1000.0, 5.0), (22050, 7, 6, 130.0, 11.0), (8000, 12, 2, 500.0, 3.1)],
)
def test_it_is_the_windowed_sum_of_every_band(samples, rate, bins, octaves, low, hop_ms):
    options = {"sample_rate": rate, "bins_per_octave": bins, "n_octaves": octaves, "f_min": low, "hop_ms": hop_ms}
    wave = noise(samples=samples)
    expected = by_definition(wave, bins, octaves, low, rate, round(hop_ms * rate / 1000))
    found = np.exp(plain(wave, crop_s=0.3, floor=1e-12, **options)) - 1e-12
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max(), rtol=1e-3)


def test_the_floor_stands_under_the_logarithm():
    wave = noise(samples=4800)
    expected = by_definition(wave, 12, 5, 250.0, 16000, 160)
    np.testing.assert_allclose(plain(wave, floor=0.01, **SMALL), np.log(expected + 0.01), atol=1e-3)


@pytest.mark.parametrize("band", [0, 30, 83, 120, 167])
def test_a_tone_lights_its_band(band):
    found = plain(tone(62.5 * 2 ** (band / 24), samples=32000))
    assert (found[:, 60:-60].argmax(0) == band).all()


@pytest.mark.parametrize("hertz", [125.0, 440.0, 1234.0])
@pytest.mark.parametrize("bins", [12, 24, 48])
def test_an_octave_is_as_many_bands(hertz, bins):
    options = {"bins_per_octave": bins, "n_octaves": 6, "f_min": 110.0, "crop_s": 1.0}
    low, high = (plain(tone(pitch), **options)[:, 40:-40].mean(-1) for pitch in (hertz, 2 * hertz))
    assert high.argmax() - low.argmax() == bins
    near = np.arange(max(0, low.argmax() - 1), low.argmax() + 2)
    np.testing.assert_allclose(high[near + bins] - low[near], -np.log(2), atol=0.1)  # half as long an atom


def test_white_noise_has_the_power_of_its_samples_in_every_band():
    power = np.exp(plain(noise(samples=160000) / 0.1, crop_s=10.0))
    assert power.mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(power[100:].mean(-1), 1, atol=0.25)


@pytest.mark.parametrize("at", [0, 4000, 7999])
def test_a_burst_lights_its_frame_sharper_the_higher_the_band(at):
    wave = torch.zeros(1, 8000)
    wave[0, at] = 1.0
    power = np.exp(plain(wave, crop_s=0.5))
    assert np.all(np.abs(power[60:].argmax(-1) - at / 160) <= 1)
    heard = (power > power.max(-1, keepdims=True) / 100).sum(-1)
    assert heard[24] > 2 * heard[72] > 4 * heard[144]


def test_what_is_loud_later_leaves_silence_alone():
    wave = torch.zeros(1, 32000)
    wave[0, 24000:] = 10 * noise(samples=8000)[0]
    found = plain(wave)
    np.testing.assert_allclose(found[30:, 20:60], np.log(1e-6), atol=1e-3)


def test_any_length_gives_the_frames_that_it_gives_at_its_own_crop():
    wave = noise(samples=40000)
    long, short = plain(wave, crop_s=2.5), plain(wave, crop_s=0.5)
    assert long.shape == short.shape == (168, 251)
    np.testing.assert_allclose(short, long, atol=1e-3)


@pytest.mark.parametrize("gain_db", [-30.0, 12.0])
def test_gain_does_not_matter_at_level_rms(gain_db):
    frontend = knobs(**SMALL).build()
    wave = noise()
    torch.testing.assert_close(frontend(wave * 10 ** (gain_db / 20)), frontend(wave), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("normalise", ["clip", "band"])
def test_normalised_clips_have_mean_0_and_deviation_1(normalise):
    found = knobs(normalise=normalise, **SMALL).build()(noise(3))
    over = (-2, -1) if normalise == "clip" else -1
    torch.testing.assert_close(found.mean(over), torch.zeros_like(found.mean(over)), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(over, correction=0), torch.ones_like(found.mean(over)), atol=1e-2, rtol=0)


def test_the_gradient_is_the_slope():
    frontend = knobs(**SMALL).build()
    wave, step = noise(samples=3000), 1e-3 * noise(samples=3000, seed=1)
    weight = torch.linspace(-1, 1, frontend(wave).shape[-2])[:, None]

    def value(x: Tensor) -> Tensor:
        return (frontend(x) * weight).square().sum()

    slope = torch.autograd.functional.jvp(value, wave, step)[1]
    measured = (value(wave + step) - value(wave - step)).double() / 2
    assert slope.item() == pytest.approx(measured.item(), rel=0.1, abs=0.05)


def test_the_shortest_crop_that_is_allowed_works():
    least = knobs(**SMALL).least_samples
    assert knobs(**{**SMALL, "crop_s": least / 16000}).build()(noise(samples=least)).isfinite().all()
    with pytest.raises(ConfigError, match="is too short; frontend=cqt needs at least"):
        knobs(**{**SMALL, "crop_s": (least - 1) / 16000})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_octaves": 8}, "end at 16000 Hz, beyond half of sample_rate=16000; take fewer"),
        ({"sample_rate": 8000}, "beyond half of sample_rate=8000"),
        ({"f_min": 100.0}, "beyond half"),
        ({"hop_ms": 0.01}, "a sample or more"),
        ({"bins_per_octave": 96, "crop_s": 1.0}, "needs at least 1.1 s"),
        ({"n_fft": 512}, "unknown option 'n_fft'"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        knobs(**options)
