"""The vocoders keep length, time, pitch, level and spectrum; what they lose is what a detector may find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch import Tensor

from dfad.corpora.voices import draw_voice, utter
from dfad.effects.analysis import pitch
from dfad.effects.vocoders import VOCODERS, Vocoder, griffin_lim, minimum_phase, mixed_excitation, residual_vq, vocode
from dfad.effects.vocoders.quantised import lapped_basis

RATE = 16000
every_vocoder = pytest.mark.parametrize("vocoder", VOCODERS.values(), ids=VOCODERS.keys())


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """(3, samples) float32, 16 kHz: three voices, a little silence in front."""
    waves = [np.pad(utter(draw_voice(n), (n, 1), 1.2), (3200, 0)) for n in range(3)]
    return torch.from_numpy(np.stack(waves))


def pulse_train(hertz: float, rate: int = RATE) -> Tensor:
    """(1, rate) float32: a second of pulses below 4 kHz."""
    time = torch.arange(rate, dtype=torch.float64) / rate
    partials = [torch.cos(2 * torch.pi * k * hertz * time) for k in range(1, int(4000 / hertz))]
    return (0.3 * torch.stack(partials).mean(0)).float()[None]


def level_db(wave: Tensor) -> Tensor:
    return 10 * wave.square().mean(-1).log10()


def envelope(wave: Tensor) -> Tensor:
    """Give the level of 20 ms frames every 5 ms, mean removed."""
    level = wave.unfold(-1, 320, 80).square().mean(-1).sqrt()
    return level - level.mean(-1, keepdim=True)


def band_levels_db(wave: Tensor) -> Tensor:
    """(batch, 16 bands, frames): the lower half of the spectrum."""
    window = torch.hann_window(512)
    power = torch.stft(wave, 512, 256, window=window, return_complex=True).abs().square()
    return 10 * (power[:, :128].unflatten(1, (16, 8)).mean(2) + 1e-6).log10()


def spectral_distance_db(copy: Tensor, wave: Tensor) -> Tensor:
    """Give the log-spectral distance over the bands and frames in which the wave is loud."""
    before, after = band_levels_db(wave), band_levels_db(copy)
    loud = before > before.amax((1, 2), keepdim=True) - 40
    return (before - after)[loud].square().mean().sqrt()


@every_vocoder
@pytest.mark.parametrize("samples", [1, 37, 4001])
@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_length_and_type_are_kept(vocoder: Vocoder, samples: int, rate: int) -> None:
    wave = 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    copy = vocoder(wave, rate, 0)
    assert copy.shape == wave.shape
    assert copy.dtype == torch.float32
    assert copy.isfinite().all()


@every_vocoder
@pytest.mark.parametrize("wave", [torch.zeros(1, 8000), torch.ones(1, 8000), torch.eye(1, 8000)])
def test_silence_offset_and_click_stay_finite(vocoder: Vocoder, wave: Tensor) -> None:
    assert vocoder(wave, RATE, 0).isfinite().all()


@every_vocoder
def test_a_copy_has_no_offset(vocoder: Vocoder, speech: Tensor) -> None:
    copy = vocoder(speech, RATE, 0)
    assert (copy.mean(-1).abs() < 0.01 * copy.square().mean(-1).sqrt()).all()


@every_vocoder
def test_silence_stays_silent(vocoder: Vocoder) -> None:
    assert vocoder(torch.zeros(1, 8000), RATE, 0).abs().max() < 1e-3


@every_vocoder
def test_copy_is_not_the_original(vocoder: Vocoder, speech: Tensor) -> None:
    difference = vocoder(speech, RATE, 0) - speech
    assert (level_db(difference) > level_db(speech) - 20).all()


@every_vocoder
def test_time_is_kept(vocoder: Vocoder, speech: Tensor) -> None:
    before, after = envelope(speech), envelope(vocoder(speech, RATE, 0))
    spectra = torch.fft.rfft(after, 1024) * torch.fft.rfft(before, 1024).conj()
    lag = torch.fft.irfft(spectra).argmax(-1)
    lag = torch.where(lag > 512, lag - 1024, lag)  # in frames of 5 ms
    assert (lag.abs() <= 1).all()
    assert (torch.cosine_similarity(before, after) > 0.85).all()


@every_vocoder
def test_level_is_kept(vocoder: Vocoder, speech: Tensor) -> None:
    assert ((level_db(vocoder(speech, RATE, 0)) - level_db(speech)).abs() < 3).all()


@every_vocoder
def test_level_follows_the_input(vocoder: Vocoder, speech: Tensor) -> None:
    quieter = level_db(vocoder(0.1 * speech, RATE, 0)) - level_db(vocoder(speech, RATE, 0))
    torch.testing.assert_close(quieter, torch.full_like(quieter, -20.0), atol=0.5, rtol=0)


@every_vocoder
def test_spectrum_is_kept(vocoder: Vocoder, speech: Tensor) -> None:
    assert spectral_distance_db(vocoder(speech, RATE, 0), speech) < 9


@every_vocoder
@pytest.mark.parametrize("hertz", [80.0, 123.0, 250.0])
def test_pitch_is_kept(vocoder: Vocoder, hertz: float) -> None:
    f0, voicing = pitch(vocoder(pulse_train(hertz), RATE, 0), RATE, 128)
    assert f0[0, 10:-10].median().item() == pytest.approx(hertz, rel=0.01)
    assert voicing[0, 10:-10].mean() > 0.6


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
@pytest.mark.parametrize("hertz", [75.0, 150.0, 330.0])
def test_pitch_of_a_pulse_train(hertz: float, rate: int) -> None:
    f0, voicing = pitch(pulse_train(hertz, rate)[:, : rate // 2], rate, rate // 100)
    torch.testing.assert_close(f0[:, 5:-5], torch.full_like(f0[:, 5:-5], hertz), rtol=0.01, atol=0)
    assert (voicing[:, 5:-5] > 0.9).all()


def test_rumble_does_not_hide_the_pitch() -> None:
    rumble = 0.05 * torch.sin(2 * torch.pi * 20.0 * torch.arange(RATE) / RATE)
    f0, voicing = pitch(pulse_train(150.0) + rumble, RATE, 128)
    assert f0[0, 5:-5].median().item() == pytest.approx(150.0, rel=0.01)
    assert voicing[0, 5:-5].mean() > 0.8


def test_noise_has_no_pitch() -> None:
    _, voicing = pitch(torch.randn(1, RATE, generator=torch.Generator().manual_seed(0)), RATE, 128)
    assert voicing.mean() < 0.2


@every_vocoder
def test_same_seed_same_copy(vocoder: Vocoder, speech: Tensor) -> None:
    torch.manual_seed(1)
    first = vocoder(speech, RATE, 5)
    torch.manual_seed(2)
    assert torch.equal(first, vocoder(speech, RATE, 5))
    assert not torch.equal(first, vocoder(speech, RATE, 6))


@every_vocoder
def test_neighbours_do_not_matter(vocoder: Vocoder, speech: Tensor) -> None:
    copy = vocoder(speech, RATE, [3, 4, 5])
    for n in range(3):
        alone = vocoder(speech[n : n + 1], RATE, 3 + n)
        torch.testing.assert_close(alone[0], copy[n], atol=1e-4, rtol=1e-4)


def test_more_iterations_are_nearer_to_the_original(speech: Tensor) -> None:
    def distance(iterations: int) -> float:
        copy = griffin_lim(speech, RATE, 0, iterations=iterations)
        return float((band_levels_db(copy) - band_levels_db(speech)).abs().mean())

    assert distance(16) < distance(0)


@every_vocoder
def test_spectrum_of_real_speech_is_kept(vocoder: Vocoder, reference: Path) -> None:
    manifest = pd.read_csv(reference / "corpus" / "manifest.csv")
    chosen = manifest.query("label == 'bona-fide' and sample_rate == 22050 and duration_s > 2").iloc[::12].head(8)
    for path in chosen["path"]:
        wave, rate = soundfile.read(reference / "corpus" / path, dtype="float32", always_2d=True)
        speech = torch.from_numpy(wave[rate // 2 : 2 * rate].mean(1))[None]
        copy = vocoder(speech, rate, 0)
        assert (level_db(copy) - level_db(speech)).abs() < 3
        assert spectral_distance_db(copy, speech) < 7


def test_the_lapped_transform_gives_the_signal_back() -> None:
    hop = 80
    basis = lapped_basis(hop)
    wave = torch.randn(1600, generator=torch.Generator().manual_seed(0))
    frames = wave.unfold(0, 2 * hop, hop) @ basis @ basis.T
    back = torch.zeros(1600)
    for number, frame in enumerate(frames):
        back[number * hop : (number + 2) * hop] += frame
    torch.testing.assert_close(back[hop:-hop], wave[hop:-hop], atol=1e-5, rtol=1e-5)


def test_more_stages_are_nearer_to_the_original(speech: Tensor) -> None:
    errors = [level_db(residual_vq(speech, RATE, 0, stages=stages) - speech) for stages in (1, 2, 3)]
    assert (errors[0] > errors[1] + 2).all()
    assert (errors[1] > errors[2] + 2).all()


def test_a_band_of_noise_over_pulses_is_driven_by_noise() -> None:
    time = torch.arange(RATE) / RATE
    noise = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft(noise)
    spectrum[:, : RATE * 2500 // RATE] = 0  # noise above 2.5 kHz, pulses below 4 kHz
    wave = pulse_train(120.0) * (time < 2) + 0.03 * torch.fft.irfft(spectrum)

    def periodic(signal: Tensor, low: int, high: int) -> float:
        """How much the envelope of a band repeats after a period of 120 Hz."""
        part = torch.fft.rfft(signal)
        part[:, :low], part[:, high:] = 0, 0
        around = torch.fft.ifft(torch.nn.functional.pad(part, (0, RATE - part.shape[-1]))).abs()[0]
        around = around - around.mean()
        lag = round(RATE / 120)
        return float((around[lag:] * around[:-lag]).mean() / around.square().mean())

    mixed, fixed = mixed_excitation(wave, RATE, 0), minimum_phase(wave, RATE, 0, voiced_below=8000.0)
    assert periodic(mixed, 300, 900) > 0.7
    assert periodic(wave, 6000, 7900) < 0.2
    assert periodic(mixed, 6000, 7900) < periodic(fixed, 6000, 7900) - 0.3


def test_a_clip_is_copied_alike_in_any_number_of_threads(speech: Tensor) -> None:
    wave = speech[0].numpy()
    before = torch.get_num_threads()
    for name in VOCODERS:
        copies = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            copies.append(vocode(wave, RATE, name, 7))
            assert torch.get_num_threads() == threads
        assert np.array_equal(*copies)
        assert np.abs(copies[0]).max() <= 1
    torch.set_num_threads(before)


def test_a_copy_that_would_clip_is_scaled(speech: Tensor) -> None:
    loud = (speech[0] / speech[0].abs().max()).numpy()
    assert any(VOCODERS[name](torch.from_numpy(loud)[None], RATE, 0).abs().max() > 1 for name in VOCODERS)
    for name in VOCODERS:
        assert np.abs(vocode(loud, RATE, name, 0)).max() <= 1 + 1e-6
