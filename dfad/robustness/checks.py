"""Is a detector robust, or is its gradient only hidden? After Athalye et al. (ICML 2018) and Carlini et al. (2019).

A detector whose gradient says nothing (a quantised input, a saturated output) withstands the attacks that need it, and
falls to the next that does not. Where a check fails, what white-box attacks found is no measure of robustness.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from dfad.robustness.budget import Budget, linf
from dfad.robustness.gradient import fgsm, pgd
from dfad.robustness.query import query_attack
from dfad.robustness.targets import Targets
from dfad.robustness.transfer import transfer
from dfad.robustness.victim import Victim

EPSILON = 0.001  # of full scale, at which attacks are compared
HUGE = 0.5
QUERIES = 30
MORE = 4  # times as many steps
SLACK = 0.02  # by how much of the clips, and of the gain, the attack that should be stronger may stay behind
NONE_RIGHT = "no clip was right before, so none could be turned"


@dataclass(frozen=True)
class Check:
    """One check and its outcome.

    Attributes:
        name: what should be so.
        passed: whether it is; None where that cannot be told, as no clip was right before.
        words: what was found, with the numbers.
    """

    name: str
    passed: bool | None
    words: str

    def plain(self) -> dict[str, Any]:
        """As it stands in results."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """What an attack reached on some clips.

    Attributes:
        right: clips that were decided rightly when clean.
        turned: how many of them are decided wrongly now.
        gain: by how much scores moved where they were pushed, mean of all clips.
    """

    right: int
    turned: int
    gain: float

    @classmethod
    def of(cls, targets: Targets, before: Tensor, after: Tensor) -> Outcome:
        """Compare scores. Shape: (batch,), (batch,)."""
        right = ~targets.crossed(before)
        gain = float((targets.push * (after - before)).double().mean())
        return cls(int(right.sum()), int(targets.crossed(after)[right].sum()), gain)

    def __str__(self) -> str:
        return f"{self.turned} of {self.right} clips, scores moved by {self.gain:.3g}"


def masking_checks(victim: Victim, targets: Targets, surrogate: Victim | None = None) -> tuple[Check, ...]:
    """Attack some clips in ways of which one must be the stronger.

    Args:
        victim: the detector.
        targets: some dozen clips of both classes.
        surrogate: another detector, for the comparison of white box and transfer.

    Raises:
        ValueError: if there are no clips.
    """
    if not len(targets):
        raise ValueError("masking checks need clips")
    clean, budget = targets.clean, linf(targets.clean, EPSILON)
    before, gradient = victim.slope(clean)

    def outcome(wave: Tensor) -> Outcome:
        return Outcome.of(targets, before, victim.query(wave))

    def by_pgd(budget: Budget, steps: int = 10) -> Outcome:
        return outcome(pgd(victim, targets.wave, targets.label, budget, targets.draws, steps=steps))

    white = by_pgd(budget)
    step = outcome(fgsm(victim, targets.wave, targets.label, budget))
    asked = outcome(query_attack(victim, targets, EPSILON, QUERIES).wave)
    checks = [
        _flows(clean, gradient),
        stronger("PGD is no weaker than FGSM", "PGD", white, "FGSM", step),
        stronger(f"{MORE} times as many steps are no weaker", "more steps", by_pgd(budget, 10 * MORE), "PGD", white),
        stronger(f"the white box is no weaker than {QUERIES} queries", "PGD", white, "queries", asked),
    ]
    if surrogate:
        other = outcome(transfer(surrogate, victim.sample_rate, targets, budget))
        checks.append(stronger("the white box is no weaker than transfer", "PGD", white, "transfer", other))
    checks.append(_all_fall(by_pgd(linf(clean, HUGE), 10 * MORE)))
    return tuple(checks)


def stronger(name: str, one: str, strong: Outcome, other: str, weak: Outcome) -> Check:
    """Check that an attack reaches what a weaker one does: as many decisions turned, scores moved as far.

    Args:
        name: of the check.
        one: name of the attack that should be the stronger.
        strong: what it reached.
        other: name of the other.
        weak: what that reached.
    """
    fewer = weak.turned - strong.turned > max(1.0, SLACK * strong.right)  # one clip is chance
    shorter = strong.gain < weak.gain - SLACK * max(abs(strong.gain), abs(weak.gain))
    said = f"{one} turned {strong}; {other} {weak}"
    if fewer or shorter:
        return Check(name, False, f"{said}: the gradient does not lead where it should")
    return Check(name, True, said) if strong.right else Check(name, None, f"{said}: {NONE_RIGHT}")


def _flows(clean: Tensor, gradient: Tensor) -> Check:
    """Whether the gradient reaches the waveform of every clip that is not silent."""
    heard = clean.abs().amax(-1) > 0
    reached = gradient[heard].abs().amax(-1) > 0
    count, of = int(reached.sum()), int(heard.sum())
    said = f"the score of {count} of {of} clips has a gradient"
    words = said if count == of else f"{said}: something between waveform and score is flat or stops it"
    return Check("the gradient reaches the waveform", count == of if of else None, words)


def _all_fall(outcome: Outcome) -> Check:
    name = "a huge change turns every clip"
    said = f"at ε = {HUGE}, which drowns the clip, PGD turned {outcome.turned} of {outcome.right} clips"
    if not outcome.right:
        return Check(name, None, f"{said}: {NONE_RIGHT}")
    passed = outcome.turned == outcome.right
    return Check(name, passed, said if passed else f"{said}: no gradient leads there")
