"""What an audit by intervention does to each group of nuisances: the same value for every clip, or one dealt at random.

The same value tells what is left of a detector without the nuisance. But any treatment may hurt a detector that never
heard such clips, or take evidence away. So there is a control: every clip gets the value of another scored clip, drawn
at random whatever its class. The values are those that the detector meets anyway, as often as it meets them; only what
they say about the label is gone. A detector that does not use them loses nothing but by chance.

Timing, band, noise and container can be taken from a clip but not given back: a clip that is dealt a wider band keeps
its own. The control is then weaker, as some of the values go on telling the label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from dfad.audio import fit
from dfad.audit.neutralise import band_limited, levelled, requantised, timed, with_dc, with_floor
from dfad.audit.traits import Floats, Traits, Wave
from dfad.frontends import FrontendKnobs

LOW, HIGH = 0.05, 0.9  # quantiles of training: few clips have a narrower band, or a louder noise floor
CREST = 0.99  # quantile: the peaks of so many clips stay within full scale
SOFTEST_DB = -70.0  # a silent clip has no level that another could have
BITS = 16


@dataclass(frozen=True)
class Source:
    """One clip as it was decoded, and how much of it is heard.

    Shape:
        - wave: (samples,) from the clip's start, perhaps more than is heard.
    """

    wave: Wave
    crop: int
    sample_rate: int

    @property
    def own(self) -> Wave:
        """The samples of the clip that are heard. Shape: (at most crop,)."""
        return self.wave[: self.crop]

    @property
    def heard(self) -> Wave:
        """The same, repeated if they are too few. Shape: (crop,)."""
        return fit(self.wave, self.crop)


@dataclass(frozen=True)
class Neutral:
    """The values that every clip is given, found on training clips alone; both classes count alike.

    Attributes:
        speech_s: of speech: at most the crop, and as much as all but 5 % of clips have.
        rms_db: the median level; lower where the peaks of more than 1 % of clips would leave full scale.
        cutoff_hz: what all but 5 % of clips reach.
        floor: what nine tenths of the noise floors stay below, by frequency, (bins,); shares of a clip's power.
        floor_db: how loud the floors are of which so many are softer, dB.
        bits: 16, or as few as one clip in twenty has.
    """

    speech_s: float
    rms_db: float
    cutoff_hz: float
    floor: Floats
    floor_db: float
    bits: int

    @classmethod
    def of(cls, traits: Sequence[Traits], labels: ArrayLike, crop_s: float) -> Neutral:
        """Find the values.

        Args:
            traits: of training clips of both classes.
            labels: theirs.
            crop_s: that the detector hears, s.
        """
        classes = np.asarray(labels)
        weights = 1.0 / np.bincount(classes, minlength=2)[classes]

        def quantile(share: float, values: Sequence[float]) -> float:
            return float(np.quantile(values, share, weights=weights, method="inverted_cdf"))

        floors = np.stack([each.floor for each in traits])
        return cls(
            speech_s=min(crop_s, quantile(LOW, [each.speech_s for each in traits])),
            rms_db=min(
                quantile(0.5, [each.rms_db for each in traits]), -quantile(CREST, [each.crest_db for each in traits])
            ),
            cutoff_hz=quantile(LOW, [each.cutoff_hz for each in traits]),
            floor=np.quantile(floors, HIGH, axis=0, weights=weights, method="inverted_cdf"),
            floor_db=quantile(HIGH, [each.floor_db for each in traits]),
            bits=min(BITS, round(quantile(LOW, [each.bits for each in traits]))),
        )


@dataclass(frozen=True)
class Group:
    """What is done about one group of nuisances.

    Attributes:
        noun: its name in a sentence.
        same: gives a clip the common value; the result has the crop's length.
        swap: gives a clip the value of another, likewise.
        words: what is then so of every clip.
        takes: what `same` takes away that may be evidence as well; empty where nothing is lost.
        gives_back: whether `swap` can give any clip any value, and not only take some away.
        remedy: the overrides that train it away with a frontend.
    """

    noun: str
    same: Callable[[Source, Neutral, Generator], Wave]
    swap: Callable[[Source, Traits, Generator], Wave]
    words: Callable[[Neutral], str]
    takes: str
    gives_back: bool
    remedy: Callable[[Neutral, FrontendKnobs], str]


def _same_timing(clip: Source, to: Neutral, random: Generator) -> Wave:
    length = max(1, round(to.speech_s * clip.sample_rate))
    return fit(timed(clip.wave, clip.sample_rate, length=length), clip.crop)


def _other_timing(clip: Source, of: Traits, random: Generator) -> Wave:
    length, lead, trail = (round(seconds * clip.sample_rate) for seconds in (of.length_s, of.lead_s, of.trail_s))
    wave = timed(clip.wave, clip.sample_rate, length=length, lead=lead, trail=trail, random=random)
    return fit(wave, clip.crop)


def _same_band(clip: Source, to: Neutral, random: Generator) -> Wave:
    return _limited(clip, to.cutoff_hz)


def _other_band(clip: Source, of: Traits, random: Generator) -> Wave:
    return _limited(clip, of.cutoff_hz)


def _limited(clip: Source, cutoff_hz: float) -> Wave:
    """The crop below a cut-off; the filter is given what follows the crop, too."""
    return fit(band_limited(clip.wave[: clip.crop + clip.sample_rate // 10], clip.sample_rate, cutoff_hz), clip.crop)


def _same_container(clip: Source, to: Neutral, random: Generator) -> Wave:
    return fit(requantised(clip.own, to.bits, random if to.bits == BITS else None), clip.crop)


def _other_container(clip: Source, of: Traits, random: Generator) -> Wave:
    if of.bits < BITS:
        return fit(requantised(clip.own, of.bits), clip.crop)
    return clip.heard if of.zeros else fit(requantised(clip.own, BITS, random), clip.crop)


def _with_bank(frontend: FrontendKnobs, override: str) -> str:
    """An override of a filter bank's range; a frontend without one is exchanged."""
    return override if "f_max" in type(frontend).model_fields else f"frontend=logmel {override}"


