"""The adversaries of the suite: what each knows, and the strengths at which it is tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from dfad.draws import Draws
from dfad.effects.noise import add_noise
from dfad.effects.time import shift
from dfad.errors import ConfigError
from dfad.robustness import malafide, universal
from dfad.robustness.budget import BUDGETS, SCALE
from dfad.robustness.conditions import Condition, between, refused
from dfad.robustness.gradient import STEPS, Effects, fgsm, pgd
from dfad.robustness.query import query_attack
from dfad.robustness.targets import Attacked, Targets
from dfad.robustness.transfer import transfer
from dfad.robustness.victim import Victim

EPSILONS, LENGTHS, SNRS = (0.0005, 0.00075, 0.001), (0.1, 0.15, 0.2), (40.0, 30.0, 20.0)
RESTARTS, EXPECT = 5, 2
QUERY_EPSILON = 0.001
Attack = Callable[[Targets], Attacked]


@dataclass(frozen=True)
class Knowledge:
    """What an adversary has beside the clip in hand.

    Attributes:
        victim: the detector under attack.
        known: clips of the same corpus, on the victim's device; for those that need `clips`.
        surrogate: another detector; for those that need a `surrogate`.
    """

    victim: Victim
    known: Targets | None = None
    surrogate: Victim | None = None


@dataclass(frozen=True)
class Adversary:
    """One adversary, and the strengths at which the suite tries it.

    Attributes:
        name: as results call it.
        make: makes the attack of a strength.
        strengths: the mildest first.
        unit: of the strengths.
        harder: whether a higher or a lower strength is the harder one.
        box: what it sees of the detector: `white`, all; `black`, scores of what it asks, or nothing.
        needs: what it must be given.
        about: what it does, in a line.
        least, most: strengths that can be asked for; below one step of a 16-bit sample nothing can be changed.
        whole: whether only whole numbers can.
        trained_by: options of `augment` that let a detector hear the like in training, see `trained_by`.
    """

    name: str
    make: Callable[[Knowledge, float], Attack]
    strengths: tuple[float, ...]
    unit: str = ""
    harder: Literal["higher", "lower"] = "higher"
    box: Literal["white", "black"] = "white"
    needs: Literal["nothing", "clips", "surrogate"] = "nothing"
    about: str = ""
    least: float = 1 / SCALE
    most: float = 1.0
    whole: bool = False
    trained_by: tuple[str, ...] = ()

    def __call__(self, knowledge: Knowledge, strength: float) -> Attack:
        """Make the attack of a strength; what is learnt from known clips is learnt here.

        Raises:
            ConfigError: if it lacks what it needs.
        """
        if self.needs == "surrogate" and knowledge.surrogate is None:
            raise ConfigError(
                f"{self.name} attacks by the gradients of another detector; give one with robustness.surrogate=RUN"
            )
        if self.needs == "clips" and not knowledge.known:
            raise ConfigError(f"{self.name} is learnt from clips, and there are none")
        return self.make(knowledge, strength)

    def condition(self, strength: float) -> Condition:
        """It at one strength."""
        return Condition("adversarial", self.name, strength, self.unit, self.harder)

    def takes(self, strength: float) -> str:
        """Why it cannot have a strength; empty if it can."""
        return refused(strength, self.least, self.most, self.unit, self.whole)

    @property
    def range(self) -> str:
        """The strengths that can be asked for, in words."""
        return between(self.least, self.most, self.unit, self.whole)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """It at all of its strengths, the mildest first."""
        return tuple(self.condition(strength) for strength in self.strengths)


def _fgsm(knowledge: Knowledge, strength: float) -> Attack:
    def attack(targets: Targets) -> Attacked:
        budget = BUDGETS["linf"](targets.clean, strength)
        return Attacked(fgsm(knowledge.victim, targets.wave, targets.label, budget))

    return attack


def _pgd(kind: str, *, restarts: int = 1, effects: Effects | None = None) -> Callable[[Knowledge, float], Attack]:
    def make(knowledge: Knowledge, strength: float) -> Attack:
        victim = knowledge.victim

        def attack(targets: Targets) -> Attacked:
            found = pgd(
                victim,
                targets.wave,
                targets.label,
                BUDGETS[kind](targets.clean, strength),
                targets.draws,
                restarts=restarts,
                effects=effects,
                expect=EXPECT if effects else 1,
            )
            return Attacked(found)

        return attack

    return make


def _on_the_way(wave: Tensor, draws: Draws) -> Tensor:
    """What a clip may meet before it is heard, and the adversary cannot know: a start elsewhere, and noise."""
    most = min(320, wave.shape[-1] - 1)
    wave = shift(wave, draws.integer("shift", 2 * most + 1) - most)
    return add_noise(wave, draws.normal("noise", wave.shape[-1]), draws.uniform("snr_db", low=20.0, high=40.0))


def _universal(knowledge: Knowledge, strength: float) -> Attack:
    assert knowledge.known
    apply = universal.universal(knowledge.victim, knowledge.known, strength)
    return lambda targets: Attacked(apply(targets))


def _malafide(knowledge: Knowledge, strength: float) -> Attack:
    assert knowledge.known
    apply = malafide.malafide(knowledge.victim, knowledge.known, int(strength))
    return lambda targets: Attacked(apply(targets))


def _query(knowledge: Knowledge, strength: float) -> Attack:
    return lambda targets: query_attack(knowledge.victim, targets, QUERY_EPSILON, int(strength))


def _transfer(knowledge: Knowledge, strength: float) -> Attack:
    assert knowledge.surrogate
    surrogate, sample_rate = knowledge.surrogate, knowledge.victim.sample_rate
    return lambda targets: Attacked(transfer(surrogate, sample_rate, targets, BUDGETS["linf"](targets.clean, strength)))


def _table(*adversaries: Adversary) -> Mapping[str, Adversary]:
    return {adversary.name: adversary for adversary in adversaries}


FULL = "of full scale"
_LINF, _L2 = ("adversarial:linf",), ("adversarial:l2",)
ADVERSARIES: Mapping[str, Adversary] = _table(
    Adversary("fgsm", _fgsm, EPSILONS, FULL, about="one step of ε along the sign of the gradient", trained_by=_LINF),
    Adversary(
        "pgd-linf",
        _pgd("linf"),
        EPSILONS,
        FULL,
        about=f"{STEPS} steps, no sample moves by more than ε",
        trained_by=_LINF,
    ),
    Adversary(
        "pgd-restarts",
        _pgd("linf", restarts=RESTARTS),
        EPSILONS[-1:],
        FULL,
        about=f"{STEPS} steps from each of {RESTARTS} random starts, no sample moves by more than ε",
        trained_by=_LINF,
    ),
    Adversary(
        "pgd-l2",
        _pgd("l2"),
        LENGTHS,
        about=f"{STEPS} steps, the change is no longer than ε as a vector",
        most=1000.0,
        trained_by=_L2,
    ),
    Adversary(
        "pgd-snr",
        _pgd("snr"),
        SNRS,
        "dB",
        "lower",
        about=f"{STEPS} steps, the change has so much less power than the clip",
        least=-60.0,
        most=100.0,
        trained_by=_L2,
    ),
    Adversary(
        "pgd-eot",
        _pgd("linf", effects=_on_the_way),
        EPSILONS[-1:],
        FULL,
        about=f"{STEPS} steps on the mean over {EXPECT} draws of a shift and noise that the clip may meet, within ε",
        trained_by=_LINF,
    ),
    Adversary(
        "universal",
        _universal,
        (0.001, 0.003, 0.01),
        FULL,
        needs="clips",
        about=f"one waveform within ±ε for each class, made in {universal.PASSES} passes from other clips",
    ),
    Adversary(
        "malafide",
        _malafide,
        (33.0, 129.0, 513.0),
        "taps",
        needs="clips",
        about=f"one filter for each system, made in {malafide.PASSES} passes from other clips; it keeps their power",
        least=2.0,
        most=65_536.0,
        whole=True,
    ),
    Adversary(
        "query",
        _query,
        (10.0, 100.0, 300.0),
        "queries",
        box="black",
        about=f"random search within ε = {QUERY_EPSILON}, by the scores of so many queries alone",
        least=2.0,
        most=100_000.0,
        whole=True,
    ),
    Adversary(
        "transfer",
        _transfer,
        EPSILONS,
        FULL,
        box="black",
        needs="surrogate",
        about=f"{STEPS} steps of PGD within ε on the gradients of another detector",
    ),
)
