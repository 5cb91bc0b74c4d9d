"""Which perturbations training had the like of.

What has trained one is written as the name of an option of `augment`. After a colon may stand what that must do: a
kind, as in `noise:pink`, or an option that must not be 0, as in `silence:max_ms`.
"""

from __future__ import annotations

from dfad.augment import AugmentKnobs
from dfad.robustness.adversaries import ADVERSARIES, Adversary
from dfad.robustness.perturbations import LAUNDERING, Perturbation

_KINDS = ("kinds", "codecs", "laws", "algorithms", "norm")  # options of an augmentation that name what it does


def seen_in(augment: AugmentKnobs) -> dict[str, str]:
    """Perturbations and adversaries of which a training had the like, and the options of `augment` that did it."""
    found = {}
    every: dict[str, Perturbation | Adversary] = {**LAUNDERING, **ADVERSARIES}
    for name, each in every.items():
        if by := [option for option in each.trained_by if _on(augment, option)]:
            found[name] = ", ".join(f"augment.{option.split(':')[0]}" for option in by)
    return found


def _on(augment: AugmentKnobs, option: str) -> bool:
    """Whether an augmentation is used, and does what stands after the colon."""
    name, _, does = option.partition(":")
    step = getattr(augment, name)
    if step is None or not getattr(step, "p", 1.0):
        return False
    if does in type(step).model_fields:
        return bool(getattr(step, does))
    return not does or any(does in getattr(step, kinds, ()) for kinds in _KINDS)
