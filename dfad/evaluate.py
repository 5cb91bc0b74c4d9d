"""What a ScoreTable says about a detector; it works on any system's scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dfad.clips import Label
from dfad.metrics import summary
from dfad.scores import ScoreTable


@dataclass(frozen=True)
class Evaluation:
    """Metrics by key, and what a reader should know about them.

    `values` holds the keys of `dfad.metrics.Summary`; beside them `eer/seen` and `eer/unseen` (attacks that training
    had, and had not) and `eer/<attack>`, each of those against every bona fide clip.
    """

    values: dict[str, float]
    notes: tuple[str, ...]


def evaluate(table: ScoreTable, *, threshold: float | None = None, known_attacks: Iterable[str] = ()) -> Evaluation:
    """Compute the metrics of a table.

    Args:
        table: scores of one split or corpus.
        threshold: the one chosen on validation, for the decision metrics `…_at_val`.
        known_attacks: the attacks that training had; with none, seen and unseen are not told apart.
    """
    whole = summary(table.scores, table.labels, threshold=threshold)
    values, notes = dict(whole.values), list(whole.notes)
    spoof = table.frame[table.frame["label"] == Label.SPOOF]
    attacks, known = sorted(set(spoof["attack"]) - {""}), set(known_attacks)
    groups = {attack: {attack} for attack in attacks}
    groups |= {"seen": set(attacks) & known, "unseen": set(attacks) - known} if known else {}
    for name, members in groups.items():
        if members:
            part = table.against_all_bona_fide(members)
            values[f"eer/{name}"] = summary(part.scores, part.labels).values["eer"]
    return Evaluation(values, tuple(notes))


def worst(table: ScoreTable, *, threshold: float, most: int) -> ScoreTable:
    """The clips that are most wrong at a threshold, worst first; those nearest to it where too few are wrong.

    Half of them are bona fide and half spoof, if there are so many: else one kind of error could hide the other.
    """
    margin = np.where(table.labels == Label.BONA_FIDE, table.scores - threshold, threshold - table.scores)
    order = np.argsort(margin, kind="stable")
    halves = [order[table.labels[order] == label] for label in Label]
    rank = np.concatenate([np.arange(len(half)) for half in halves])  # first the worst of each, then the next
    chosen = np.concatenate(halves)[np.argsort(rank, kind="stable")][:most]
    return ScoreTable(table.frame.iloc[chosen[np.argsort(margin[chosen], kind="stable")]])
