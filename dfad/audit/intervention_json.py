"""What an audit by intervention found, as plain data: screen and report are made from it (docs/intervention.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dfad.audit.intervention import Effect, Intervened
from dfad.audit.reliance import Verdict
from dfad.audit.treatments import GROUPS, Neutral
from dfad.evaluation.samples import plain
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
        "clean": {name: value.plain() for name, value in found.clean.items()},
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
        "share": finding.same.share.plain(),
        "treatment": f"every clip {group.words(neutral)}",
        "alone": {
            "trait": alone.trait,
            "more": CLASS_NAMES[alone.more],
            "training": alone.training.plain(),
            "scored": alone.scored.plain(),
        },
        "same": _effect(finding.same),
        "swap": _effect(finding.swap),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "values": {name: value.plain() for name, value in effect.values.items()},
        "changes": {name: value.plain() for name, value in effect.changes.items()},
        "share": effect.share.plain(),
        "shift": dict(zip(CLASS_NAMES, map(plain, effect.shift), strict=True)),
        "largest": plain(effect.largest),
    }
