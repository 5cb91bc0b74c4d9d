"""The worst clips, to hear and see on a page."""

from __future__ import annotations

from typing import Any

from dfad.audio import load
from dfad.commands.tables import note
from dfad.deployed import Deployed
from dfad.errors import AudioError
from dfad.evaluation.worst import wrong
from dfad.labels import Label
from dfad.report.page import Sound
from dfad.report.sound import flac, spectrogram
from dfad.roots import Root
from dfad.scores import ScoreTable


def worst_sounds(
    table: ScoreTable, deployed: Deployed, root: Root, sample_rate: int, *, crop_s: float | None, most: int
) -> tuple[list[Sound], list[Sound]]:
    """The worst misses and the worst false alarms at the deployed threshold; clips that are gone are named.

    Args:
        table: scores; ids are paths below `root`.
        deployed: threshold and calibrator.
        root: folder of the clips, or those of a mix.
        sample_rate: to play them at, Hz.
        crop_s: only the first so many seconds, as the detector hears them; None: all.
        most: of each.
    """
    found: dict[Label, list[Sound]] = {label: [] for label in Label}
    for label, sounds in found.items():
        for row in wrong(table, label, threshold=deployed.decides_at).frame.head(most).to_dict("records"):
            try:
                wave = load(root / row["id"], sample_rate=sample_rate, crop_s=crop_s)
            except AudioError as error:
                note(f"not in the report: {error}")
                continue
            caption = _about(row, label, deployed)
            picture, alt = spectrogram(wave, sample_rate), f"spectrogram of a {label} clip"
            sounds.append(Sound(row["id"], caption, flac(wave, sample_rate), picture, alt))
    return found[Label.BONA_FIDE], found[Label.SPOOF]


def _about(row: dict[Any, Any], label: Label, deployed: Deployed) -> str:
    """One clip in a line."""
    score = float(row["score"])
    chance = deployed.p_spoof(score)
    known = [str(label), row["attack"], row.get("speaker") or "", f"score {score:.2f}", f"P(spoof) {chance:.3f}"]
    return " · ".join(str(word) for word in known if word)
