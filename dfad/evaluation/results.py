"""Evaluations as plain data: what `metrics.json` holds, and everything that is printed or drawn is read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dfad.deployed import Deployed, Raw
from dfad.evaluation.breakdown import Slice
from dfad.evaluation.options import EvaluationKnobs
from dfad.evaluation.samples import plain
from dfad.evaluation.whole import Evaluation

FORMAT = 2
COUNTS = ("n_bona_fide", "n_spoof")


def results_of(
    found: Mapping[str, Evaluation], options: EvaluationKnobs, deployed: Deployed, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Give evaluations by split as plain data; NaN and infinity, which JSON does not know, as null.

    Args:
        found: by split.
        options: that they were made with.
        deployed: threshold and calibrator.
        notes: of corpus and splits; they come first.

    Returns:
        `format`; `options`; `threshold`, the deployed one, or null; `raw`, what scores are if not
        log-odds; `values` and `intervals` ([low, high]) under
        `<split>/<metric>`; `bootstrap`, what was drawn, by split; `breakdowns` by split and column; `notes`.
    """
    alone = len(found) == 1  # then it need not be said of which split a note is
    said = [note if alone else f"{split}: {note}" for split, evaluation in found.items() for note in evaluation.notes]
    return {
        "format": FORMAT,
        "options": options.plain(),
        "threshold": deployed.threshold,
        **({"raw": deployed.raw.plain()} if deployed.raw != Raw() else {}),
        "values": {
            f"{split}/{name}": int(value) if name in COUNTS and value == value else plain(value)
            for split, evaluation in found.items()
            for name, value in evaluation.values.items()
        },
        "intervals": {
            f"{split}/{name}": [plain(end) for end in ends]
            for split, evaluation in found.items()
            for name, ends in evaluation.intervals.items()
        },
        "bootstrap": {
            split: {"unit": evaluation.unit.name, "count": evaluation.unit.count, "resamples": options.resamples}
            for split, evaluation in found.items()
            if evaluation.unit
        },
        "breakdowns": {
            split: {column: [_row(part) for part in parts] for column, parts in evaluation.breakdowns.items()}
            for split, evaluation in found.items()
        },
        "notes": list(dict.fromkeys([*notes, *deployed.notes, *said])),
    }


def _row(part: Slice) -> dict[str, Any]:
    return {
        "value": part.value,
        "n_bona_fide": part.n_bona_fide,
        "n_spoof": part.n_spoof,
        "eer": plain(part.eer),
        "interval": [plain(end) for end in part.interval],
        "unit": part.unit,
        "miss": plain(part.miss),
        "false_alarm": plain(part.false_alarm),
        "note": part.note,
    }