GROUPS: Mapping[str, Group] = {
    "timing": Group(
        noun="timing",
        same=_same_timing,
        swap=_other_timing,
        words=lambda to: f"begins with speech and has the same {to.speech_s:.2f} s of it",
        takes="speech beyond that",
        gives_back=False,
        remedy=lambda to, frontend: "augment.crop=random augment.shift.p=1 augment.silence.p=1",
    ),
    "level": Group(
        noun="the level",
        same=lambda clip, to, random: levelled(clip.heard, to.rms_db),
        swap=lambda clip, of, random: levelled(clip.heard, max(of.rms_db, SOFTEST_DB)),
        words=lambda to: f"has the same level of {to.rms_db:.1f} dBFS".replace("-", "−"),
        takes="",
        gives_back=True,
        remedy=lambda to, frontend: "frontend.level=rms",
    ),
    "dc": Group(
        noun="DC",
        same=lambda clip, to, random: with_dc(clip.heard),
        swap=lambda clip, of, random: with_dc(clip.heard, of.dc),
        words=lambda to: "has a mean of 0",
        takes="",
        gives_back=True,
        remedy=lambda to, frontend: _with_bank(frontend, "frontend.f_min=50"),
    ),
    "band": Group(
        noun="the band",
        same=_same_band,
        swap=_other_band,
        words=lambda to: f"ends at {to.cutoff_hz:.0f} Hz",
        takes="what lies above",
        gives_back=False,
        remedy=lambda to, frontend: _with_bank(frontend, f"frontend.f_max={to.cutoff_hz:.0f}"),
    ),
    "noise": Group(
        noun="the noise floor",
        same=lambda clip, to, random: fit(with_floor(clip.own, clip.sample_rate, to.floor, random), clip.crop),
        swap=lambda clip, of, random: fit(with_floor(clip.own, clip.sample_rate, of.floor, random), clip.crop),
        words=lambda to: f"has a noise floor {-to.floor_db:.0f} dB below its level, or a louder one",
        takes="what lies below it",
        gives_back=False,
        remedy=lambda to, frontend: (
            f"augment.noise.p=1 augment.noise.low_db={min(30, max(0, round(-10 - to.floor_db)))}"
        ),
    ),
    "container": Group(
        noun="the container",
        same=_same_container,
        swap=_other_container,
        words=lambda to: f"is rounded to {to.bits} bits" + (" with dither" if to.bits == BITS else ""),
        takes="",
        gives_back=False,
        remedy=lambda to, frontend: "augment.noise.p=1",
    ),
}
