"""Vocoders that keep magnitudes of a spectrogram and make its phase anew."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.effects.analysis import even, mel_matrices
from dfad.effects.vocoders.parts import EDGE_S, Seed, noise_like


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
    phase = analyse(noise_like(seed, padded)).sgn()  # of white noise: uniform
    for _ in range(iterations):
        phase = analyse(synthesise(magnitude * phase)).sgn()
    return synthesise(magnitude * phase)[..., edge:-edge]
