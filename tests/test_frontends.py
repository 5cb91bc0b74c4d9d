"""Frontends: the physics, the definitions, and that a clip's features are its own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.fft import dct
from torch import Tensor

from dfad.errors import ConfigError
from dfad.frontends import FRONTENDS, FrontendKnobs

SPECTRAL = ["logmel", "logspec", "lfcc", "mfcc"]
every_frontend = pytest.mark.parametrize("name", list(FRONTENDS))
every_spectral = pytest.mark.parametrize("name", SPECTRAL)


def knobs(name: str, **options: object) -> FrontendKnobs:
    return FRONTENDS[name].read({"name": name, **options})


def features(name: str, wave: Tensor, **options: object) -> Tensor:
    return knobs(name, **options).build()(wave)


def plain(name: str, wave: Tensor, **options: object) -> np.ndarray:
    """Features as the transform gives them. Shape: (batch, bands, frames)."""
    return features(name, wave, level="none", normalise="none", **options)[:, 0].numpy()


def noise(clips: int = 1, samples: int = 8000, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(seed))


def tone(hertz: float, rate: int = 16000, samples: int = 16000) -> Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz / rate * torch.arange(samples, dtype=torch.float64)).float()[None]


def click(samples: int = 8000) -> Tensor:
    wave = torch.zeros(1, samples)
    wave[0, samples // 2] = 1.0
    return wave


ODD_CLIPS = {
    "silence": torch.zeros(1, 8000),
    "DC": torch.full((1, 8000), 0.5),
    "click": click(),
    "clipped": (20 * noise()).clamp(-1, 1),
    "tiny": 1e-30 * noise(),
    "square": torch.sign(tone(100, samples=8000)),
}
odd_clips = pytest.mark.parametrize("wave", ODD_CLIPS.values(), ids=ODD_CLIPS.keys())


def mel(hertz: float | np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def triangles(edges: np.ndarray, n_fft: int, rate: int) -> np.ndarray:
    """(bins, bands): triangles of height 1 between every third edge."""
    hertz = np.arange(n_fft // 2 + 1)[:, None] * rate / n_fft
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    return np.clip(np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)), 0, None)


def mel_bank(bands: int, n_fft: int, rate: int, low: float, high: float) -> np.ndarray:
    return triangles(700 * (10 ** (np.linspace(mel(low), mel(high), bands + 2) / 2595) - 1), n_fft, rate)


def power(wave: Tensor, n_fft: int, window: int, hop: int) -> np.ndarray:
    """(frames, bins): squared magnitudes of a Fourier transform written out, Hann window in the middle."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    left = (n_fft - window) // 2
    full = np.pad(hann, (left, n_fft - window - left))
    padded = np.pad(wave[0].double().numpy(), n_fft // 2, mode="reflect")
    frames = np.stack([padded[start : start + n_fft] * full for start in range(0, len(padded) - n_fft + 1, hop)])
    angle = -2j * np.pi / n_fft * np.outer(np.arange(n_fft), np.arange(n_fft // 2 + 1))
    return np.abs(frames @ np.exp(angle)) ** 2


# --- definitions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "n_fft", "low", "high"), [(16000, 512, 0.0, None), (8000, 256, 100.0, 3400.0), (22050, 1024, 20.0, 8000.0)]
)
def test_logmel_is_the_textbook_one(rate, n_fft, low, high):
    options = {"sample_rate": rate, "n_fft": n_fft, "n_mels": 40, "f_min": low, "f_max": high, "crop_s": 0.3}
    wave = noise(samples=3001)
    bank = mel_bank(40, n_fft, rate, low, high or rate / 2)
    expected = np.log(power(wave, n_fft, round(0.025 * rate), round(0.01 * rate)) @ bank + 1e-6).T
    np.testing.assert_allclose(plain("logmel", wave, **options)[0], expected, atol=1e-3)


def test_logspec_is_the_textbook_one():
    wave = noise(samples=3001)
    expected = np.log(power(wave, 512, 400, 160) + 1e-6).T
    # where noise nearly cancels, float32 cannot know the logarithm
    np.testing.assert_allclose(plain("logspec", wave)[0], expected, atol=2e-2)
    assert np.abs(plain("logspec", wave)[0] - expected).mean() < 1e-5


def test_lfcc_is_the_textbook_one():
    wave = noise(samples=3001)
    bank = triangles(np.linspace(0, 8000, 72), 512, 16000)
    expected = dct(np.log(power(wave, 512, 400, 160) @ bank + 1e-6), norm="ortho")[:, :60].T
    np.testing.assert_allclose(plain("lfcc", wave)[0], expected, atol=1e-3)


def test_mfcc_is_the_textbook_one():
    wave = noise(samples=3001)
    expected = dct(np.log(power(wave, 512, 400, 160) @ mel_bank(80, 512, 16000, 0, 8000) + 1e-6), norm="ortho")
    np.testing.assert_allclose(plain("mfcc", wave)[0], expected[:, :40].T, atol=1e-3)


# --- physics -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "n_fft"), [(8000, 256), (16000, 512), (16000, 2048), (22050, 1024), (48000, 2048)])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.45])
def test_a_tone_lights_its_linear_bin(rate, n_fft, share):
    found = features("logspec", tone(share * rate, rate), sample_rate=rate, n_fft=n_fft)[0, 0]
    assert (found[:, 2:-2].mean(-1).argmax() - share * n_fft).abs() < 1


@pytest.mark.parametrize(("rate", "n_fft"), [(8000, 512), (16000, 512), (16000, 2048), (22050, 1024), (48000, 2048)])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.45])
def test_a_tone_lights_its_mel_band(rate, n_fft, share):
    found = features("logmel", tone(share * rate, rate), sample_rate=rate, n_fft=n_fft, n_mels=40)[0, 0]
    centres = np.linspace(0, mel(rate / 2), 42)[1:-1]
    nearest = np.abs(centres - mel(share * rate)).argmin()
    assert abs(int(found.mean(-1).argmax()) - nearest) <= 1


