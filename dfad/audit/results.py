"""An audit as plain data: what `audit.json` holds, and everything that is printed is read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np

from dfad.audit import verdicts
from dfad.audit.drift import Drift
from dfad.audit.features import GROUPS
from dfad.audit.findings import CONFIDENCE, Finding, groups_of
from dfad.audit.model import EVERYTHING, RANDOM, TRAIN_TEST, Trial
from dfad.audit.whole import Audit
from dfad.clips import Manifest
from dfad.labels import SPLITS, Label

FORMAT = 1


def results_of(found: Audit) -> dict[str, Any]:
    """Give an audit as plain data; what is not defined is null. docs/audit.md says what each key is."""
    manifest = found.measured.manifest
    return {
        "format": FORMAT,
        "clips": _counts(manifest),
        "confidence": CONFIDENCE,
        "findings": [_finding(found, finding) for finding in found.findings],
        "groups": [
            {
                "group": group,
                "about": GROUPS[group],
                "named": count,
                "feature": best.column.name if best else None,
                "split": best.split if best else None,
                "auroc": best.auroc if best else None,
            }
            for group, best, count in groups_of(found.findings)
        ],
        "model": _model(found),
        "drift": [_drift(drift) for drift in found.drifts],
        "overlap": [asdict(overlap) | {"verdict": verdicts.overlap_verdict(overlap)} for overlap in found.overlaps],
        "skipped": found.measured.skipped,
        "notes": found.notes,
    }


def _counts(manifest: Manifest) -> dict[str, dict[str, int]]:
    found = {split: np.bincount(manifest.labels[manifest.rows(split)], minlength=2) for split in SPLITS}
    return {
        split: {str(label): int(count[label]) for label in (Label.BONA_FIDE, Label.SPOOF)}
        for split, count in found.items()
        if count.any()
    }


def _finding(found: Audit, finding: Finding) -> dict[str, Any]:
    unit = next(part.unit.name for part in found.parts if part.name == finding.split)
    column = finding.column
    return {
        "group": column.feature.group,
        "feature": column.name,
        "title": column.title,
        "split": finding.split,
        "auroc": finding.auroc,
        "interval": _ends(finding.interval),
        "over": unit if finding.holds is not None else None,
        "interval_over": _ends(finding.over),
        "holds": finding.holds,
        "higher": str(finding.higher),
        "kind": finding.kind,
        "bona_fide": list(finding.classes[Label.BONA_FIDE]),
        "spoof": list(finding.classes[Label.SPOOF]),
        "clips": {str(label): finding.clips[label] for label in (Label.BONA_FIDE, Label.SPOOF)},
        "named": finding.named,
        "giveaway": finding.giveaway,
        "heard": column.heard,
        "same": column.same,
        "seen": verdicts.seen(finding),
        "doubt": verdicts.doubt(finding, unit),
        "advice": verdicts.advice(finding, found.remedies),
        "verdict": verdicts.verdict(finding, found.remedies, unit),
        "override": verdicts.override_of(finding, found.remedies),
    }


def _model(found: Audit) -> dict[str, Any]:
    whole = [trial for trial in found.trials if trial.features == EVERYTHING]
    named = {trial.how: _trial(trial) for trial in whole}
    grouped = [trial for trial in whole if trial.how not in (RANDOM, TRAIN_TEST)]
    return {
        "verdict": verdicts.model_verdict(found.trials),
        "random": named.get(RANDOM),
        "grouped": _trial(grouped[0]) if grouped else None,
        "train_test": named.get(TRAIN_TEST),
        "trials": [_trial(trial) for trial in found.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "how": trial.how,
        "features": trial.features,
        "eer": _plain(trial.eer),
        "interval": _ends(trial.interval),
        "auroc": _plain(trial.auroc),
        "clips": trial.clips,
        "unit": trial.unit or None,
        "note": trial.note,
    }


def _drift(drift: Drift) -> dict[str, Any]:
    return {
        "group": drift.column.feature.group,
        "feature": drift.column.name,
        "title": drift.column.title,
        "auroc": {name: area.value for name, area in drift.areas.items()},
        "interval": {name: _ends(area.interval) for name, area in drift.areas.items()},
        "named": drift.named,
        "fate": drift.fate,
        "verdict": verdicts.drift_verdict(drift),
    }


def _ends(interval: Sequence[float]) -> list[float | None]:
    return [_plain(end) for end in interval]


def _plain(value: float) -> float | None:
    return float(value) if isfinite(value) else None
