"""The whole audit of a corpus: measured once, looked at in every way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dfad.audio import LIMITS, Limits
from dfad.audit.columns import Column, columns
from dfad.audit.drift import Drift, drifts
from dfad.audit.features import Remedies
from dfad.audit.findings import Finding, Part, find, parts_of
from dfad.audit.measure import Measured, measure
from dfad.audit.model import MOST_CLIPS, Grouping, Trial, groupings, trials
from dfad.audit.overlap import Overlap, overlaps
from dfad.audit.verdicts import remedies
from dfad.clips import Manifest
from dfad.errors import DataError
from dfad.labels import Label
from dfad.metrics.bootstrap import untold

Watch = Callable[..., Callable[[int, int], None]]


@dataclass(frozen=True)
class Audit:
    """What a corpus lets a detector cheat with.

    Attributes:
        measured: the clips, and what was measured of them.
        columns: in which they differ.
        parts: that were looked at, a split or all.
        findings: of each feature in each part, named ones first.
        groups: by which clips can be kept together, the one with the fewest first.
        trials: of the small model.
        drifts: between train and test.
        overlaps: between splits, and between classes.
        remedies: numbers of the overrides.
        notes: what is missing or doubtful, in words.
    """

    measured: Measured
    columns: list[Column]
    parts: list[Part]
    findings: list[Finding]
    groups: list[Grouping]
    trials: list[Trial]
    drifts: list[Drift]
    overlaps: list[Overlap]
    remedies: Remedies
    notes: list[str]


def audit(
    manifest: Manifest,
    *,
    group: str | None = None,
    limits: Limits = LIMITS,
    watch: Watch = lambda *task: untold,
) -> Audit:
    """Look at every clip of a corpus without training on what it says.

    Args:
        manifest: the clips.
        group: column whose values belong together; None: speaker, source or page.
        limits: what is refused unread.
        watch: makes the progress of a task of its name and unit.

    Raises:
        ConfigError: if there is no such column.
        DataError: if a class is missing, or cannot be decoded.
    """
    counts = np.bincount(manifest.labels, minlength=2)
    if not counts.all():
        raise DataError(
            f"{counts[Label.BONA_FIDE]} bona-fide and {counts[Label.SPOOF]} spoof clips: an audit asks what tells the "
            "classes apart, so it needs both"
        )
    groupings(manifest, group)  # a wrong column is told before any work
    measured = measure(manifest, limits=limits, progress=watch("measuring clips"))
    manifest = measured.manifest
    found = columns(measured)
    heard = [column for column in found if column.heard]
    parts, notes = parts_of(manifest, group)
    findings = find(found, parts, watch("ranking clips", "features"))
    groups = groupings(manifest, group)
    return Audit(
        measured,
        found,
        parts,
        findings,
        groups,
        trials(manifest, heard, groups, watch("training small models", "models")) if heard else [],
        drifts(manifest, heard, findings, watch("comparing train and test", "features")),
        overlaps(measured),
        remedies(measured),
        [*manifest.notes, *_skips(measured), *notes, *_doubts(groups, len(manifest))],
    )


def _skips(measured: Measured) -> list[str]:
    count = len(measured.skipped)
    told = f"{count} of {count + len(measured.manifest)} clips cannot be decoded and are left out"
    return [f"{told}; each is named with its reason"] if count else []


def _doubts(groups: list[Grouping], clips: int) -> list[str]:
    notes = [
        f"each known {group.name} has one class only: what tells these apart tells the classes apart, "
        "and nothing here can part the two"
        for group in groups
        if group.shared == 0
    ]
    if not groups:
        notes.append("no column speaker, source or page is known for most clips: the model has a random split only")
    if clips > MOST_CLIPS:
        notes.append(f"the model is trained on {MOST_CLIPS:,} clips, drawn at random")
    return notes
