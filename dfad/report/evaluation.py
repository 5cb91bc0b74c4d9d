"""What an evaluation looks like: headline, pictures and sections, for a run, an evaluation or a file of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import nan
from typing import Any
from urllib.parse import quote

from matplotlib.figure import Figure

from dfad.deployed import Deployed
from dfad.errors import MetricError
from dfad.metrics import classification_report, confusion
from dfad.report import calibration, figures
from dfad.report.groups import Group, groups
from dfad.report.page import Headline, Section, Sound
from dfad.report.style import png
from dfad.report.tables import (
    BREAKDOWN_HEADER,
    breakdown_rows,
    drawn,
    metric_rows,
    other_unit,
    shown,
    shown_interval,
    threshold_names,
    threshold_table,
)
from dfad.scores import ScoreTable
from dfad.stored import as_trained

HEADLINE = {
    "eer": "equal error rate",
    "eer/seen": "EER on attacks that training had",
    "eer/unseen": "EER on attacks that training had not",
    "balanced_accuracy_at_val": "balanced accuracy, at the threshold by validation",
    "balanced_accuracy": "balanced accuracy at threshold {at:g}",
    "cllr_calibrated": "Cllr in bits, calibrated: 0 perfect, 1 knows nothing",
    "cllr": "Cllr in bits: 0 perfect, 1 knows nothing",
}
INSTEAD = {"balanced_accuracy": "balanced_accuracy_at_val", "cllr": "cllr_calibrated"}  # shown only without the other
LABELS = {"eer": "EER", "eer/seen": "seen attacks", "eer/unseen": "unseen attacks", "cllr": "Cllr"}
FILES = {"": "as_trained", "_at_val": "by_validation", "_at_oracle": "oracle"}


@dataclass(frozen=True)
class Judged:
    """Scores with what was found about them.

    Attributes:
        results: as `metrics.json` holds them.
        split: that is shown.
        table: its scores.
        deployed: threshold and calibrator.
        validation: scores of validation, if there are any, drawn beside.
        misses: bona fide clips that are rejected, to hear, worst first.
        false_alarms: spoof clips that pass, to hear, worst first.
    """

    results: Mapping[str, Any]
    split: str
    table: ScoreTable
    deployed: Deployed = Deployed()  # noqa: RUF009  (frozen)
    validation: ScoreTable | None = None
    misses: Sequence[Sound] = ()
    false_alarms: Sequence[Sound] = ()


def headline(judged: Judged) -> list[Headline]:
    """The few numbers to see first."""
    values, intervals = judged.results["values"], judged.results["intervals"]
    found = []
    for key, hint in HEADLINE.items():
        name = f"{judged.split}/{key}"
        if values.get(name) is None or values.get(f"{judged.split}/{INSTEAD.get(key)}") is not None:
            continue
        ends = shown_interval(key, intervals.get(name))
        label = LABELS.get(key.removesuffix("_calibrated"), "balanced accuracy")
        said = hint.format(at=as_trained(judged.results))
        found.append(Headline(label, shown(key, values[name]), said, ends))
    return found


def draw(judged: Judged) -> dict[str, bytes]:
    """Draw all pictures, as PNG files by name."""
    scores, labels = judged.table.scores, judged.table.labels
    curves = {judged.split: (scores, labels)}
    both = curves
    if judged.validation is not None:
        both = {"validation": (judged.validation.scores, judged.validation.labels), **curves}
    names = threshold_names(judged.results, judged.split)
    lines = {name: at for name, at in names.values() if at is not None}
    cosines = judged.deployed.raw.unit == "cosine"
    ratios = {} if cosines else {"as it stands": (scores, labels)}
    if judged.deployed.calibrator:
        ratios["calibrated"] = (judged.deployed.calibrator(scores), labels)
    drawn: dict[str, Figure] = {
        "det": figures.det(both),
        "roc": figures.roc(both),
        "histogram": figures.histogram(scores, labels, lines, unit="cosine" if cosines else figures.UNIT),
        "reliability": calibration.reliability(ratios, judged.deployed.prior),
        "cost_over_prior": calibration.cost_over_prior(ratios),
    }
    for suffix, (_, at) in names.items():
        if at is not None:
            with suppress(MetricError):  # a NaN or no clip at all, which the notes and all other pictures say
                drawn[f"confusion_{FILES[suffix]}"] = figures.confusion(confusion(scores, labels, at))
    whole = judged.results["values"].get(f"{judged.split}/eer")
    for column, parts in judged.results["breakdowns"].get(judged.split, {}).items():
        drawn[f"by_{_file_name(column)}"] = groups([_group(part) for part in parts], whole=whole)
    return {name: png(figure) for name, figure in drawn.items()}


def sections(judged: Judged, pictures: Mapping[str, bytes]) -> list[Section]:
    """The parts of the page that are about scores."""
    split = judged.split
    return [
        Section(
            "Results",
            f"{drawn(judged.results, split)}. min Cllr and minDCF are what the best calibration and threshold would "
            "reach: the gap to Cllr and actDCF is calibration, the rest discrimination.".removeprefix(". "),
            table=_metrics(judged),
        ),
        _decisions(judged, pictures),
        Section(
            "Errors at every threshold",
            "Each point of a curve is a threshold; the dot is where both errors are equal.",
            figures=[
                ("DET", pictures["det"], f"detection error trade-off of {split}"),
                ("ROC", pictures["roc"], f"receiver operating characteristic of {split}"),
                ("scores", pictures["histogram"], f"distribution of the scores of {split} by class"),
            ],
        ),
        Section(
            "Calibration",
            f"Whether P(spoof), at a prior of {judged.deployed.prior:g}, means what it says; and what decisions cost "
            "if bona fide clips are more or less frequent, or errors more or less expensive.",
            figures=[
                ("reliability", pictures["reliability"], "stated against observed share of spoof"),
                ("cost over prior", pictures["cost_over_prior"], "normalised cost of decisions over the prior"),
            ],
        ),
        *_breakdowns(judged, pictures),
        *_worst(judged),
        Section("Classification reports", f"Clips of {split}, at each threshold.", text=_reports(judged)),
    ]


def _metrics(judged: Judged) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    there = {name.split("/")[0] for name in judged.results["values"]}
    splits = [split for split in dict.fromkeys(("val", judged.split)) if split in there]
    return ("", *splits, "95 % interval"), metric_rows(judged.results, splits)


def _decisions(judged: Judged, pictures: Mapping[str, bytes]) -> Section:
    names = threshold_names(judged.results, judged.split)
    lacking = "" if judged.deployed.threshold is not None else " Validation has chosen none here."
    return Section(
        "Decisions at three thresholds" if not lacking else "Decisions at two thresholds",
        "A clip whose score is at or above the threshold passes as bona fide. The oracle looked at the answers: it is "
        f"there for comparison, and no detector that is used can have it.{lacking}",
        table=threshold_table(judged.results, judged.split),
        small=True,
        figures=[
            (name, pictures[file], f"confusion matrix, threshold {name}")
            for suffix, (name, _) in names.items()
            if (file := f"confusion_{FILES[suffix]}") in pictures
        ],
    )


def _breakdowns(judged: Judged, pictures: Mapping[str, bytes]) -> list[Section]:
    whole = " of its corpus" if "corpus" in judged.table.frame else ""
    against = {"attack": f"Each attack stands against every bona fide clip{whole}, as it has none of its own."}
    usual = "Spoof clips of each value stand against the bona fide clips of the same value."
    return [
        Section(
            f"By {column}, the worst first",
            f"{against.get(column, usual)} Clips: bona fide + spoof; miss and false alarm at {_where(judged)}. "
            f"{other_unit(judged.results, judged.split, parts)}".rstrip(),
            figures=[(f"EER by {column}", pictures[f"by_{_file_name(column)}"], f"EER with intervals by {column}")],
            table=(BREAKDOWN_HEADER, breakdown_rows(parts)),
        )
        for column, parts in judged.results["breakdowns"].get(judged.split, {}).items()
    ]


def _worst(judged: Judged) -> list[Section]:
    """The worst clips to hear."""
    shown = {
        "Worst misses": (judged.misses, "Bona fide clips that are rejected"),
        "Worst false alarms": (judged.false_alarms, "Spoof clips that pass"),
    }
    how = f"at {_where(judged)}, the most wrong first; as the detector hears them."
    return [Section(title, f"{what} {how}", sounds=sounds) for title, (sounds, what) in shown.items() if sounds]


def _where(judged: Judged) -> str:
    """At which threshold clips are rejected or pass."""
    deployed = judged.deployed
    return f"threshold {deployed.raw.middle:g}" if deployed.threshold is None else "the deployed threshold"


def _reports(judged: Judged) -> str:
    blocks = []
    for name, at in threshold_names(judged.results, judged.split).values():
        try:
            text = classification_report(judged.table.scores, judged.table.labels, nan if at is None else at)
        except MetricError as error:
            text = str(error)
        blocks.append(f"{name}\n{text}")
    return "\n\n".join(blocks)


def _group(part: Mapping[str, Any]) -> Group:
    low, high = (nan if end is None else end for end in part["interval"])
    value = nan if part["eer"] is None else part["eer"]
    return Group(part["value"], value, low, high, part["n_bona_fide"], part["n_spoof"])


def _file_name(column: str) -> str:
    """A column as part of a file's name; no two have the same."""
    return quote(column, safe=" ")
