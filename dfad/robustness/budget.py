"""Budgets: how far an adversary may change a clip, kept in the 16-bit file that comes out.

A perturbation counts only if it survives being stored. Clean clips and attacked ones are therefore both put on the
grid of 16-bit samples, and it is their difference on that grid which lies within the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dfad.draws import Draws

SCALE = 32768  # steps of a 16-bit sample in full scale
_LOWEST, _HIGHEST = -1.0, (SCALE - 1) / SCALE


def on_grid(wave: Tensor) -> Tensor:
    """Round to what a 16-bit file holds, exactly.

    Shape:
        any float32 -> same float32, multiples of 2⁻¹⁵ in [-1, 1 − 2⁻¹⁵]
    """
    return ((wave * SCALE).round() / SCALE).clamp(_LOWEST, _HIGHEST)


def int16(wave: Tensor) -> Tensor:
    """The samples of a 16-bit file, to be written as they are: `soundfile` itself scales floats by 32767.

    Shape:
        any float32 -> same int16
    """
    return (on_grid(wave) * SCALE).to(torch.int16)


@dataclass(frozen=True)
class Budget:
    """A ball around each clip of a batch, in the units of a waveform with full scale 1.

    Attributes:
        norm: `linf`, the largest change of a sample; or `l2`, the root of the sum of all squared changes.
        radius: of each clip. Shape: (batch,) float64.
    """

    norm: Literal["linf", "l2"]
    radius: Tensor

    def __getitem__(self, rows: Tensor) -> Budget:
        """The budget of some of the clips."""
        return Budget(self.norm, self.radius[rows])

    def size(self, change: Tensor) -> Tensor:
        """How much of it a change takes. Shape: (batch, samples) -> (batch,) float64."""
        return change.abs().amax(-1).double() if self.norm == "linf" else change.double().square().sum(-1).sqrt()

    def holds(self, clean: Tensor, wave: Tensor) -> Tensor:
        """Whether clips lie within. Shape: (batch, samples), (batch, samples) -> (batch,) bool."""
        return self.size(wave - clean) <= self.radius

    def project(self, change: Tensor) -> Tensor:
        """The nearest change within. Shape: (batch, samples) -> same."""
        radius = self.radius[:, None].to(change)
        if self.norm == "linf":
            return change.clamp(-radius, radius)
        return change * (radius / _length(change).clamp_min(1e-30)).clamp_max(1.0)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The change on the border along which a score rises most. Shape: (batch, samples) -> same; 0 where flat."""
        radius = self.radius[:, None].to(gradient)
        if self.norm == "linf":
            return radius * gradient.sign()
        gradient = gradient / gradient.abs().amax(-1, keepdim=True).clamp_min(1e-30)  # squares of less would vanish
        return gradient * (radius / _length(gradient).clamp_min(1e-30))

    def anywhere(self, draws: Draws, samples: int) -> Tensor:
        """A random change within.

        Uniform over the cube of `linf`; of `l2`, a direction and a length up to the radius, both uniform.

        Shape:
            -> (batch, samples) float32
        """
        radius = self.radius[:, None].float()
        if self.norm == "linf":
            return radius * draws.uniform("change", samples, low=-1.0)
        normal = draws.normal("change", samples)
        return normal * (radius * draws.uniform("length", 1) / _length(normal))

    def settle(self, clean: Tensor, change: Tensor) -> Tensor:
        """Apply a change as a 16-bit file would hold it, within the budget to the last bit.

        Args:
            clean: on the grid.
            change: any; what is too much of it is taken back.

        Shape:
            (batch, samples), (batch, samples) -> (batch, samples) float32 on the grid
        """
        if self.norm == "linf":
            most = (self.radius * SCALE).floor()[:, None].to(change)
            steps = (change * SCALE).round().clamp(-most, most)
        else:
            steps = self._short(change)
        return (clean + steps / SCALE).clamp(_LOWEST, _HIGHEST)  # towards `clean`, which lies between

    def _short(self, change: Tensor) -> Tensor:
        """Whole steps of 2⁻¹⁵ whose length keeps within the radius: rounding adds some, so shrink until it does not."""
        exact = self.project(change) * SCALE
        most = self.radius * SCALE
        for _ in range(8):
            steps = exact.round()
            length = steps.double().square().sum(-1).sqrt()
            over = length > most
            if not over.any():
                return steps
            shrink = torch.where(over, 0.9995 * most / length.clamp_min(1e-30), 1.0)
            exact = exact * shrink[:, None].to(exact)
        return torch.where(over[:, None], exact.trunc(), steps)  # never longer than `exact`, which is within


def linf(clean: Tensor, epsilon: float) -> Budget:
    """No sample moves by more than `epsilon`, of full scale 1."""
    return Budget("linf", _radius(clean, epsilon))


def l2(clean: Tensor, epsilon: float) -> Budget:
    """The change is no longer than `epsilon`, as a vector of samples."""
    return Budget("l2", _radius(clean, epsilon))


def snr(clean: Tensor, snr_db: float) -> Budget:
    """The change has at least `snr_db` less power than the clip; a silent clip stays as it is."""
    return Budget("l2", clean.double().square().sum(-1).sqrt() * 10.0 ** (-snr_db / 20.0))


BUDGETS: Mapping[str, Callable[[Tensor, float], Budget]] = {"linf": linf, "l2": l2, "snr": snr}


def snr_db(clean: Tensor, wave: Tensor) -> Tensor:
    """Power of clips over that of what was done to them, dB; infinite where nothing was.

    Shape:
        (batch, samples), (batch, samples) -> (batch,) float64
    """
    power = clean.double().square().sum(-1)
    return torch.where(
        (wave == clean).all(-1), torch.inf, 10.0 * (power / (wave - clean).double().square().sum(-1)).log10()
    )


def _radius(clean: Tensor, epsilon: float) -> Tensor:
    return torch.full((len(clean),), epsilon, dtype=torch.float64, device=clean.device)


def _length(change: Tensor) -> Tensor:
    return torch.linalg.vector_norm(change, dim=-1, keepdim=True)
