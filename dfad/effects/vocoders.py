"""Copy synthesis: classical vocoders that analyse a clip and say it again, time-aligned and at the same level.

Each is a pure function `(wave, sample_rate, seed) -> wave`, found by name in `VOCODERS`. They make the spoofed half of
the demo corpus, and spoofed copies of real speech for augmentation. Where noise or phase is drawn, the draw comes from
`seed` alone (one number for all clips, or one per clip), on the CPU: neither batch neighbours nor the device change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

Seed = int | Sequence[int]
Vocoder = Callable[[Tensor, int, Seed], Tensor]

WINDOW_S, HOP_S, PITCH_WINDOW_S, EDGE_S = 0.032, 0.008, 0.05, 0.1
PITCH_HZ = (60.0, 400.0)


def griffin_lim(wave: Tensor, sample_rate: int, seed: Seed = 0, *, mels: int = 80, iterations: int = 8) -> Tensor:
    """Copy through a mel spectrogram whose phase is guessed (Griffin and Lim, 1984).

    The mel bands are spread back to frequency bins with the pseudo-inverse, the phase starts at random, and the few
    iterations leave it inconsistent.

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the first phase; one for all clips or one per clip.
        mels: mel bands; fewer blur the harmonics more.
        iterations: rounds of phase estimation.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    hop = _even(0.012 * sample_rate)
    size = 4 * hop
    window = torch.hann_window(size, device=wave.device)
    to_mel, from_mel = (matrix.to(wave.device) for matrix in _mel_matrices(sample_rate, size // 2 + 1, mels))

    def analyse(signal: Tensor) -> Tensor:
        return torch.stft(signal, size, hop, window=window, pad_mode="constant", return_complex=True)

    def synthesise(spectrum: Tensor) -> Tensor:
        return torch.istft(spectrum, size, hop, window=window, length=padded.shape[-1])

    edge = _even(EDGE_S * sample_rate)
    padded = F.pad(wave, (edge, edge))
    magnitude = (from_mel @ (to_mel @ analyse(padded).abs())).clamp_min(0.0)  # (batch, bins, frames)
    phase = analyse(_noise(seed, padded)).sgn()  # of white noise: uniform
    for _ in range(iterations):
        phase = analyse(synthesise(magnitude * phase)).sgn()
    return synthesise(magnitude * phase)[..., edge:-edge]


def lpc(wave: Tensor, sample_rate: int, seed: Seed = 0, *, order: int | None = None) -> Tensor:
    """Copy through linear prediction: an all-pole envelope driven by pulses or noise (Atal and Hanauer, 1971).

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.
        order: poles; two more than one per kHz by default.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    order = order or sample_rate // 1000 + 2
    size, hop, edge = _sizes(sample_rate)
    padded = F.pad(wave, (edge, edge))
    window = torch.hann_window(size, device=wave.device)
    frames = _frames(padded, size, hop) * window
    correlation = _autocorrelation(frames)[..., : order + 1]
    correlation[..., 0] = correlation[..., 0] * 1.00001 + 1e-9 * size  # keeps empty bands and silence solvable
    predictor, error = _levinson(correlation)
    gain = (error / window.square().sum()).sqrt()
    response = gain[..., None] / torch.fft.rfft(predictor, 2 * size)
    f0, voicing = pitch(padded, sample_rate, hop)
    voiced = (voicing > 0.5).to(wave.dtype)[..., None]  # one switch for all frequencies, as in the first vocoders
    copy = _drive(response, f0, voiced, _noise(seed, padded), hop, sample_rate)
    return _match_level(copy, padded, size, hop)[..., edge:-edge]


def minimum_phase(wave: Tensor, sample_rate: int, seed: Seed = 0, *, voiced_below: float = 4000.0) -> Tensor:
    """Copy through a smooth cepstral envelope made minimum-phase (Oppenheim and Schafer, 1989, chapter 12).

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.
        voiced_below: Hz; voiced frames have pulses below and noise above.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    size, hop, edge = _sizes(sample_rate)
    padded = F.pad(wave, (edge, edge))
    response = _smooth_response(padded, size, hop, cepstra=int(0.002 * sample_rate))
    f0, voicing = pitch(padded, sample_rate, hop)
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    voiced = voicing[..., None] * torch.sigmoid((voiced_below - hertz) / 300.0)
    copy = _drive(response, f0, voiced, _noise(seed, padded), hop, sample_rate)
    return _match_level(copy, padded, size, hop)[..., edge:-edge]


def sinusoidal(wave: Tensor, sample_rate: int, seed: Seed = 0, *, partials: int = 24) -> Tensor:
    """Copy through a few harmonics and, elsewhere, shaped noise (Serra and Smith, 1990; harmonics instead of peaks).

    Args:
        wave: clips.
        sample_rate: Hz.
        seed: of the noise; one for all clips or one per clip.
        partials: harmonics of voiced frames; above the last there is noise.

    Shape:
        wave: (batch, samples) float32 in [-1, 1]; the result likewise.
    """
    size, hop, edge = _sizes(sample_rate)
    padded = F.pad(wave, (edge, edge))
    f0, voicing = pitch(padded, sample_rate, hop)
    window = torch.hann_window(2 * size, device=wave.device)  # long enough to tell harmonics of 60 Hz apart
    spectrum = torch.fft.rfft(_frames(padded, 2 * size, hop) * window, 4 * size).abs() * (2.0 / window.sum())
    amplitudes = F.max_pool1d(spectrum, 3, stride=1, padding=1)  # forgives a wrong f0 by one bin
    phase = _phase(_per_sample(f0, hop, padded.shape[-1]), sample_rate)
    result = torch.zeros_like(padded)
    for k in range(1, partials + 1):
        hertz = k * f0
        bins = (hertz * (4 * size / sample_rate)).round().long().clamp_max(2 * size)
        heard = voicing * (hertz < 0.48 * sample_rate)
        amplitude = amplitudes.gather(-1, bins[..., None])[..., 0] * heard.sqrt()
        spread = k * k / (2 * partials)  # keeps the sum from peaking (Schroeder, 1970)
        cosine = torch.cos(2 * torch.pi * (k * phase - spread).frac()).to(wave.dtype)
        result = result + _per_sample(amplitude, hop, padded.shape[-1]) * cosine
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    harmonic = voicing[..., None] * (hertz < (partials + 0.5) * f0[..., None])
    response = _smooth_response(padded, size, hop, cepstra=int(0.002 * sample_rate)) * (1.0 - harmonic).sqrt()
    copy = result + _shape(_noise(seed, padded), response, hop)
    return _match_level(copy, padded, size, hop)[..., edge:-edge]


VOCODERS: Mapping[str, Vocoder] = {
    "griffin-lim": griffin_lim,
    "lpc": lpc,
    "minimum-phase": minimum_phase,
    "sinusoidal": sinusoidal,
}


def pitch(wave: Tensor, sample_rate: int, hop: int) -> tuple[Tensor, Tensor]:
    """Track the fundamental by autocorrelation, freed of the window's own (Boersma, 1993).

    Args:
        wave: clips.
        sample_rate: Hz.
        hop: samples from one frame to the next; frame t is centred on sample t·hop.

    Returns:
        f0 in Hz (meaningless where unvoiced) and voicing in [0, 1].

    Shape:
        wave: (batch, samples); both results: (batch, samples // hop + 1).
    """
    size = _even(PITCH_WINDOW_S * sample_rate)
    first, last = int(sample_rate / PITCH_HZ[1]), int(sample_rate / PITCH_HZ[0]) + 1
    window = torch.hann_window(size, device=wave.device)
    frames = _frames(wave, size, hop)
    frames = (frames - frames.mean(-1, keepdim=True)) * window
    hertz = torch.linspace(0, sample_rate / 2, size + 1, device=wave.device)
    band = torch.exp(-(hertz / 1000.0).square()) * (hertz > 50.0)  # formants and rumble mislead
    correlation, own = _autocorrelation(frames, band)[..., : last + 1], _autocorrelation(window)[: last + 1]
    power = correlation[..., :1]
    floor = 1e-5 * power.amax(1, keepdim=True) + 1e-9  # frames 50 dB below the clip's loudest are unvoiced
    normal = correlation / (power + floor) / (own / own[0])
    left, here, right = (normal[..., first + step : last + step] for step in (-1, 0, 1))
    cost = 0.03 * torch.log2(torch.arange(first, last, device=wave.device) / first)  # of equal periods, the shortest
    strength, best = torch.where((here >= left) & (here >= right), here - cost, -1.0).max(-1, keepdim=True)
    left, here, right = (side.gather(-1, best)[..., 0] for side in (left, here, right))
    offset = 0.5 * (left - right) / (left - 2 * here + right).clamp_max(-1e-6)  # top of the parabola
    f0 = sample_rate / (first + best[..., 0] + offset.clamp(-0.5, 0.5))
    f0 = F.pad(f0[:, None], (2, 2), mode="replicate")[:, 0].unfold(-1, 5, 1).median(-1).values
    return f0, ((strength[..., 0] - 0.3) / 0.3).clamp(0.0, 1.0)


def _even(samples: float) -> int:
    return max(2, 2 * round(samples / 2))


def _sizes(sample_rate: int) -> tuple[int, int, int]:
    """Give window, hop (a quarter of the window) and edge in samples; the edge lets border frames be whole."""
    hop = _even(HOP_S * sample_rate)
    return 4 * hop, hop, _even(EDGE_S * sample_rate)


def _noise(seed: Seed, like: Tensor) -> Tensor:
    """Draw white noise of power one: (batch, samples), equal rows if there is one seed."""
    seeds = [seed] if isinstance(seed, int) else seed
    rows = [torch.randn(like.shape[-1], generator=torch.Generator().manual_seed(one)) for one in seeds]
    return torch.stack(rows).to(like.device).expand_as(like)


@lru_cache(maxsize=4)
def _mel_matrices(sample_rate: int, bins: int, mels: int) -> tuple[Tensor, Tensor]:
    """Give (mels, bins) bands and their pseudo-inverse."""
    bands = torchaudio.functional.melscale_fbanks(bins, 0.0, sample_rate / 2, mels, sample_rate).T
    return bands, torch.linalg.pinv(bands)


def _frames(wave: Tensor, size: int, hop: int) -> Tensor:
    """Cut (batch, frames, size), frame t centred on sample t·hop."""
    return F.pad(wave, (size // 2, size // 2)).unfold(-1, size, hop)


def _autocorrelation(frames: Tensor, weights: Tensor | float = 1.0) -> Tensor:
    """Correlate each frame with itself: (…, size), lag 0 first; `weights` (size + 1) filter the power spectrum."""
    correlation: Tensor = torch.fft.irfft(_power(frames) * weights)
    return correlation[..., : frames.shape[-1]]


def _power(frames: Tensor) -> Tensor:
    """Give the power spectrum (…, size + 1) of frames (…, size)."""
    return torch.view_as_real(torch.fft.rfft(frames, 2 * frames.shape[-1])).square().sum(-1)


def _levinson(correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for prediction-error filters (…, order + 1) and their error power (…) (Levinson, 1947; Durbin, 1960)."""
    filters, error = torch.ones_like(correlation[..., :1]), correlation[..., 0]
    for k in range(1, correlation.shape[-1]):
        reflection = -(filters * correlation[..., 1 : k + 1].flip(-1)).sum(-1) / error
        reflection = reflection.clamp(-0.9999, 0.9999)  # rounding must not make a pole leave the circle
        grown = F.pad(filters, (0, 1))
        filters = grown + reflection[..., None] * grown.flip(-1)
        error = error * (1.0 - reflection.square())
    return filters, error


def _smooth_response(wave: Tensor, size: int, hop: int, cepstra: int) -> Tensor:
    """Give the minimum-phase response (batch, frames, size + 1) of each frame's smoothed spectrum, power kept."""
    window = torch.hann_window(size, device=wave.device)
    power = _power(_frames(wave, size, hop) * window) / window.square().sum()
    width = 2 * (size // 128) + 1  # bins in about 250 Hz: fills the valleys between harmonics
    power = F.avg_pool1d(power, width, stride=1, padding=width // 2, count_include_pad=False)
    cepstrum = torch.fft.irfft(0.5 * (power + 1e-9).log())[..., :cepstra]
    taper = 2.0 * torch.hann_window(2 * cepstra, device=wave.device)[cepstra:]  # doubled: folds negative quefrencies
    taper[0] = 1.0
    response: Tensor = torch.fft.rfft(cepstrum * taper, 2 * size).exp()
    gain = power.mean(-1, keepdim=True) / response.abs().square().mean(-1, keepdim=True)
    return response * gain.sqrt()


def _per_sample(values: Tensor, hop: int, samples: int) -> Tensor:
    """Interpolate (batch, frames) to (batch, samples)."""
    values = F.pad(values[:, None], (0, 1), mode="replicate")
    count = (values.shape[-1] - 1) * hop + 1
    return F.interpolate(values, count, mode="linear", align_corners=True)[:, 0, :samples]


def _phase(f0: Tensor, sample_rate: int) -> Tensor:
    """Count cycles: (batch, samples) float64, which stays exact over an hour."""
    return torch.cumsum(f0.double() / sample_rate, -1)


def _drive(response: Tensor, f0: Tensor, voiced: Tensor, noise: Tensor, hop: int, sample_rate: int) -> Tensor:
    """Send pulses and noise, each of power one, through the responses, mixed by `voiced` (batch, frames, 1 or bins)."""
    f0 = _per_sample(f0, hop, noise.shape[-1])
    pulses = _phase(f0, sample_rate).floor().diff(prepend=torch.zeros_like(f0[:, :1]).double())
    pulses = (pulses * (sample_rate / f0).sqrt()).to(noise.dtype)
    return _shape(pulses, response * voiced.sqrt(), hop) + _shape(noise, response * (1.0 - voiced).sqrt(), hop)


def _shape(signal: Tensor, response: Tensor, hop: int) -> Tensor:
    """Filter (batch, samples) by responses (batch, frames, bins) that change with time, frames overlapped and added."""
    size = response.shape[-1] - 1  # twice as many points as samples: the response's tail has room
    window = torch.hann_window(size, device=signal.device) * (2.0 * hop / size)  # sums to one
    frames = torch.fft.irfft(torch.fft.rfft(_frames(signal, size, hop) * window, 2 * size) * response)
    total = (frames.shape[1] - 1) * hop + 2 * size
    summed = F.fold(frames.transpose(1, 2), (1, total), (1, 2 * size), stride=(1, hop))[:, 0, 0]
    return summed[:, size // 2 : size // 2 + signal.shape[-1]]


def _match_level(copy: Tensor, wave: Tensor, size: int, hop: int) -> Tensor:
    """Give the copy (batch, samples) the wave's level, frame by frame: a harmonic on a sharp peak of it is too loud."""
    window = torch.hann_window(size, device=wave.device)
    wanted, found = ((_frames(x, size, hop) * window).square().mean(-1) + 1e-10 for x in (wave, copy))
    return copy * _per_sample((wanted / found).sqrt().clamp_max(4.0), hop, copy.shape[-1])
