"""Malafide: one short filter for each spoofing system (Panariello et al., "Malafide", Interspeech 2023).

It convolves whatever clip comes, so it costs an attacker nothing at run time and needs the detector no more. It is made
twice for each system, and clips of either half meet the one that was made from the other half.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dfad.robustness.budget import on_grid
from dfad.robustness.targets import Targets
from dfad.robustness.victim import Victim

PASSES, BATCH = 20, 32  # over the clips that a filter is made from
RATE = 0.02  # of Adam; the filter begins with a single 1


def malafide(victim: Victim, known: Targets, taps: int, *, passes: int = PASSES) -> Callable[[Targets], Tensor]:
    """Make the filters; bona fide clips are pushed down by one of their own.

    Args:
        victim: the detector.
        known: clips that the adversary has; those that are attacked may be among them.
        taps: length of the filters in samples.
        passes: over the clips.

    Returns:
        What applies them: targets → (batch, samples) on the 16-bit grid. Clips of a system without others in `known`
        meet the filter of all systems of the other half; without any there, they stay as they are.
    """
    filters: dict[tuple[str | None, int, int], Tensor] = {}
    for group, label in sorted({*zip(known.groups, known.label.tolist(), strict=True)}):
        for fold in (0, 1):
            rows = _others(known, label, fold, group)
            if len(rows):
                filters[group, label, fold] = _learn(victim, known.some(rows), taps, passes)
    every = dict[tuple[int, int], Tensor | None]()  # made only if it is met

    def of(group: str, label: int, fold: int) -> Tensor | None:
        if (found := filters.get((group, label, fold))) is not None:
            return found
        if (label, fold) not in every:
            rows = _others(known, label, fold)
            every[label, fold] = _learn(victim, known.some(rows), taps, passes) if len(rows) else None
        return every[label, fold]

    def apply(targets: Targets) -> Tensor:
        clean = targets.clean
        found = [of(*at) for at in zip(targets.groups, targets.label.tolist(), targets.fold.tolist(), strict=True)]
        rest = clean.new_zeros(taps).index_fill_(0, torch.tensor(taps // 2, device=clean.device), 1.0)
        kernels = torch.stack([rest if kernel is None else kernel for kernel in found])
        left = torch.tensor([kernel is None for kernel in found], device=clean.device)
        return torch.where(left[:, None], clean, on_grid(filtered(clean, kernels)))

    return apply


def filtered(wave: Tensor, kernel: Tensor) -> Tensor:
    """Convolve clips without delay, at the power that they had, or at what full scale allows of it.

    Shape:
        wave: (batch, samples); kernel: (batch or 1, taps), the one at taps // 2 without delay -> (batch, samples)
    """
    samples, taps = wave.shape[-1], kernel.shape[-1]
    length = samples + taps - 1
    whole = torch.fft.irfft(torch.fft.rfft(wave, length) * torch.fft.rfft(kernel, length), length)
    found = whole[:, taps // 2 : taps // 2 + samples]
    power, before = found.square().sum(-1, keepdim=True), wave.square().sum(-1, keepdim=True)
    found = found * ((before + 1e-12) / (power + 1e-12)).sqrt()
    return found / found.detach().abs().amax(-1, keepdim=True).clamp_min(1.0)


def _others(known: Targets, label: int, fold: int, group: str | None = None) -> Tensor:
    """Rows of the other half of a class, and of a system if one is given."""
    same = torch.tensor([group in (None, each) for each in known.groups])
    return ((known.label.cpu() == label) & (known.fold.cpu() != fold) & same).nonzero()[:, 0]


def _learn(victim: Victim, known: Targets, taps: int, passes: int) -> Tensor:
    """Climb the scores by Adam, beginning with what changes nothing. Shape: -> (taps,)."""
    with torch.inference_mode(False), torch.enable_grad():
        kernel = torch.zeros(1, taps, device=known.wave.device)
        kernel[0, taps // 2] = 1.0
        kernel.requires_grad_()
        optimizer = torch.optim.Adam([kernel], RATE)
        for _ in range(passes):
            for some in known.batches(BATCH):
                score = victim.score(filtered(some.clean.clone(), kernel))
                # resisting clips count fully, those beyond the threshold by as much less as they are beyond it
                loss = torch.nn.functional.softplus(-some.push * (score - some.threshold)).mean()
                (kernel.grad,) = torch.autograd.grad(loss, kernel)
                optimizer.step()
    return kernel.detach()[0]
