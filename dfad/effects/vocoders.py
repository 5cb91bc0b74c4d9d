"""Copy synthesis: classical vocoders that analyse a clip and say it again, time-aligned and at the same level.

Each is a pure function `(wave, sample_rate, seed) -> wave`, found by name in `VOCODERS`. They make the spoofed half of
the demo corpus, and spoofed copies of real speech for augmentation. Where noise or phase is drawn, the draw comes from
`seed` alone (one number for all clips, or one per clip), on the CPU: neither batch neighbours nor the device change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import autocorrelation, even, framed, levinson, mel_matrices, pitch, smooth_response

Seed = int | Sequence[int]
Vocoder = Callable[[Tensor, int, Seed], Tensor]

HOP_S, EDGE_S = 0.008, 0.1


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
    hop = even(0.012 * sample_rate)
    size = 4 * hop
    window = torch.hann_window(size, device=wave.device)
    to_mel, from_mel = (matrix.to(wave.device) for matrix in mel_matrices(sample_rate, size // 2 + 1, mels))

    def analyse(signal: Tensor) -> Tensor:
        return torch.stft(signal, size, hop, window=window, pad_mode="constant", return_complex=True)

    def synthesise(spectrum: Tensor) -> Tensor:
        return torch.istft(spectrum, size, hop, window=window, length=padded.shape[-1])

    edge = even(EDGE_S * sample_rate)
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
    frames = framed(padded, size, hop) * window
    correlation = autocorrelation(frames)[..., : order + 1]
    correlation[..., 0] = correlation[..., 0] * 1.00001 + 1e-9 * size  # keeps empty bands and silence solvable
    predictor, error = levinson(correlation)
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
    response = smooth_response(padded, size, hop, cepstra=int(0.002 * sample_rate))
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
    spectrum = torch.fft.rfft(framed(padded, 2 * size, hop) * window, 4 * size).abs() * (2.0 / window.sum())
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
    response = smooth_response(padded, size, hop, cepstra=int(0.002 * sample_rate)) * (1.0 - harmonic).sqrt()
    copy = result + _shape(_noise(seed, padded), response, hop)
    return _match_level(copy, padded, size, hop)[..., edge:-edge]


VOCODERS: Mapping[str, Vocoder] = {
    "griffin-lim": griffin_lim,
    "lpc": lpc,
    "minimum-phase": minimum_phase,
    "sinusoidal": sinusoidal,
}


def _sizes(sample_rate: int) -> tuple[int, int, int]:
    """Give window, hop (a quarter of the window) and edge in samples; the edge lets border frames be whole."""
    hop = even(HOP_S * sample_rate)
    return 4 * hop, hop, even(EDGE_S * sample_rate)


def _noise(seed: Seed, like: Tensor) -> Tensor:
    """Draw white noise of power one: (batch, samples), equal rows if there is one seed."""
    seeds = [seed] if isinstance(seed, int) else seed
    rows = [torch.randn(like.shape[-1], generator=torch.Generator().manual_seed(one)) for one in seeds]
    return torch.stack(rows).to(like.device).expand_as(like)


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
    pulses = ((pulses - f0 / sample_rate) * (sample_rate / f0).sqrt()).to(noise.dtype)  # of zero mean: speech has no DC
    return _shape(pulses, response * voiced.sqrt(), hop) + _shape(noise, response * (1.0 - voiced).sqrt(), hop)


def _shape(signal: Tensor, response: Tensor, hop: int) -> Tensor:
    """Filter (batch, samples) by responses (batch, frames, bins) that change with time, frames overlapped and added."""
    size = response.shape[-1] - 1  # twice as many points as samples: the response's tail has room
    window = torch.hann_window(size, device=signal.device) * (2.0 * hop / size)  # sums to one
    frames = torch.fft.irfft(torch.fft.rfft(framed(signal, size, hop) * window, 2 * size) * response)
    total = (frames.shape[1] - 1) * hop + 2 * size
    summed = F.fold(frames.transpose(1, 2), (1, total), (1, 2 * size), stride=(1, hop))[:, 0, 0]
    return summed[:, size // 2 : size // 2 + signal.shape[-1]]


def _match_level(copy: Tensor, wave: Tensor, size: int, hop: int) -> Tensor:
    """Give the copy (batch, samples) the wave's level, frame by frame: a harmonic on a sharp peak of it is too loud."""
    window = torch.hann_window(size, device=wave.device)
    wanted, found = ((framed(x, size, hop) * window).square().mean(-1) + 1e-10 for x in (wave, copy))
    return copy * _per_sample((wanted / found).sqrt().clamp_max(4.0), hop, copy.shape[-1])
