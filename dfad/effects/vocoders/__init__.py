"""Copy synthesis: classical vocoders that analyse a clip and say it again, time-aligned and at the same level.

Each is a pure function `(wave, sample_rate, seed) -> wave`, found by name in `VOCODERS`. Four of them make the spoofed
half of the demo corpus, and all of them spoofed copies of real speech for training (`augment=vocoded`, `dfad vocode`).
Where noise, phase or a code book is drawn, the draw comes from `seed` alone (one number for all clips, or one per
clip), on the CPU: neither batch neighbours nor the device change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from dfad.effects.level import within_full_scale
from dfad.effects.threads import one_thread
from dfad.effects.vocoders.partials import sinusoidal
from dfad.effects.vocoders.parts import Seed
from dfad.effects.vocoders.quantised import residual_vq
from dfad.effects.vocoders.source_filter import lpc, minimum_phase, mixed_excitation
from dfad.effects.vocoders.spectral import griffin_lim, mel_excitation, phase_vocoder

Vocoder = Callable[[Tensor, int, Seed], Tensor]

VOCODERS: Mapping[str, Vocoder] = {
    "griffin-lim": griffin_lim,
    "lpc": lpc,
    "minimum-phase": minimum_phase,
    "sinusoidal": sinusoidal,
    "mel-excitation": mel_excitation,
    "mixed-excitation": mixed_excitation,
    "phase-vocoder": phase_vocoder,
    "residual-vq": residual_vq,
}


def vocode(wave: np.ndarray, sample_rate: int, vocoder: str, seed: int) -> np.ndarray:
    """Copy one clip, the same bit for bit wherever it is done: alone in its batch, in one thread, within full scale.

    Args:
        wave: the clip.
        sample_rate: Hz.
        vocoder: a name in `VOCODERS`.
        seed: of what the vocoder draws.

    Shape:
        (samples,) float32 in [-1, 1] -> (samples,) float32 in [-1, 1]
    """
    with one_thread(), torch.no_grad():
        spoofed = VOCODERS[vocoder](torch.from_numpy(wave)[None], sample_rate, seed)
        found: np.ndarray = within_full_scale(spoofed)[0].numpy()
    return found
