"""Which perturbations training had the like of."""

from __future__ import annotations

from dfad.augment import AugmentKnobs
from dfad.robustness.perturbations import LAUNDERING


def seen_in(augment: AugmentKnobs) -> dict[str, str]:
    """Perturbations of which a training had the like, and the options of `augment` that did it."""
    found = {}
    for name, perturbation in LAUNDERING.items():
        if by := [option for option in perturbation.trained_by if getattr(augment, option, None) is not None]:
            found[name] = ", ".join(f"augment.{option}" for option in by)
    return found
