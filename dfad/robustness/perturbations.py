"""Perturbations: what may happen to a clip after it was made and before a detector hears it, at stated strengths.

They act on what the detector hears of a clip, its crop at the detector's sample rate. Nothing in here chooses anything
by the clips' labels, and what is drawn for a clip depends on its id alone (see `Given`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import getdoc
from math import inf
from typing import Literal

from torch import Tensor

from dfad.effects.codecs import CODECS
from dfad.robustness import laundering as do
from dfad.robustness.conditions import Condition, between, refused
from dfad.robustness.given import Given

Apply = Callable[[Tensor, int, float, Given], Tensor]


@dataclass(frozen=True)
class Perturbation:
    """One kind of laundering, and the strengths at which a suite tries it.

    Attributes:
        name: as results call it.
        apply: `(wave, sample_rate, strength, given) -> wave`; wave and result (batch, samples) float32, on one device.
        strengths: the mildest first; (None,) where there is only one.
        unit: of the strengths.
        harder: whether a higher or a lower strength is the harder one.
        rest: the strength at which a clip stays as it is, bit for bit; None where there is none.
        least, most: strengths that can be asked for.
        whole: whether only whole numbers can.
        allowed: the only strengths that there are; empty where any between `least` and `most` is.
        trained_by: options of `augment` that let a detector hear the like in training, see `trained_by`.
        clipwise: whether it is done clip by clip on the CPU, in threads, as codecs are.
        talkers: voices of other clips that it takes.
        lacking: says why it cannot be done here; empty if it can.
    """

    name: str
    apply: Apply
    strengths: tuple[float | None, ...] = (None,)
    unit: str = ""
    harder: Literal["higher", "lower"] = "higher"
    rest: float | None = None
    least: float = 0.0
    most: float = 0.0
    whole: bool = False
    allowed: tuple[float, ...] = ()
    trained_by: tuple[str, ...] = ()
    clipwise: bool = False
    talkers: int = 0
    lacking: Callable[[], str] = lambda: ""

    def __call__(self, wave: Tensor, sample_rate: int, strength: float | None, given: Given) -> Tensor:
        """Perturb clips, and scale those down that leave full scale by it, as a file cannot hold them.

        Shape:
            wave: (batch, samples) float32 in [-1, 1] -> (batch, samples)
        """
        return self.scaled(wave, sample_rate, strength, given)[0]

    def scaled(self, wave: Tensor, sample_rate: int, strength: float | None, given: Given) -> tuple[Tensor, Tensor]:
        """The same, and by how much each clip was scaled down, 1 where it was not.

        Shape:
            wave: (batch, samples) float32 in [-1, 1] -> (batch, samples), (batch, 1)
        """
        done = self.apply(wave, sample_rate, 0.0 if strength is None else strength, given)
        allowed = wave.abs().amax(-1, keepdim=True).clamp_min(1.0)  # a float file may hold more: that stays as it is
        over = (done.abs().amax(-1, keepdim=True) / allowed).clamp_min(1.0)
        return done / over, 1.0 / over

    def condition(self, strength: float | None) -> Condition:
        """It at one strength."""
        return Condition("laundering", self.name, strength, self.unit, self.harder)

    def takes(self, strength: float) -> str:
        """Why it cannot have a strength; empty if it can."""
        if self.strengths == (None,):
            return "it has only one strength"
        if self.allowed and strength not in self.allowed:
            return f"choose from: {', '.join(f'{one:g}' for one in self.allowed)} {self.unit}"
        return "" if self.allowed else refused(strength, self.least, self.most, self.unit, self.whole)

    @property
    def about(self) -> str:
        """What it does, in a line."""
        return (getdoc(getattr(self.apply, "func", self.apply)) or "").splitlines()[0].rstrip(".")

    @property
    def range(self) -> str:
        """The strengths that can be asked for, in words."""
        if self.strengths == (None,):
            return ""
        if self.allowed:
            return f"{', '.join(f'{one:g}' for one in self.allowed)} {self.unit}"
        return between(self.least, self.most, self.unit, self.whole)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """It at all of its strengths, the mildest first."""
        return tuple(self.condition(strength) for strength in self.strengths)


def _table(*perturbations: Perturbation) -> Mapping[str, Perturbation]:
    return {perturbation.name: perturbation for perturbation in perturbations}


def _noise(name: str, apply: Apply, *more: str, talkers: int = 0) -> Perturbation:
    return Perturbation(
        f"noise-{name}",
        apply,
        (20.0, 10.0, 0.0),
        "dB",
        "lower",
        rest=inf,
        least=-60.0,
        most=100.0,
        talkers=talkers,
        trained_by=(f"noise:{name}", *more),
    )


def _codec(name: str, *kbps: float) -> Perturbation:
    """A codec, at bit rates if it has several."""
    codec = CODECS[name]
    return Perturbation(
        name,
        partial(do.recoded, codec=name),
        kbps or (None,),
        "kbit/s" if kbps else "",
        "lower",
        allowed=codec.kbps if kbps else (),
        trained_by=(f"codec:{name}", f"companding:{name}"),
        clipwise=True,
        lacking=lambda: codec.lacking,
    )


_TILT = "dB/octave"
LAUNDERING: Mapping[str, Perturbation] = _table(
    _noise("white", do.white, "rawboost:stationary"),
    _noise("pink", do.pink, "rawboost:stationary", "rerecord"),
    _noise("brown", do.brown, "rawboost:stationary"),
    _noise("babble", do.babble, talkers=do.TALKERS),
    Perturbation("reverb", do.reverb, (0.3, 0.6, 0.9), "s", rest=0.0, most=10.0, trained_by=("room", "rerecord")),
    Perturbation("rerecord", do.rerecorded, (0.3, 1.0, 3.0), "m", least=0.1, most=30.0, trained_by=("rerecord",)),
    Perturbation(
        "low-pass",
        do.low_pass,
        (6000.0, 4000.0, 2000.0),
        "Hz",
        "lower",
        rest=inf,
        least=100.0,
        most=96_000.0,
        trained_by=("band", "rerecord"),
    ),
    Perturbation("tilt", do.tilted, (-1.5, -3.0, -6.0), _TILT, "lower", 0.0, -12.0, 12.0, trained_by=("tilt",)),
    Perturbation("telephone", do.telephone, trained_by=("telephone",)),
    Perturbation(
        "resample",
        do.resampled,
        (11025.0, 8000.0),
        "Hz",
        "lower",
        rest=inf,
        least=1000.0,
        most=192_000.0,
        trained_by=("resample",),
    ),
    Perturbation("rawboost", do.rawboosted, trained_by=("rawboost",)),
    _codec("mp3", 128, 64, 32, 16),
    _codec("aac", 64, 32, 16),
    _codec("opus", 24, 12, 6),
    _codec("vorbis", 64, 32, 24),
    _codec("g722"),
    _codec("mu-law"),
    _codec("a-law"),
    _codec("gsm"),
    _codec("amr-nb", 12.2, 7.4, 4.75),
    Perturbation(
        "requantise",
        do.requantised,
        (12.0, 8.0, 6.0),
        "bits",
        "lower",
        rest=32.0,
        least=2.0,
        most=32.0,
        whole=True,
        trained_by=("requantise",),
    ),
    Perturbation("gain", do.gain, (-10.0, -20.0, -30.0), "dB", "lower", 0.0, -100.0, 100.0, trained_by=("gain",)),
    Perturbation("polarity", do.inverted, trained_by=("polarity",)),
    Perturbation(
        "clipping",
        do.clipped,
        (0.5, 0.25, 0.1),
        "of the peak",
        "lower",
        rest=1.0,
        most=1.0,
        trained_by=("clipping",),
    ),
    Perturbation(
        "slower", do.speed, (0.95, 0.9, 0.8), "", "lower", rest=1.0, least=0.25, most=1.0, trained_by=("speed",)
    ),
    Perturbation("faster", do.speed, (1.05, 1.1, 1.25), rest=1.0, least=1.0, most=4.0, trained_by=("speed",)),
    Perturbation("shift", do.shifted, (0.01, 0.1, 0.5), "s", rest=0.0, most=60.0, trained_by=("shift",)),
    Perturbation("silence", do.silence, (0.1, 0.3, 0.5), "s", rest=0.0, most=60.0, trained_by=("silence:max_ms",)),
    Perturbation(
        "trim", do.trimmed, (-50.0, -40.0, -30.0), "dB", rest=-inf, least=-100.0, trained_by=("silence:trim_p",)
    ),
)
