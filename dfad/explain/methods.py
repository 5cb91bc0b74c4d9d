"""Three ways to ask a detector what of a crop speaks for spoof; each gives maps, and notes on what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from threading import get_ident
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dfad.explain.cells import Cells
from dfad.explain.explanation import Floats, Map

EXACT = 0.01  # how far integrated gradients may be from adding up, of what they should add up to
_LEAST = 0.001  # likewise of all that is added, as that may come to nothing
_POINTS = (16, 64, 256)  # of the integral, as many as it takes
_SLICES, _BANDS = 24, 16  # that are taken away, one at a time

Found = tuple[tuple[Map, ...], tuple[str, ...]]


def gradcam(cells: Cells) -> Found:
    """Grad-CAM (Selvaraju et al., ICCV 2017) on the last map of the network that has time and frequency.

    Channels of the map are weighed by the mean gradient of spoof in them and added up. Nothing is cut off at zero:
    what speaks for bona fide is negative. The map is a few cells wide, and each has seen more than it covers.
    A network without such a map has none; where its bands are no frequencies, only time is told.

    Returns:
        A map as coarse as the network's own.
    """
    found = _last_map(cells)
    if found is None:
        return (), ("no Grad-CAM: this network makes no map of frequency over time; the other methods do without",)
    weight = found[1].mean((1, 2), keepdim=True)
    values = _array((weight * found[0]).sum(0))
    notes: tuple[str, ...] = ()
    if not cells.spectral:
        values = values.mean(0, keepdims=True)
        notes = ("Grad-CAM is over time alone: the rows of this network's last map are no frequencies in hertz",)
    hertz, seconds = (_spread(e, n) for e, n in zip((cells.hertz, cells.seconds), values.shape, strict=True))
    return (Map("gradcam", values, hertz, seconds, "of its own scale"),), notes


def gradients(cells: Cells) -> Found:
    """Integrated gradients (Sundararajan, Taly and Yan, ICML 2017) on the cells, from a baseline that says nothing.

    What a cell has more than the baseline, times the mean slope of the score on the straight way from there. The sum
    over all cells is what the clip's score is more than the baseline's.

    Returns:
        A map of all cells, in units of the raw score.
    """
    whole = cells.values[None]
    wanted = float(np.subtract(*cells.told(torch.cat([whole, torch.zeros_like(whole)])).tolist()))
    for points in _POINTS:
        at, weights = (torch.from_numpy(one).to(whole) / 2 for one in np.polynomial.legendre.leggauss(points))
        slope = torch.zeros_like(cells.values)
        for steps, parts in zip(*(torch.split(one, cells.batch) for one in (at + 0.5, weights)), strict=True):
            slope += torch.einsum("n,nbfp->bfp", parts, _slope(cells, whole * steps[:, None, None, None]))
        values = _array((slope * cells.values).sum(-1))
        wrong = abs(values.sum() - wanted)
        if exact := wrong <= max(EXACT * abs(wanted), _LEAST * np.abs(values).sum()):
            break
    note = f"integrated gradients add up to {values.sum():.3g} instead of {wanted:.3g}: read them with care"
    found = Map("gradients", values, cells.hertz, cells.seconds, "raw score", adds_up=True)
    return (found,), () if exact else (note,)


def occlusion(cells: Cells) -> Found:
    """What the score loses of spoof if a part of the crop is replaced by the baseline (Zeiler and Fergus, ECCV 2014).

    A slice of time over all frequencies, or a band over all time. It is done on the cells and not on the sound: a hole
    in a sound changes its level and leaves edges, and the detector would answer to those.

    Returns:
        A map of one row over time, and one of one column over frequency, in units of the raw score.
    """
    bands, frames, _ = cells.values.shape
    slices, rows = (
        np.linspace(0, n, min(n, most) + 1).round().astype(int) for n, most in ((frames, _SLICES), (bands, _BANDS))
    )
    masks = torch.ones(len(slices) + len(rows) - 1, bands, frames, 1, device=cells.values.device)  # the first: whole
    for mask, (start, end) in zip(masks[1 : len(slices)], pairwise(slices), strict=True):
        mask[:, start:end] = 0
    for mask, (start, end) in zip(masks[len(slices) :], pairwise(rows), strict=True):
        mask[start:end] = 0
    told = torch.cat([cells.told(part * cells.values) for part in torch.split(masks, cells.batch)])
    lost = _array(told[0] - told[1:])
    over_time, over_bands = np.split(lost, [len(slices) - 1])
    hertz, seconds = cells.hertz[[0, -1]], cells.seconds[[0, -1]]
    return (
        Map("occlusion-time", over_time[None], hertz, cells.seconds[slices], "raw score"),
        Map("occlusion-frequency", over_bands[:, None], cells.hertz[rows], seconds, "raw score"),
    ), ()


METHODS: Mapping[str, Callable[[Cells], Found]] = {
    "gradcam": gradcam,
    "gradients": gradients,
    "occlusion": occlusion,
}


def _slope(cells: Cells, at: Tensor) -> Tensor:
    """How the score of spoof grows with each cell; what is not finite becomes 0. Shape: (batch, …) -> the same."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = at.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(cells.spoof(leaf).sum(), leaf)  # of nothing else: weights gather none
    return slope.nan_to_num(0.0, 0.0, 0.0)


def _last_map(cells: Cells) -> tuple[Tensor, Tensor] | None:
    """The last map that any layer makes, and the gradient of spoof in it. Shape: (channels, rows, columns) each."""
    made: list[Tensor] = []
    thread = get_ident()  # a server scores other clips at the same time

    def keep(module: nn.Module, given: Any, output: Any) -> None:
        mine = get_ident() == thread and isinstance(output, Tensor) and output.requires_grad
        if mine and output.ndim == 4 and min(output.shape[2:]) > 1:
            made.append(output)

    hooks = [module.register_forward_hook(keep) for module in cells.network.modules()]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            spoof = cells.heard(cells.features[None].detach().clone().requires_grad_())
            if not made:
                return None
            (gradient,) = torch.autograd.grad(spoof.sum(), made[-1])
    finally:
        for hook in hooks:
            hook.remove()
    return made[-1][0].detach(), gradient[0].nan_to_num(0.0, 0.0, 0.0)


def _spread(edges: Floats, cells: int) -> Floats:
    """The ends of fewer cells that cover the same."""
    return np.interp(np.linspace(0, len(edges) - 1, cells + 1), np.arange(len(edges)), edges)


def _array(values: Tensor) -> Floats:
    return values.double().cpu().numpy()
