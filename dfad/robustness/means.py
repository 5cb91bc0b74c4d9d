"""Mean-corruption figures: the mean over strengths of each perturbation, then over perturbations.

After Hendrycks and Dietterich (2019), but without a reference system: the mean stands as it is, as what it adds to the
clips as they are, and as a multiple of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from dfad.evaluation.samples import Sample, plain
from dfad.robustness.conditions import CLEAN
from dfad.robustness.outcomes import RATES, SUCCESS, UNKNOWN, Outcome

GROUPS = ("laundering", "laundering/seen", "laundering/unseen", "adversarial")


def by_name(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each perturbation, mildest first, without the clips as they are."""
    names: dict[str, list[Outcome]] = {}
    for outcome in found:
        if outcome.condition != CLEAN:
            names.setdefault(outcome.condition.name, []).append(outcome)
    return {name: sorted(members, key=_hardness) for name, members in names.items()}


def _hardness(outcome: Outcome) -> float:
    strength = outcome.condition.strength or 0.0
    return strength if outcome.condition.harder == "higher" else -strength


def means_of(found: Sequence[Outcome], seen: Collection[str]) -> dict[str, Any]:
    """The figures of all laundering, of what training had heard the like of and of what not, and of all adversaries.

    Args:
        found: of all conditions.
        seen: perturbations of which training had the like; with none, they are not told apart.
    """
    names = by_name(found)
    kinds: Mapping[str, Sequence[str]] = {
        "laundering": [name for name, members in names.items() if members[0].condition.family == "laundering"],
        "adversarial": [name for name, members in names.items() if members[0].condition.family == "adversarial"],
    }
    groups = {
        **kinds,
        "laundering/seen": [name for name in kinds["laundering"] if name in seen],
        "laundering/unseen": [name for name in kinds["laundering"] if name not in seen] if seen else [],
    }
    return {group: _mean([names[name] for name in groups[group]]) for group in GROUPS if groups[group]}


def _mean(perturbations: Sequence[Sequence[Outcome]]) -> dict[str, Any]:
    every = [one for members in perturbations for one in members]
    paired = len({id(one.unit) for one in every}) == 1  # of the same clips, and so of the same draws
    count = every[0].unit.count if paired else 0
    values: dict[str, Any] = {
        "perturbations": len(perturbations),
        "conditions": len(every),
        "cllr": plain(float(np.mean([np.mean([one.cllr for one in members]) for members in perturbations]))),
    }
    more = ("eer_fakes",) if every[0].condition.family == "adversarial" else ()
    for name in (*RATES, *SUCCESS, *more):
        now = _nested([[one.samples.get(name, UNKNOWN) for one in members] for members in perturbations], paired)
        values[name] = now.rate(count).plain()
        if name in RATES:
            before = _nested([[one.clean.get(name, UNKNOWN) for one in members] for members in perturbations], paired)
            values[f"{name}_added"] = _of(now, before, np.subtract).number(count).plain()
            values[f"{name}_times"] = _of(now, before, _ratio).number(count).plain()
    return values


def _nested(samples: Sequence[Sequence[Sample]], paired: bool) -> Sample:
    """The mean of means."""
    value = float(np.mean([np.mean([each.value for each in members]) for members in samples]))
    if not paired or len({each.drawn.shape for members in samples for each in members}) > 1:
        return Sample(value, np.empty(0))
    drawn = np.mean([np.mean([each.drawn for each in members], axis=0) for members in samples], axis=0)
    return Sample(value, drawn)


def _of(now: Sample, before: Sample, how: Callable[[Any, Any], Any]) -> Sample:
    same = now.drawn.shape == before.drawn.shape
    return Sample(float(how(now.value, before.value)), how(now.drawn, before.drawn) if same else np.empty(0))


def _ratio(now: Any, before: Any) -> Any:
    """Infinite, or NaN, where nothing was wrong before; then there is no interval."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(now, before)
