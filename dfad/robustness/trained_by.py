"""Which perturbations training had the like of."""

from __future__ import annotations

from dfad.augment import AugmentKnobs
from dfad.robustness.perturbations import LAUNDERING

_KINDS = ("kinds", "codecs", "laws")  # options of an augmentation that name what it does


def seen_in(augment: AugmentKnobs) -> dict[str, str]:
    """Perturbations of which a training had the like, and the options of `augment` that did it."""
    found = {}
    for name, perturbation in LAUNDERING.items():
        if by := [option for option in perturbation.trained_by if _on(augment, option)]:
            found[name] = ", ".join(f"augment.{option.split(':')[0]}" for option in by)
    return found


def _on(augment: AugmentKnobs, option: str) -> bool:
    """Whether an augmentation is used, and does what stands after the colon."""
    name, _, kind = option.partition(":")
    step = getattr(augment, name, None)
    if step is None or not getattr(step, "p", 1.0):
        return False
    named = [kinds for field in _KINDS if (kinds := getattr(step, field, None)) is not None]
    return not kind or any(kind in kinds for kinds in named)
