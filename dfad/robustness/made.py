"""How the score table of a condition is made: all that it hangs on beside its name, to tell which tables are stale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dfad.effects.codecs import CODECS
from dfad.robustness.adversaries import ADVERSARIES
from dfad.robustness.conditions import Condition

FORMAT = 2  # of the perturbations: raised when what all share changes, so that tables made before are made again
CHANGED = {"pgd-eot": 3}  # formats of those that have changed since by themselves


def made(
    condition: Condition, *, seed: int, clips: int | None, threshold: float, surrogate: str | None
) -> dict[str, Any]:
    """How its table is made, as plain data.

    Args:
        condition: of which.
        seed: of what is drawn for a clip.
        clips: at most so many; None: all.
        threshold: the deployed one, which adversaries want clips to cross.
        surrogate: hash of the other detector, if there is one.
    """
    about: dict[str, Any] = {"format": CHANGED.get(condition.name, FORMAT), "seed": seed, "clips": clips}
    if condition.family == "adversarial":
        about["threshold"] = threshold
        if takes_surrogate(condition):
            about["surrogate"] = surrogate
    elif codec := CODECS.get(condition.name):
        about["library"] = codec.version
    return about


def takes_surrogate(condition: Condition) -> bool:
    """Whether it is an attack by another detector's gradients."""
    return condition.name in ADVERSARIES and ADVERSARIES[condition.name].needs == "surrogate"


def differing(stored: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    """Why a stored table is not the one that would be made now; empty if it is.

    >>> differing({"format": 1, "threshold": 0.5}, {"format": 1, "threshold": 0.25})
    'made for the threshold 0.5'
    """
    if stored is None:
        return "not scored, or not known how"
    if stored == now:
        return ""
    if len(names := [name for name in {**stored, **now} if stored.get(name) != now.get(name)]) > 1:
        return f"made with another {' and '.join(names)}"
    (name,) = names
    if name == "format":
        return "made by another version of dfad"
    if name == "threshold":
        return f"made for the threshold {stored.get(name):.4g}"
    return f"made with another {name}"
