"""A crop as cells of time and frequency, which can be weighed, taken away and put back before the detector hears it.

The input of the network is written as a baseline that says nothing, and what the clip adds to it in each cell:

    input = baseline + put_back(cells)

For a spectrogram a cell is a band in a frame, and the baseline a map without contrast at the clip's mean level. For
cepstra a cell is such a band too, as their cosine transform has an inverse. For a network that hears the waveform, a
cell is a bin of a short-time Fourier transform, and the baseline white noise of the mean level, in decibels, that the
clip has: silence would not do, as many detectors scale what they hear to one level and never meet it.
"""

from __future__ import annotations

import torch
import torchaudio.functional as functional
from torch import Tensor

from dfad.explain.axes import Floats, band_edges, bin_edges, frame_edges, hop_of
from dfad.frontends import FrontendKnobs, LFCCKnobs, MFCCKnobs
from dfad.networks.modes import evaluating
from dfad.scorer import Scorer

_WINDOW_S, _HOP_S = 0.032, 0.008  # of a waveform's cells
_BATCH, _BATCH_SAMPLES = 16, 2**18  # inputs that have their gradients at a time, and samples in them
_FLOOR = 1e-8  # power of a cell below the loudest, under which it counts as silence


class Cells:
    """A crop as cells, and what the detector says of any choice of them.

    Args:
        scorer: the detector; modes, gradients and weights of its network stay as they are.
        wave: as the detector hears it.

    Attributes:
        values: the cells; `parts` is 1, or 2 for the real and the imaginary part of a bin.
        hertz: ends of the bands.
        seconds: ends of the frames, from the crop's start.
        spectral: whether features and cells have the same axes.
        batch: how many choices are heard at a time.

    Shape:
        wave: (crop samples,) float32; values: (bands, frames, parts) float32
    """

    def __init__(self, scorer: Scorer, wave: Tensor) -> None:
        self.network, self.knobs = scorer.network, scorer.knobs.frontend
        self.batch = max(1, min(_BATCH, _BATCH_SAMPLES // len(wave)))
        with torch.inference_mode(False), torch.no_grad():
            self.features = scorer.frontend(wave[None].to(scorer.device))[0]
            if not self.knobs.spectral:
                self._way: _Same | _Cosines | _Bins = _Bins(self.features, self.knobs)
            elif isinstance(self.knobs, LFCCKnobs | MFCCKnobs):
                self._way = _Cosines(self.features, self.knobs, wave.to(scorer.device))
            else:
                self._way = _Same(self.features)
            self.values = self._way.values
        hop = self._way.hop if isinstance(self._way, _Bins) else hop_of(self.knobs)
        self.seconds = frame_edges(self.values.shape[1], hop, self.knobs)
        self.hertz: Floats = (
            bin_edges(self.knobs.sample_rate, self._way.size)
            if isinstance(self._way, _Bins)
            else band_edges(self.knobs)
        )

    @property
    def spectral(self) -> bool:
        """Whether features have the same axes as cells."""
        return isinstance(self._way, _Same)

    def spoof(self, cells: Tensor) -> Tensor:
        """How much the detector takes each choice of cells for spoof: its raw score, negative.

        Shape:
            (batch, bands, frames, parts) -> (batch,) float32; differentiable
        """
        return self.heard(self._way.put_back(cells))

    def heard(self, features: Tensor) -> Tensor:
        """The same of features. Shape: (batch, …) -> (batch,)."""
        with evaluating(self.network), torch.autocast(features.device.type, enabled=False):
            return -self.network(features).float()

    def told(self, cells: Tensor) -> Tensor:
        """The same of any number of choices, without gradients. Shape: (any, bands, frames, parts) -> (any,)."""
        with torch.no_grad():
            return torch.cat([self.spoof(part) for part in torch.split(cells, self.batch)])


class _Same:
    """Cells of a spectrogram: bands in frames."""

    def __init__(self, features: Tensor) -> None:
        self.baseline = features.mean()
        self.values = (features - self.baseline)[0, ..., None]

    def put_back(self, cells: Tensor) -> Tensor:
        return (self.baseline + cells[..., 0])[:, None]


class _Cosines:
    """Cells of cepstra: bands in frames, as far as the coefficients tell them apart."""

    def __init__(self, features: Tensor, knobs: LFCCKnobs | MFCCKnobs, wave: Tensor) -> None:
        bands = knobs.n_filters if isinstance(knobs, LFCCKnobs) else knobs.n_mels
        self.cosines = functional.create_dct(knobs.n_coefficients, bands, "ortho").to(features)  # (bands, coefficients)
        bare = knobs.model_copy(update={"normalise": "none"}).build().to(features.device)(wave[None])
        over = {"clip": (-2, -1), "band": (-1,)}.get(knobs.normalise)
        self.scale = bare.std(over, correction=0, keepdim=True)[0, 0] + 1e-5 if over else features.new_ones(1, 1)
        self.baseline = features[0].mean(-1, keepdim=True)
        self.values = (self.cosines @ ((features[0] - self.baseline) * self.scale))[..., None]

    def put_back(self, cells: Tensor) -> Tensor:
        return (self.baseline + self.cosines.mT @ cells[..., 0] / self.scale)[:, None]


class _Bins:
    """Cells of a waveform: bins of its short-time Fourier transform."""

    def __init__(self, wave: Tensor, knobs: FrontendKnobs) -> None:
        self.samples, self.hop = len(wave), max(1, round(_HOP_S * knobs.sample_rate))
        self.size = max(16, 2 * round(_WINDOW_S * knobs.sample_rate / 2))
        self.window = torch.hann_window(self.size, device=wave.device)
        noise = torch.randn(len(wave), generator=torch.Generator().manual_seed(0)).to(wave)
        power = [torch.view_as_complex(self._take(one)).abs().square() for one in (wave, noise)]
        levels = [one.clamp_min(_FLOOR * float(one.max()) + 1e-30).log().mean() for one in power]
        self.baseline = noise * ((levels[0] - levels[1]) / 2).exp()
        self.values = self._take(wave - self.baseline)

    def _take(self, wave: Tensor) -> Tensor:
        """Take a waveform apart. Shape: (samples,) -> (bins, frames, 2)."""
        found = torch.stft(wave, self.size, self.hop, window=self.window, pad_mode="constant", return_complex=True)
        return torch.view_as_real(found)

    def put_back(self, cells: Tensor) -> Tensor:
        found = torch.view_as_complex(cells.contiguous())
        return self.baseline + torch.istft(found, self.size, self.hop, window=self.window, length=self.samples)
