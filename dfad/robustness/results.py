"""A suite as plain data: what `robustness.json` holds, and all that is printed or drawn is read from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dfad.deployed import Deployed, Raw
from dfad.evaluation.samples import plain
from dfad.labels import CLASS_NAMES, Label
from dfad.metrics.bootstrap import RESAMPLES, untold
from dfad.robustness.conditions import CLEAN, Condition, Family
from dfad.robustness.means import by_name, means_of
from dfad.robustness.outcomes import RATES, SUCCESS, Outcome, outcomes
from dfad.robustness.verdict import verdict
from dfad.robustness.weakest import Weak, weakest
from dfad.scores import ScoreTable

FORMAT = 2
FAMILIES: tuple[Family, ...] = ("laundering", "adversarial")
LEAST, WORK = 500, 2**27  # resamples, and clips times conditions times resamples: some seconds of one core
FEW = 10  # clusters of clips that were right; with fewer, a success says little


def results_of(
    tables: Mapping[Condition, ScoreTable],
    deployed: Deployed,
    *,
    seen: Mapping[str, str] | None = None,
    skipped: Mapping[str, str] | None = None,
    checks: Sequence[Mapping[str, Any]] = (),
    about: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    cluster: str | None = None,
    resamples: int = RESAMPLES,
    worst: int = 10,
    progress: Callable[[int, int], None] = untold,
) -> dict[str, Any]:
    """Judge the tables of a suite at what clean validation chose; docs/robustness.md says what each key is.

    Args:
        tables: `CLEAN`, and one per condition.
        deployed: threshold and calibrator; nothing is chosen anew.
        seen: perturbations of which training had the like, and what it had; None where that is not known.
        skipped: perturbations that were left out, and why.
        checks: of gradient masking: `name`, `passed` (null: cannot be told) and `words`, each.
        about: further keys, such as which run and clips.
        notes: what a reader should know; they come first.
        cluster: as `eval.cluster`.
        resamples: of the bootstrap, at most; on many clips fewer (at least 500), as intervals of many conditions would
            take minutes; 0: no intervals.
        worst: clips of each class and family that are listed.
        progress: is told how far it is.

    Raises:
        DataError: if the tables are not of the same clips.
        ConfigError: for a cluster column that there is not.
    """
    had, skipped = seen or {}, skipped or {}
    resamples = min(resamples, max(LEAST, WORK // max(1, sum(map(len, tables.values())))))
    found = outcomes(tables, deployed, cluster=cluster, resamples=resamples, progress=progress)
    clean, others = found[0], found[1:]
    threshold = deployed.decides_at
    return {
        "format": FORMAT,
        **(about or {}),
        "threshold": deployed.threshold,
        **({"raw": deployed.raw.plain()} if deployed.raw != Raw() else {}),
        "rule": deployed.rule,
        "calibrated": deployed.calibrator is not None,
        "clips": dict(zip(CLASS_NAMES, clean.clips, strict=True)),
        "digest": digest(tables[CLEAN]),
        "bootstrap": {"unit": clean.unit.name, "count": clean.unit.count, "resamples": resamples},
        "clean": {
            **{name: clean.measured(name).plain() for name in RATES},
            "cllr": plain(clean.cllr),
            "by_attack": dict(clean.by_attack),
        },
        "conditions": [_condition(one, had) for members in by_name(others).values() for one in members],
        "means": means_of(others, had),
        "weakest": {
            family: {
                str(label): [_weak(one) for one in weakest(tables, family, label, threshold=threshold, most=worst)]
                for label in Label
            }
            for family in FAMILIES
            if any(one.condition.family == family for one in others)
        },
        "seen": None if seen is None else dict(seen),
        "checks": [dict(check) for check in checks],
        "skipped": dict(skipped),
        "notes": list(dict.fromkeys([*notes, *_notes(clean, others, deployed, skipped, checks)])),
    }


def digest(table: ScoreTable) -> str:
    """Of which clips these are, whatever their order."""
    return hashlib.sha256("\0".join(sorted(table.frame["id"])).encode()).hexdigest()[:16]


def _condition(one: Outcome, seen: Mapping[str, str]) -> dict[str, Any]:
    condition = one.condition
    more = ["eer_fakes"] if "eer_fakes" in one.samples else []
    return {
        "key": condition.key,
        "family": condition.family,
        "name": condition.name,
        "strength": condition.strength,
        "unit": condition.unit,
        "harder": condition.harder,
        "title": str(condition),
        "seen": condition.name in seen,
        "clips": dict(zip(CLASS_NAMES, one.clips, strict=True)),
        **{name: one.measured(name).plain() for name in (*RATES, *SUCCESS, *more)},
        **{f"{name}_added": one.change(name).plain() for name in RATES},
        "cllr": plain(one.cllr),
        **{name: plain(value) for name, value in one.added.items()},
        "unchanged": one.unchanged,
        "by_attack": dict(one.by_attack),
        "note": one.note,
    }


def _weak(one: Weak) -> dict[str, Any]:
    return {
        "id": one.id,
        "attack": one.attack,
        "score": plain(one.score),
        "wrong": one.wrong,
        "tried": one.tried,
        "worst": one.worst.key,
        "worst_title": str(one.worst),
        "worst_score": plain(one.worst_score),
    }


def _notes(
    clean: Outcome,
    others: Sequence[Outcome],
    deployed: Deployed,
    skipped: Mapping[str, str],
    checks: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What a reader should know before believing the numbers."""
    notes = []
    if deployed.threshold is None:
        notes.append("validation has chosen no threshold: decisions are at 0")
    notes += [f"{one.condition}: {one.note}" for one in (clean, *others) if one.note]
    for name, word in (("fake_to_real", "spoof"), ("real_to_fake", "bona fide")):
        if clean.clips[SUCCESS[name]] and (count := clean.right.get(name, 0)) < FEW:
            what = "" if clean.unit.name == "clip" else f" (values of {clean.unit.name})"
            notes.append(f"only {count} {word} clips{what} are right as they are: what turns them says little")
    if fewer := [one for one in others if one.clips != clean.clips]:
        names = ", ".join(dict.fromkeys(one.condition.name for one in fewer))
        notes.append(f"{names}: tried on fewer clips, and compared with just these as they are")
    if same := [str(one.condition) for one in others if one.unchanged == sum(one.clips)]:
        notes.append(f"nothing was changed by {', '.join(same)}")
    if skipped:
        notes.append(f"{len(skipped)} left out: {'; '.join(f'{name}: {why}' for name, why in skipped.items())}")
    if any(check["passed"] is not True for check in checks):
        notes.append(verdict(checks))
    if clean.unit.note:
        notes.append(clean.unit.note)
    return notes
