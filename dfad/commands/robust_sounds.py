"""The clips that give way first, to hear: as they are, and as they were laundered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch

from dfad.audio import fit, load
from dfad.commands.tables import note
from dfad.errors import AudioError, DfadError
from dfad.frontends import FrontendKnobs
from dfad.report.page import Sound
from dfad.report.sound import flac, spectrogram
from dfad.robustness.given import Given, keys_of
from dfad.robustness.perturbations import LAUNDERING
from dfad.roots import Root

HEARD = 4  # of each class and family


def weak_sounds(
    results: Mapping[str, Any], root: Root, frontend: FrontendKnobs, seeds: Mapping[str, int], *, most: int = HEARD
) -> dict[str, list[Sound]]:
    """Some of the weakest clips of each class, by family; clips that are gone are named.

    What a clip was laundered by is done again, with the same draws, and stands beside it. Attacks are not made anew,
    nor is babble, which takes the voices of other clips: those that it moves furthest are passed over.

    Args:
        results: as `robustness.json` holds them.
        root: folder of the clips, or those of a mix.
        frontend: what the detector hears through.
        seeds: of what was drawn, by condition.
        most: clips of each class and family.
    """
    found = {}
    for family, classes in results["weakest"].items():
        again = {label: (one for one in members if _can(one, results)) for label, members in classes.items()}
        chosen = [(one, label) for label, members in again.items() for one in islice(members, most)]
        found[family] = [
            sound for one, label in chosen for sound in _sounds(one, label, results, root, frontend, seeds)
        ]
    return found


def _sounds(
    one: Mapping[str, Any],
    label: str,
    results: Mapping[str, Any],
    root: Root,
    frontend: FrontendKnobs,
    seeds: Mapping[str, int],
) -> Iterator[Sound]:
    """A clip as it is, and under the condition that moves it furthest."""
    rate = frontend.sample_rate
    try:
        wave = fit(load(root / one["id"], sample_rate=rate, crop_s=frontend.crop_s), frontend.crop_samples)
    except AudioError as error:
        note(f"not in the report: {error}")
        return
    about = f"{one['attack'] or label} · score {one['score']:.2f} · wrong under {one['wrong']} of {one['tried']}"
    yield _sound(one["id"], f"as it is · {about}", wave, rate, label)
    condition = _worst(one, results)
    if condition["family"] != "laundering":
        return
    perturbation = LAUNDERING[condition["name"]]
    given = Given(seeds[one["worst"]], torch.from_numpy(keys_of([one["id"]])))
    try:
        done = perturbation(torch.from_numpy(wave[None]), rate, condition["strength"], given)[0].numpy()
    except DfadError as error:  # such as a codec that this machine lacks
        note(f"not in the report: {condition['title']}: {error}")
        return
    yield _sound(one["id"], f"{condition['title']} · score {one['worst_score']:.2f}", done, rate, label)


def _worst(one: Mapping[str, Any], results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The condition that moves a clip furthest."""
    return next(each for each in results["conditions"] if each["key"] == one["worst"])


def _can(one: Mapping[str, Any], results: Mapping[str, Any]) -> bool:
    condition = _worst(one, results)
    return condition["family"] != "laundering" or not LAUNDERING[condition["name"]].talkers


def _sound(title: str, caption: str, wave: np.ndarray, rate: int, label: str) -> Sound:
    return Sound(title, caption, flac(wave, rate), spectrogram(wave, rate), f"spectrogram of a {label} clip")
