"""Conditions: one perturbation at one strength, as the name of a score table, a line of results, a point of a curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["laundering", "adversarial"]


@dataclass(frozen=True)
class Condition:
    """One perturbation at one strength.

    Attributes:
        family: laundering happens to clips of both classes without knowing the detector; an adversary knows it, or
            asks it, and pushes every clip to the other side of the threshold.
        name: of the perturbation, such as `mp3`, `noise-white` or `pgd-linf`.
        strength: in `unit`; None where there is only one.
        unit: such as `kbit/s`, `dB` or `s`; empty for a plain number.
        harder: whether a higher or a lower strength is the harder one.

    >>> Condition("laundering", "noise-white", 10.0, "dB", "lower").key
    'noise-white@10'
    >>> str(Condition("laundering", "mp3", 32.0, "kbit/s", "lower"))
    'mp3 32 kbit/s'
    """

    family: Family
    name: str
    strength: float | None = None
    unit: str = ""
    harder: Literal["higher", "lower"] = "higher"

    @property
    def key(self) -> str:
        """A name for files and results."""
        return self.name if self.strength is None else f"{self.name}@{self.strength:g}"

    def __str__(self) -> str:
        strength = "" if self.strength is None else f"{self.strength:g}".replace("-", "−")
        return " ".join(part for part in (self.name, strength, self.unit) if part)


def refused(strength: float, least: float, most: float, unit: str, whole: bool) -> str:
    """Why there is no such strength; empty if there is.

    >>> refused(7.5, 2, 32, "bits", True)
    'should be 2 to 32 bits, whole numbers'
    """
    fits = least <= strength <= most and (not whole or strength == round(strength))
    return "" if fits else f"should be {between(least, most, unit, whole)}"


def between(least: float, most: float, unit: str, whole: bool) -> str:
    """A range in words."""
    return f"{least:g} to {most:g} {unit}".rstrip() + ", whole numbers" * whole


CLEAN = Condition("laundering", "clean")


def counted(number: int, word: str) -> str:
    """A number of things.

    >>> counted(1, "condition"), counted(3, "condition")
    ('1 condition', '3 conditions')
    """
    return f"{number} {word}" + ("" if number == 1 else "s")
