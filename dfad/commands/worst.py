"""The clips that a detector judges worst, read again so that people can hear and see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dfad.audio import load
from dfad.calibrate import p_spoof
from dfad.clips import CLASS_NAMES, Label
from dfad.deployed import Deployed
from dfad.errors import AudioError
from dfad.evaluation.worst import wrong
from dfad.report.page import Sound
from dfad.report.sound import flac, spectrogram
from dfad.scores import ScoreTable


def worst_sounds(
    table: ScoreTable,
    deployed: Deployed,
    root: Path,
    *,
    most: int,
    sample_rate: int = 16000,
    crop_s: float | None = None,
    lost: Callable[[str], None],
) -> tuple[list[Sound], list[Sound]]:
    """The worst misses and the worst false alarms at the deployed threshold.

    Args:
        table: scores; ids are paths below `root`.
        deployed: threshold and calibrator.
        root: folder of the clips.
        most: of each.
        sample_rate: to play them at, Hz.
        crop_s: only the first so many seconds, as the detector hears them; None: all.
        lost: is told of each clip that cannot be read any more.
    """
    found: dict[Label, list[Sound]] = {label: [] for label in Label}
    threshold = deployed.threshold or 0.0
    for label, sounds in found.items():
        rows = wrong(table, label, threshold=threshold).frame.head(most)
        for id_, score, attack, speaker in zip(
            rows["id"], rows["score"], rows["attack"], rows.get("speaker", rows["id"].where(rows["id"] == "", "")), strict=True
        ):
            try:
                wave = load(root / id_, sample_rate=sample_rate, crop_s=crop_s)
            except AudioError as error:
                lost(str(error))
                continue
            ratio = deployed.calibrator(score) if deployed.calibrator else score
            about = [str(label), attack, speaker, f"score {score:.2f}, P(spoof) {p_spoof(ratio, deployed.prior):.3f}"]
            sounds.append(
                Sound(
                    title=id_,
                    caption=" · ".join(filter(None, about)),
                    audio=flac(wave, sample_rate),
                    picture=spectrogram(wave, sample_rate),
                    alt=f"spectrogram of a {CLASS_NAMES[label]} clip",
                )
            )
    return found[Label.BONA_FIDE], found[Label.SPOOF]
