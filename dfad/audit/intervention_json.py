"""What an audit by intervention found, as plain data: screen and report are made from it (docs/intervention.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from dfad.audit.intervention import Effect, Intervened, Measured
from dfad.audit.reliance import Verdict
from dfad.audit.treatments import GROUPS, Neutral
from dfad.labels import CLASS_NAMES

FORMAT = 1


def results_of(
    found: Intervened,
    judged: Sequence[Verdict],
    neutral: Neutral,
    *,
    about: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Give what was found as plain data; NaN and infinity, which JSON does not know, as null.

    Args:
        found: the numbers.
        judged: the verdicts, in order.
        neutral: the common values.
        about: further keys: which run, which clips, how they were treated.
        notes: what a reader should know.
    """
    return {
        "format": FORMAT,
        **about,
        "clips": dict(zip(CLASS_NAMES, found.clips, strict=True)),
        "bootstrap": {"unit": found.unit.name, "count": found.unit.count, "resamples": found.resamples},
        "clean": {name: _measured(value) for name, value in found.clean.items()},
        "groups": [_group(one, neutral) for one in judged],
        "notes": [*notes, *([found.unit.note] if found.unit.note else [])],
    }


def _group(one: Verdict, neutral: Neutral) -> dict[str, Any]:
    finding, group = one.finding, GROUPS[one.finding.group]
    alone = finding.alone
    return {
        "group": finding.group,
        "verdict": one.kind,
        "words": one.words,
        "remedy": one.remedy,
        "share": _measured(finding.same.share),
        "treatment": f"every clip {group.words(neutral)}",
        "alone": {
            "trait": alone.trait,
            "more": CLASS_NAMES[alone.more],
            "training": _measured(alone.training),
            "scored": _measured(alone.scored),
        },
        "same": _effect(finding.same),
        "swap": _effect(finding.swap),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "values": {name: _measured(value) for name, value in effect.values.items()},
        "changes": {name: _measured(value) for name, value in effect.changes.items()},
        "share": _measured(effect.share),
        "shift": dict(zip(CLASS_NAMES, map(_plain, effect.shift), strict=True)),
        "largest": _plain(effect.largest),
    }


def _measured(measured: Measured) -> dict[str, Any]:
    return {"value": _plain(measured.value), "interval": [_plain(end) for end in measured.interval]}


def _plain(value: float) -> float | None:
    return float(value) if isfinite(value) else None
