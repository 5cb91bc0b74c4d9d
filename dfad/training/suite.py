"""The suite: the same clips scored by the same detector under every condition, by all ranks together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dfad.clips import Label, Manifest
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.given import Given, Voices, keys_of
from dfad.robustness.options import RobustnessKnobs
from dfad.robustness.perturbations import LAUNDERING, Perturbation
from dfad.robustness.tables import SNR
from dfad.scores import ScoreTable
from dfad.training.datamodule import Batch, cores
from dfad.training.ranks import gathered
from dfad.training.scoring import Scoring, Watch

VOICES = 64  # clips of which each that is scored gets some as babble
Noted = Mapping[str, Tensor]  # what is told of every clip of a batch: (batch,) each
Perturb = Callable[[Batch], tuple[Tensor, Noted]]  # gives the waveforms (batch, samples) that are heard


def chosen_rows(manifest: Manifest, most: int | None) -> np.ndarray:
    """Rows of the clips that a suite scores: all, or so many with the lowest hashes of their ids.

    Shape:
        (clips,) int64, ascending
    """
    rows = np.arange(len(manifest))
    return rows if most is None else lowest(manifest, rows, most)


def lowest(manifest: Manifest, rows: np.ndarray, most: int) -> np.ndarray:
    """Those rows whose clips' ids have the lowest hashes: a smaller corpus loses only those that it lacks."""
    return np.sort(rows[np.argsort(keys_of(manifest.ids[rows]), kind="stable")[:most]])


def voice_rows(manifest: Manifest, rows: np.ndarray) -> np.ndarray:
    """Rows of the bona fide clips that babble is made of."""
    return lowest(manifest, rows[manifest.labels[rows] == Label.BONA_FIDE], VOICES)


def lacking(conditions: Sequence[Condition], manifest: Manifest, rows: np.ndarray) -> dict[str, str]:
    """Perturbations that cannot be done here, each with the reason."""
    voices = len(voice_rows(manifest, rows))
    found = {}
    for name in dict.fromkeys(condition.name for condition in conditions if condition != CLEAN):
        perturbation = LAUNDERING[name]
        reason = perturbation.lacking()
        if not reason and perturbation.talkers >= voices and perturbation.talkers:
            reason = f"it takes the voices of {perturbation.talkers} other bona fide clips, and there are {voices}"
        if reason:
            found[name] = reason
    return found


def scored(
    scoring: Scoring, knobs: RobustnessKnobs, conditions: Sequence[Condition], watch: Watch
) -> Iterator[tuple[Condition, ScoreTable]]:
    """Score the clips under each condition, on this rank together with the others.

    Args:
        scoring: of a detector and clips, on their rank.
        knobs: of the suite.
        conditions: that can be done here.
        watch: shows how far it is.

    Yields:
        Each condition and its whole table, with the columns that the perturbation added.
    """
    scoring.hold()
    perturbing = _Laundering(scoring, knobs.seed, conditions)
    progress = watch(f"scoring under {len(conditions)} conditions", "clips")
    clips = len(scoring.rows)
    for number, condition in enumerate(conditions):
        began = monotonic()

        def told(done: int, before: int = number * clips) -> None:
            progress(before + done, len(conditions) * clips)

        heard = _Heard(perturbing.under(condition), clips, scoring.rank.world, told)
        scoring.module.perturb = heard
        try:
            table = scoring()
        finally:
            scoring.module.perturb = None
        yield condition, heard.joined_to(table, scoring.manifest)
        told(clips)
        logging.getLogger("dfad").info("%s: %.1f s", condition, monotonic() - began)


class _Laundering:
    """Launders batches under one condition after another."""

    def __init__(self, scoring: Scoring, seed: int, conditions: Sequence[Condition]) -> None:
        self.seed, self.world = seed, scoring.rank.world
        self.sample_rate = scoring.module.dataset.sample_rate
        self.keys = torch.from_numpy(keys_of(scoring.manifest.ids))
        talkers = any(condition != CLEAN and LAUNDERING[condition.name].talkers for condition in conditions)
        self.voices = _voices(scoring, self.keys) if talkers else None

    def under(self, condition: Condition) -> Perturb:
        """What happens to a batch under a condition."""
        if condition == CLEAN:
            return lambda batch: (batch.wave, {})
        perturbation = LAUNDERING[condition.name]

        def launder(batch: Batch) -> tuple[Tensor, Noted]:
            device = batch.wave.device
            if perturbation.clipwise:
                return self._clipwise(perturbation, condition.strength, batch).to(device), {}
            voices = self.voices.to(device) if self.voices else None
            given = Given(self.seed, self.keys[batch.row].to(device), voices)
            return perturbation(batch.wave, self.sample_rate, condition.strength, given), {}

        return launder

    def _clipwise(self, perturbation: Perturbation, strength: float | None, batch: Batch) -> Tensor:
        wave, keys = batch.wave.cpu(), self.keys[batch.row]

        def one(at: int) -> Tensor:
            given = Given(self.seed, keys[at : at + 1], self.voices)
            return perturbation(wave[at : at + 1], self.sample_rate, strength, given)

        with ThreadPoolExecutor(max(1, cores() // self.world)) as pool:
            return torch.cat(list(pool.map(one, range(len(wave)))))


class _Heard:
    """Perturbs batches as they come, and keeps what is told of their clips."""

    def __init__(self, perturb: Perturb, clips: int, world: int, told: Callable[[int], None]) -> None:
        self.perturb, self.clips, self.world, self.told = perturb, clips, world, told
        self.done = 0
        self.rows: list[np.ndarray] = []
        self.columns: list[dict[str, np.ndarray]] = []

    def __call__(self, batch: Batch) -> Tensor:
        wave, noted = self.perturb(batch)
        noted = {SNR: snr_db(batch.wave, wave), **noted}
        if not batch.draw[0]:  # else another rank has it too
            self.rows.append(batch.row.numpy())
            self.columns.append({name: values.cpu().numpy() for name, values in noted.items()})
        self.done += len(batch) * self.world
        self.told(min(self.done, self.clips))
        return wave

    def joined_to(self, table: ScoreTable, manifest: Manifest) -> ScoreTable:
        """The table with what all ranks were told of its clips."""
        mine = [pd.DataFrame(columns, index=rows) for rows, columns in zip(self.rows, self.columns, strict=True)]
        everyone: list[pd.DataFrame] = gathered(mine, self.world)
        found = pd.concat(everyone)
        found.index = pd.Index(manifest.ids[found.index])
        return ScoreTable(table.frame.join(found, on="id", rsuffix=" of the suite"))


def snr_db(clean: Tensor, wave: Tensor) -> Tensor:
    """Power of clips over that of what was done to them.

    Shape:
        clean, wave: (batch, samples) -> (batch,) dB; infinite where nothing was done
    """
    signal, change = clean.square().mean(-1), (wave - clean).square().mean(-1)
    return torch.where(change == 0, torch.inf, 10.0 * (signal / change).log10())


def _voices(scoring: Scoring, keys: Tensor) -> Voices:
    """What babble is made of, the same on every rank."""
    rows = voice_rows(scoring.manifest, scoring.rows)
    dataset = scoring.module.dataset
    waves = [dataset.held[row] if row in dataset.held else dataset.crop(row) for row in rows.tolist()]
    return Voices(torch.from_numpy(np.stack(waves)), keys[torch.from_numpy(rows)])