@pytest.mark.parametrize("name", ["logmel", "logspec"])
@pytest.mark.parametrize("at", [0, 800, 4000, 7999])
def test_a_burst_lights_its_frame(name, at):
    wave = torch.zeros(1, 8000)
    wave[0, at] = 1.0
    loudest = features(name, wave)[0, 0].mean(0).argmax()
    assert abs(int(loudest) - at / 160) <= 1


@every_spectral
@pytest.mark.parametrize("gain_db", [-30.0, -6.0, 12.0])
def test_gain_does_not_matter_at_level_rms(name, gain_db):
    wave = noise()
    louder = features(name, wave * 10 ** (gain_db / 20))
    torch.testing.assert_close(louder, features(name, wave), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("gain_db", [-12.0, 12.0])
def test_gain_does_not_matter_when_the_clip_is_normalised(gain_db):
    wave = noise()
    louder = features("logmel", wave * 10 ** (gain_db / 20), level="none")
    difference = (louder - features("logmel", wave, level="none")).abs()
    assert difference.mean() < 1e-4
    assert difference.max() < 0.1  # where nearly nothing is, the floor of the logarithm counts


def test_levels_are_what_they_say():
    wave = noise(3) * torch.tensor([[0.01], [1.0], [5.0]])
    assert torch.allclose(features("raw", wave, level="rms").square().mean(-1), torch.ones(3))
    assert torch.allclose(features("raw", wave, level="peak").abs().amax(-1), torch.ones(3))
    assert torch.equal(features("raw", wave), wave)


def test_near_silence_is_not_blown_up():
    assert features("raw", 1e-6 * noise(), level="rms").abs().max() < 0.01
    assert features("raw", 1e-6 * noise(), level="peak").abs().max() < 0.01


@every_spectral
def test_normalised_clips_have_mean_0_and_deviation_1(name):
    clip = features(name, noise(3), normalise="clip")
    band = features(name, noise(3), normalise="band")
    assert torch.allclose(clip.mean((-2, -1)), torch.zeros(3, 1), atol=1e-4)
    assert torch.allclose(clip.std((-2, -1)), torch.ones(3, 1), atol=1e-2)
    assert torch.allclose(band.mean(-1), torch.zeros(()), atol=1e-4)
    assert torch.allclose(band.std(-1, correction=0), torch.ones(()), atol=1e-2)


# --- each clip on its own ------------------------------------------------------------------------


@every_frontend
@odd_clips
def test_neighbours_do_not_matter(name, wave):
    crowd = torch.cat([1e-3 * noise(2), wave, torch.ones(1, 8000), 50 * noise(4, seed=1)])
    torch.testing.assert_close(features(name, crowd)[2:3], features(name, wave), atol=1e-5, rtol=1e-5)


@every_frontend
def test_neighbours_do_not_matter_to_speech_like_noise(name):
    wave = noise(9) * torch.logspace(-3, 1, 9)[:, None]
    alone = torch.cat([features(name, clip[None]) for clip in wave])
    torch.testing.assert_close(features(name, wave), alone, atol=1e-5, rtol=1e-5)


@every_frontend
@odd_clips
@pytest.mark.parametrize("level", ["rms", "peak", "none"])
def test_odd_clips_give_finite_features_and_gradients(name, wave, level):
    wave = wave.clone().requires_grad_()
    found = features(name, wave, level=level)
    (found * torch.linspace(-1, 1, found.shape[-1])).sum().backward()
    assert found.isfinite().all()
    assert wave.grad is not None
    assert wave.grad.isfinite().all()


@every_spectral
def test_the_gradient_is_the_slope(name):
    frontend = knobs(name).build()
    wave, step = noise(samples=3000), 1e-3 * noise(samples=3000, seed=1)
    weight = torch.linspace(-1, 1, frontend(wave).shape[-2])[:, None]

    def value(x: Tensor) -> Tensor:
        return (frontend(x) * weight).square().sum()

    slope = torch.autograd.functional.jvp(value, wave, step)[1]
    measured = (value(wave + step) - value(wave - step)).double() / 2
    assert slope.item() == pytest.approx(measured.item(), rel=0.1, abs=0.05)


@every_frontend
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_floating_input_gives_float32(name, dtype):
    wave = noise().to(dtype)
    found = features(name, wave)
    assert found.dtype == torch.float32
    assert torch.equal(found, features(name, wave.float()))


@every_frontend
def test_autocast_does_not_change_features(name):
    wave, frontend = noise(), knobs(name).build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = frontend(wave)
    assert torch.equal(inside, frontend(wave))


@every_frontend
def test_nothing_is_trained(name):
    assert not list(knobs(name).build().parameters())


# --- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "bands"), [("logmel", 80), ("logspec", 257), ("lfcc", 60), ("mfcc", 40)])
@pytest.mark.parametrize("samples", [257, 300, 1601, 7999, 32000])
def test_shapes_of_maps(name, bands, samples):
    assert features(name, noise(2, samples)).shape == (2, 1, bands, 1 + samples // 160)


@pytest.mark.parametrize("samples", [1, 7999])
def test_shape_of_raw(samples):
    assert features("raw", noise(2, samples)).shape == (2, samples)


@every_spectral
@pytest.mark.parametrize("normalise", ["clip", "band", "none"])
def test_one_frame_is_enough(name, normalise):
    options = {"crop_s": 0.02, "hop_ms": 100.0, "normalise": normalise}
    found = features(name, noise(samples=knobs(name, **options).crop_samples), **options)
    assert found.shape[-1] == 1
    assert found.isfinite().all()


@every_spectral
def test_the_shortest_crop_that_is_allowed_works(name):
    shortest = knobs(name, crop_s=257 / 16000)
    assert shortest.crop_samples == shortest.least_samples == 257
    assert shortest.build()(noise(samples=257)).isfinite().all()


# --- options -------------------------------------------------------------------------------------


@every_frontend
def test_presets_warn_of_nothing(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        knobs(name).build()(noise())


@every_frontend
def test_options_survive_a_checkpoint(name):
    assert FRONTENDS[name].read(knobs(name).plain()) == knobs(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("logmel", {"crop_s": 0.016}, "crop_s=0.016 is too short; frontend=logmel needs at least 0.0161 s"),
        ("logspec", {"n_fft": 16384, "crop_s": 0.5}, "needs at least 0.512 s"),
        ("raw", {"crop_s": 1e-6}, "too short"),
        ("raw", {"normalise": "clip"}, "normalise"),
        ("logmel", {"crop_s": 0.0}, "crop_s"),
        ("logmel", {"n_fft": 511}, "multiple of 2"),
        ("logmel", {"window_ms": 33.0}, "raise n_fft to 528 or more"),
        ("logmel", {"sample_rate": 22050}, "raise n_fft to 551 or more"),
        ("logspec", {"window_ms": 0.01}, "a sample or more"),
        ("logspec", {"hop_ms": 0.01}, "a sample or more"),
        ("logmel", {"f_min": 8000.0}, "f_min"),
        ("logmel", {"f_max": 8001.0}, "f_max"),
        ("mfcc", {"f_min": 500.0, "f_max": 400.0}, "f_min"),
        ("lfcc", {"f_min": -1.0}, "f_min"),
        ("logmel", {"n_mels": 128}, "bands hold no frequency of n_fft=512; take fewer bands, raise n_fft"),
        ("mfcc", {"n_mels": 256}, "bands hold no frequency"),
        ("lfcc", {"n_filters": 512}, "bands hold no frequency"),
        ("lfcc", {"f_min": 1000.0, "f_max": 1100.0}, "bands hold no frequency"),
        ("lfcc", {"n_coefficients": 71}, "n_coefficients=71 is more than the 70 bands"),
        ("mfcc", {"n_coefficients": 81}, "n_coefficients=81 is more than the 80 bands"),
        ("logmel", {"n_mel": 80}, "did you mean 'n_mels'"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        knobs(name, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("logmel", {"n_mels": 128, "n_fft": 1024}),
        ("logmel", {"n_mels": 4, "n_fft": 32, "window_ms": 2.0}),
        ("logmel", {"sample_rate": 96000, "n_fft": 4096}),
        ("logmel", {"sample_rate": 4000, "n_fft": 256, "n_mels": 40}),
        ("logmel", {"sample_rate": 11025, "n_mels": 40}),
        ("logspec", {"window_ms": 0.1, "hop_ms": 0.1}),
        ("lfcc", {"n_filters": 20, "n_coefficients": 20}),
        ("mfcc", {"f_min": 300.0, "f_max": 3400.0, "n_mels": 26, "n_coefficients": 13}),
    ],
)
def test_possible_options_build_and_run(name, options):
    chosen = knobs(name, crop_s=0.1, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = chosen.build()(noise(samples=chosen.crop_samples))
    assert found.isfinite().all()


@pytest.mark.parametrize("name", ["logmel", "logspec"])
def test_a_floor_hides_what_is_soft(name: str) -> None:
    loud, both = tone(1000), tone(1000) + 10 ** (-40 / 20) * tone(5000)
    for floor, heard in ((1e-6, True), (1.0, False)):
        knobs_ = knobs(name, normalise="none", floor=floor).build()
        change = (knobs_(both) - knobs_(loud)).abs().amax()
        assert (change > 3) == heard


def test_the_usual_floor_is_no_part_of_a_name() -> None:
    assert "floor" not in knobs("logmel").identity()
    assert knobs("logmel", floor=1.0).identity()["floor"] == 1.0
