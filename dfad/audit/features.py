"""The features of the audit: what each one is, what a detector could do with it, and what takes it away.

A feature is a number of each clip, or a word whose values are looked at one by one (`bits=32`, `name=mp3`). None of
them looks at what vocoders do to a voice: that is what detectors are to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Group = Literal["timing", "level", "band", "container"]
GROUPS: Mapping[Group, str] = {
    "timing": "how long clips are, and where they are silent",
    "level": "how loud clips are, and clipping, offset and gating",
    "band": "which frequencies clips fill, and how much noise lies below the speech",
    "container": "how files are stored and named: not heard itself, but the traces of it are",
}


@dataclass(frozen=True)
class Feature:
    """One thing that may tell the classes apart.

    Attributes:
        group: it belongs to.
        title: what people call it.
        meaning: what is measured.
        unit: of its numbers, behind a blank; "" for words.
        more: what a class is that has more of it.
        use: what a detector can do with it.
        override: what to give `dfad train` against it, with fields of `Remedies`; "" if there is nothing.
        effect: what the override does; why there is none.
        digits: behind the point.
    """

    group: Group
    title: str
    meaning: str
    unit: str
    more: str
    use: str
    override: str
    effect: str
    digits: int = 1


_LENGTH = "what is padded, repeated or cut off shows the length"
_EDGE = "the top of the spectrum shows how a clip was stored or made, whoever speaks"
_CODEC = "a codec leaves holes in the spectrum and smeared onsets"
_IN_TRAINING = "weakens it, in training only"

FEATURES: Mapping[str, Feature] = {
    "duration": Feature(
        "timing", "duration", "duration", " s", "longer",
        _LENGTH, "frontend.crop_s={crop_s:g}", "removes it: every clip is heard for the same time", 2,
    ),
    "leading_silence": Feature(
        "timing", "silence at the start", "silence before the first sound", " s", "silent for longer at the start",
        "the first frames tell the class", "augment.crop=random", "weakens it: training begins anywhere in a clip", 2,
    ),
    "trailing_silence": Feature(
        "timing", "silence at the end", "silence after the last sound", " s", "silent for longer at the end",
        "the last frames tell the class", "frontend.crop_s={crop_s:g}", "removes it where clips are longer", 2,
    ),
    "pauses": Feature(
        "timing", "pauses", "share of silent frames between first and last sound", " %", "broken by more pauses",
        "counting silent frames is enough", "", "no option removes pauses: match the texts or the cutting", 0,
    ),
    "rms": Feature(
        "level", "level", "level of the frames that sound", " dBFS", "louder",
        "the sum of the features tells the class", "frontend.level=rms", "removes it",
    ),
    "peak": Feature(
        "level", "peak", "largest sample", " dBFS", "peaking higher",
        "the largest value tells the class", "frontend.level=rms", "removes what a gain makes of it",
    ),
    "offset": Feature(
        "level", "offset (DC)", "mean of the samples against the level", " dB", "further from zero on average",
        "the lowest bands tell the class", "frontend.f_min=50", "removes it",
    ),
    "clipped": Feature(
        "level", "clipping", "share of samples at full scale", " %", "clipped more",
        "clipping spreads sound over the whole band", "augment.clipping.p=1", _IN_TRAINING, 3,
    ),
    "zeros": Feature(
        "level", "exact zeros", "share of zeros between the first and the last other sample", " %",
        "exactly zero more often",
        "frames without any noise are the lowest that features can be", "augment.noise.p=1", _IN_TRAINING, 2,
    ),
    "bandwidth": Feature(
        "band", "bandwidth", "highest frequency less than 60 dB down", " Hz", "wider in band",
        _EDGE, "frontend.f_max={f_max:g}", "removes it", 0,
    ),
    "roll_off": Feature(
        "band", "roll-off", "frequency below which 95 % of the energy lies", " Hz", "brighter",
        "the slope of the mean spectrum tells the class",
        "frontend.normalise=band", "removes what lasts for the whole clip", 0,
    ),
    "cut_off": Feature(
        "band", "cut-off", "where the spectrum falls off a cliff, as after a codec", " Hz", "cut off higher up",
        _EDGE, "frontend.f_max={f_max:g}", "removes it", 0,
    ),
    "above_4k": Feature(
        "band", "energy above 4 kHz", "energy above 4 kHz against the whole", " dB", "stronger above 4 kHz",
        "the upper bands tell the class", "frontend.f_max=4000", "removes it, with all that lies there",
    ),
    "above_6k": Feature(
        "band", "energy above 6 kHz", "energy above 6 kHz against the whole", " dB", "stronger above 6 kHz",
        "the uppermost bands tell the class", "frontend.f_max=6000", "removes it, with all that lies there",
    ),
    "below_80": Feature(
        "band", "energy below 80 Hz", "energy below 80 Hz against the whole", " dB", "stronger below 80 Hz",
        "rumble and hum tell a microphone from a machine", "frontend.f_min=80", "removes it",
    ),
    "noise_floor": Feature(
        "band", "noise floor", "quietest frames between first and last sound against the level", " dB", "noisier",
        "the room, or that there is none, is heard in every pause", "augment.noise.p=1", _IN_TRAINING,
    ),
    "rate": Feature(
        "container", "sample rate", "sample rate of the file", " Hz", "stored at higher rates",
        "resampling leaves an edge in the band", "frontend.f_max={rate_f_max:g}", "removes that edge", 0,
    ),
    "bits": Feature(
        "container", "bits per sample", "bits per sample in the file", " bits", "stored with more bits",
        "coarser steps are noise in the pauses", "augment.requantise.p=1", _IN_TRAINING, 0,
    ),
    "channels": Feature(
        "container", "channels", "channels of the file", "", "stored in more channels",
        "a mix of two microphones sounds other than one", "", "dfad mixes to mono; more there is not to be done", 0,
    ),
    "lossy": Feature(
        "container", "lossy", "1 if a lossy codec stored it", "", "stored lossily more often",
        _CODEC, "augment.codec.p=1", _IN_TRAINING, 0,
    ),
    "bytes_per_s": Feature(
        "container", "bytes per second", "bytes per second of samples, or of a lossy file", "",
        "stored in more bytes per second",
        "the lower the bit rate, the more a codec leaves out", "augment.codec.p=1", _IN_TRAINING, 0,
    ),
    "format": Feature(
        "container", "format", "container and encoding", "", "stored so more often",
        "each program that writes files has its own rounding, dither and codec",
        "augment.codec.p=1", _IN_TRAINING, 0,
    ),
    "name": Feature(
        "container", "name", "words in the file's name", "", "named so more often",
        "no detector hears a name, but what it stands for, such as a source or a codec, may be heard",
        "", "find out what the word stands for", 0,
    ),
}  # fmt: skip

SHARES = tuple(name for name, feature in FEATURES.items() if feature.unit == " %")
NOT_HEARD = ("name",)  # left out of models and gates, as no detector is given names


@dataclass(frozen=True)
class Remedies:
    """Numbers in overrides that depend on the corpus.

    Attributes:
        crop_s: seconds that nearly every clip has.
        f_max: Hz up to which nearly every clip has sound, at least 4,000: less would take speech away.
        rate_f_max: Hz below the edge that resampling from the lowest rate leaves.
    """

    crop_s: float
    f_max: float
    rate_f_max: float
