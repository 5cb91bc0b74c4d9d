"""What happens to the batches of one condition after another, on the device, before the frontend hears them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf

import numpy as np
import torch
from torch import Tensor

from dfad.clips import Manifest
from dfad.cores import cores
from dfad.labels import Label
from dfad.robustness.adversaries import ADVERSARIES, Adversary, Attack, Knowledge
from dfad.robustness.budget import snr_db
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.given import Given, Voices, keys_of
from dfad.robustness.options import RobustnessKnobs
from dfad.robustness.perturbations import LAUNDERING, Perturbation
from dfad.robustness.tables import SNR
from dfad.robustness.targets import Targets
from dfad.robustness.victim import Victim
from dfad.scorer import load_scorer
from dfad.training.dataset import Batch, ClipDataset
from dfad.training.scoring import Scoring

VOICES = 64  # clips of which each that is scored gets some as babble
KNOWN = 64  # clips of bona fide speech, and of each spoofing system, that an adversary has learnt from

Noted = Mapping[str, Tensor]  # what is told of every clip of a batch: (batch,) each
Perturb = Callable[[Batch], tuple[Tensor, Noted]]  # gives the waveforms (batch, samples) that are heard


def lowest(manifest: Manifest, rows: np.ndarray, most: int) -> np.ndarray:
    """Those rows whose clips' ids have the lowest hashes: a smaller corpus lacks only those that it lacks anyway.

    Shape:
        rows: (clips,) -> (at most `most`,) int64, ascending
    """
    return np.sort(rows[np.argsort(keys_of(manifest.ids[rows]), kind="stable")[:most]])


def known_rows(manifest: Manifest, rows: np.ndarray) -> np.ndarray:
    """Rows of the clips that an adversary has learnt from: some of each class, and of each system."""
    clips = manifest.frame.iloc[rows]
    groups = clips.groupby(["label", clips["attack"].astype(str)], sort=False).indices.values()
    return np.sort(np.concatenate([lowest(manifest, rows[at], KNOWN) for at in groups]))


def voice_rows(manifest: Manifest, rows: np.ndarray) -> np.ndarray:
    """Rows of the bona fide clips that babble is made of."""
    return lowest(manifest, rows[manifest.labels[rows] == Label.BONA_FIDE], VOICES)


def lacking(
    conditions: Sequence[Condition], knobs: RobustnessKnobs, manifest: Manifest, rows: np.ndarray
) -> dict[str, str]:
    """Perturbations that cannot be done here, each with the reason."""
    table, voices = knobs.table(), len(voice_rows(manifest, rows))

    def reason(perturbation: Perturbation | Adversary) -> str:
        if isinstance(perturbation, Adversary):
            lost = perturbation.needs == "surrogate" and knobs.surrogate is None
            return "it takes another detector, robustness.surrogate=RUN" if lost else ""
        if 0 < perturbation.talkers >= voices:
            return f"it takes the voices of {perturbation.talkers} other bona fide clips, and there are {voices} in all"
        return perturbation.lacking()

    names = dict.fromkeys(condition.name for condition in conditions if condition != CLEAN)
    return {name: why for name in names if (why := reason(table[name]))}


class Laundering:
    """Launders the clips of batches.

    Args:
        scoring: whose clips these are.
        seed: of what is drawn for them.
        conditions: that will come.
    """

    def __init__(self, scoring: Scoring, seed: int, conditions: Sequence[Condition]) -> None:
        self.seed, self.world = seed, scoring.rank.world
        self.sample_rate = scoring.module.dataset.sample_rate
        self.keys = torch.from_numpy(keys_of(scoring.manifest.ids))
        perturbations = [LAUNDERING[one.name] for one in conditions if one.name in LAUNDERING]
        self.voices: Voices | None = None
        if any(perturbation.talkers for perturbation in perturbations):
            rows = voice_rows(scoring.manifest, scoring.rows)
            self.voices = Voices(crops(scoring.module.dataset, rows), self.keys[torch.from_numpy(rows)])

    def under(self, condition: Condition) -> Perturb:
        """What happens to a batch under a condition."""
        if condition == CLEAN:
            return lambda batch: (batch.wave, {SNR: torch.full((len(batch),), inf, dtype=torch.float64)})
        perturbation, strength = LAUNDERING[condition.name], condition.strength

        def launder(batch: Batch) -> tuple[Tensor, Noted]:
            wave, keys = batch.wave, self.keys[batch.row]
            if perturbation.clipwise:
                done, scale = self._clipwise(perturbation, strength, wave.cpu(), keys)
            else:
                given = Given(self.seed, keys.to(wave.device), self._voices(perturbation, wave.device))
                done, scale = perturbation.scaled(wave, self.sample_rate, strength, given)
            return done.to(wave.device), {SNR: snr_db(wave.cpu() * scale.cpu(), done.cpu())}

        return launder

    def _voices(self, perturbation: Perturbation, device: torch.device) -> Voices | None:
        """The voices that a perturbation takes; they come to the device once."""
        if not perturbation.talkers:
            return None
        assert self.voices
        self.voices = self.voices.to(device)
        return self.voices

    def _clipwise(
        self, perturbation: Perturbation, strength: float | None, wave: Tensor, keys: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Each clip by itself, in threads, as codecs leave Python's lock."""

        def one(at: int) -> tuple[Tensor, Tensor]:
            given = Given(self.seed, keys[at : at + 1])
            return perturbation.scaled(wave[at : at + 1], self.sample_rate, strength, given)

        with ThreadPoolExecutor(max(1, cores() // self.world)) as pool:
            done, scale = zip(*pool.map(one, range(len(wave))), strict=True)
        return torch.cat(done), torch.cat(scale)


class Attacking:
    """Attacks the clips of batches.

    Args:
        scoring: whose clips these are, and whose detector is attacked.
        knobs: of the suite.
        threshold: the deployed one.
    """

    def __init__(self, scoring: Scoring, knobs: RobustnessKnobs, threshold: float) -> None:
        self.scoring, self.knobs, self.threshold = scoring, knobs, threshold
        self.victim = Victim(scoring.module.frontend, scoring.detector.network)

    def under(self, condition: Condition) -> Perturb:
        """What happens to a batch under a condition."""
        adversary, strength = ADVERSARIES[condition.name], condition.strength
        assert strength is not None
        made: list[Attack] = []  # with the first batch, when the detector is on its device

        def attack(batch: Batch) -> tuple[Tensor, Noted]:
            if not made:
                made.append(adversary(self._knowledge(adversary, batch.wave.device), strength))
            targets = targets_of(self.scoring.manifest, batch.row.numpy(), batch.wave, self.knobs.seed, self.threshold)
            done = made[0](targets)
            return done.wave, {SNR: snr_db(targets.clean.cpu(), done.wave.cpu()), **done.noted}

        return attack

    def _knowledge(self, adversary: Adversary, device: torch.device) -> Knowledge:
        known, surrogate, manifest = None, None, self.scoring.manifest
        if adversary.needs == "clips":
            rows = known_rows(manifest, self.scoring.rows)
            waves = crops(self.scoring.module.dataset, rows).to(device)
            known = targets_of(manifest, rows, waves, self.knobs.seed, self.threshold)
        if adversary.needs == "surrogate":
            assert self.knobs.surrogate is not None
            with torch.inference_mode(False):  # its weights shall have gradients
                surrogate = Victim.of(load_scorer(self.knobs.surrogate, device=device))
        return Knowledge(self.victim, known, surrogate)


def targets_of(manifest: Manifest, rows: np.ndarray, wave: Tensor, seed: int, threshold: float) -> Targets:
    """Clips as an adversary meets them, on the device of their waveforms."""
    clips = manifest.frame.iloc[rows]
    return Targets(
        wave=wave,
        label=torch.from_numpy(manifest.labels[rows].astype(np.int64)).to(wave.device),
        keys=torch.from_numpy(keys_of(manifest.ids[rows])),
        groups=clips["attack"].astype(str).tolist(),
        seed=seed,
        threshold=threshold,
    )


def crops(dataset: ClipDataset, rows: np.ndarray) -> Tensor:
    """Waveforms of some clips, which need not be those of this rank. Shape: (clips, samples)."""
    held = dataset.held
    return torch.from_numpy(np.stack([held[row] if row in held else dataset.crop(row) for row in rows.tolist()]))
