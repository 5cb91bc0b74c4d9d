"""What a person should know of a clip before believing its score: small checks of what was heard, as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dfad.scoring.familiar import Familiar
from dfad.scoring.sound import FULL_SCALE, QUIET_DB, Sound

CLIPPED = 0.001  # share of samples at full scale
SILENT_DB, QUIET_LEVEL_DB, MOSTLY = -70.0, -50.0, 0.8
NARROW = 0.7  # of the band that the detector hears


@dataclass(frozen=True)
class Hears:
    """What a detector hears.

    Attributes:
        crop_s: how long, seconds.
        top_hz: up to which frequency.
        familiar: what its training clips sounded like; None if it does not tell.
    """

    crop_s: float
    top_hz: float
    familiar: Familiar | None = None


Check = Callable[[Sound, Hears], str]  # what is wrong; empty if nothing is


def short(sound: Sound, hears: Hears) -> str:
    """Shorter than what the detector hears."""
    if sound.duration_s >= hears.crop_s - 0.0005:
        return ""
    return f"{sound.duration_s:.2f} s, repeated to the {hears.crop_s:g} s that the detector hears"


def clipped(sound: Sound, hears: Hears) -> str:
    """Cut off at full scale."""
    share = sound.full_scale
    return f"{share:.2%} of the samples lie at full scale (±{FULL_SCALE} or beyond)" if share > CLIPPED else ""


def silent(sound: Sound, hears: Hears) -> str:
    """Without sound, or nearly."""
    if sound.loudest_db < SILENT_DB:
        return f"nothing is louder than {SILENT_DB:.0f} dBFS: the score is about silence"
    if sound.silence > MOSTLY:
        return f"{sound.silence:.0%} of the clip is silence, {QUIET_DB:.0f} dB below its loudest moment"
    return ""


def quiet(sound: Sound, hears: Hears) -> str:
    """So quiet that noise and rounding speak."""
    if sound.loudest_db < SILENT_DB or sound.level_db >= QUIET_LEVEL_DB:
        return ""
    return f"a level of {sound.level_db:.0f} dBFS, where rounding and noise are heard too"


def band_limited(sound: Sound, hears: Hears) -> str:
    """Without much of the band that the detector hears."""
    if sound.loudest_db < SILENT_DB or sound.bandwidth_hz >= NARROW * hears.top_hz:
        return ""
    return f"sound up to {sound.bandwidth_hz / 1000:.1f} kHz, the detector hears up to {hears.top_hz / 1000:g} kHz"


def unlike_training(sound: Sound, hears: Hears) -> str:
    """Another long-term spectrum than the training clips have."""
    if hears.familiar is None or sound.loudest_db < SILENT_DB:
        return ""
    distance = hears.familiar.distance(sound)
    if distance <= 1:
        return ""
    return (
        f"its long-term spectrum lies {distance:.1f} times as far from the training clips as those of "
        f"{1 - hears.familiar.share:.0%} of the validation clips do at most: the score may mean nothing"
    )


CHECKS: dict[str, Check] = {
    "short": short,
    "clipped": clipped,
    "silent": silent,
    "quiet": quiet,
    "band-limited": band_limited,
    "unlike training": unlike_training,
}


def warnings_of(sound: Sound, hears: Hears) -> tuple[str, ...]:
    """What is to be known of a clip, each as `name: what`, by the names of `CHECKS`."""
    found = ((name, check(sound, hears)) for name, check in CHECKS.items())
    return tuple(f"{name}: {what}" for name, what in found if what)
