"""What a suite looks like on a page: the few numbers, curves over strength, tables, the clips that give way first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dfad.evaluation.thresholds import parse_rule
from dfad.report import robust_tables as rows
from dfad.report.page import Headline, Section, Sound
from dfad.report.robust_figures import Curve, by_attack, curves, worst_conditions
from dfad.report.robust_tables import number
from dfad.report.style import png
from dfad.report.tables import Rows, shown, shown_interval
from dfad.robustness.conditions import counted
from dfad.robustness.verdict import MARKS, verdict
from dfad.stored import as_trained

LAUNDERED = (
    "What happens to recordings on their way: noise, rooms, channels, codecs. Each perturbation goes over the same "
    "clips, whatever their class. All rates are in percent; added: by how many points the EER is above that of the "
    "clips as they are, with its 95 % interval; fake → real: the share of fakes that pass now among those that were "
    "caught before, and the other way round. SNR, in dB: power of the clip to that of what was changed of it."
)
ATTACKED = (
    "An adversary who knows the detector, or may ask it, changes each clip within a budget so that it is decided "
    "wrongly. fake → real is the security case: the share of fakes that pass now among those that were caught before. "
    "EER, fakes attacked: of attacked fakes against bona fide clips as they are; every other EER is of clips that are "
    "all attacked, bona fide ones too."
)
LISTED = 8  # weakest clips of each class; robustness.json has more
CURVES = {
    "laundering": {"eer": "EER", "miss": "miss", "false_alarm": "false alarm"},
    "adversarial": {"fake_to_real": "fake → real", "real_to_fake": "real → fake"},
}


@dataclass(frozen=True)
class Robust:
    """A suite that was judged.

    Attributes:
        results: as `robustness.json` holds them.
        sounds: clips to hear, by family.
    """

    results: Mapping[str, Any]
    sounds: Mapping[str, Sequence[Sound]]


def headline(results: Mapping[str, Any]) -> list[Headline]:
    """The numbers of a suite to see first."""
    found = []
    if means := results["means"].get("laundering"):
        clean = shown("eer", number(results["clean"]["eer"]))
        hint = f"mean over {counted(means['perturbations'], 'perturbation')}; as they are {clean}"
        found.append(Headline("EER, laundered", *_value(means["eer"], hint)))
    attacks = [one for one in results["conditions"] if one["family"] == "adversarial"]
    known = [one for one in attacks if number(one["fake_to_real"]) is not None]
    if known:
        worst = max(known, key=lambda one: one["fake_to_real"]["value"])
        hint = f"of the fakes that were caught pass under {worst['title']}"
        found.append(Headline("fakes that pass, attacked", *_value(worst["fake_to_real"], hint)))
    return found


def draw(results: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw all pictures, as PNG files by name."""
    families = {one["family"] for one in results["conditions"]}
    drawn = {}
    for family, metrics in CURVES.items():
        if rows.graded(results, family):
            lines = [Curve(title, results, name) for name, title in metrics.items()]
            drawn[f"{family}_curves"] = png(curves(lines, family))
    if "laundering" in families:
        drawn["laundering_worst"] = png(worst_conditions(results, "laundering"))
    if families:
        drawn["robustness_by_attack"] = png(by_attack(results))
    return drawn


def sections(robust: Robust, pictures: Mapping[str, bytes]) -> list[Section]:
    """The parts of the page that are about a suite."""
    results = robust.results
    families = list(dict.fromkeys(one["family"] for one in results["conditions"]))
    if not families:
        return []
    return [
        Section(
            "Robustness",
            f"{_caption(results)} {_seen(results)}".strip(),
            figures=[
                (
                    "decided wrongly at the deployed threshold, mean over strengths",
                    pictures["robustness_by_attack"],
                    "share of bona fide clips, and of each attack, that is decided wrongly under each perturbation",
                )
            ],
            table=(rows.MEANS, rows.mean_rows(results)),
        ),
        *(part for family in families for part in _family(family, robust, pictures)),
    ]


def _family(family: str, robust: Robust, pictures: Mapping[str, bytes]) -> list[Section]:
    """Pictures, a table of all conditions, and the weakest clips of one family."""
    results = robust.results
    figures = []
    if drawn := pictures.get(f"{family}_curves"):
        what = "perturbation" if family == "laundering" else "attack"
        figures.append(("over strength, the clips as they are first", drawn, f"rates over the strength of each {what}"))
    if family == "laundering":
        figures.append(("EER by condition", pictures["laundering_worst"], "EER with intervals by condition"))
        parts = [Section("Laundering", LAUNDERED, figures, (rows.CONDITIONS, rows.condition_rows(results, family)))]
    else:
        parts = [
            Section("Attacks on the detector", ATTACKED, figures, (rows.ADVERSARIAL, rows.adversarial_rows(results))),
            Section("Attacks, by condition", table=(rows.CONDITIONS, rows.condition_rows(results, family))),
        ]
        if results["checks"]:
            parts.append(Section("Whether gradients are masked", _masking(results), table=_checks(results)))
    if weak := _weakest(results, family):
        name = "laundering" if family == "laundering" else "attacks"
        parts.append(
            Section(
                f"The clips that give way to {name}",
                "Right as they are, and wrong under the most conditions.",
                table=(("clip", "", "wrong under", "score", "furthest by", "score then"), weak),
                sounds=robust.sounds.get(family, ()),
            )
        )
    return parts


def _caption(results: Mapping[str, Any]) -> str:
    drawn, threshold, clips = results["bootstrap"], results["threshold"], results["clips"]
    chosen = "given by hand" if parse_rule(results["rule"])[0] == "number" else "which clean validation chose"
    at = f"threshold {as_trained(results):g}" if threshold is None else f"the threshold {threshold:.4g}, {chosen}"
    said = f"{clips['bona-fide']:,} bona fide + {clips['spoof']:,} spoof clips. Every decision is at {at}."
    if drawn["resamples"]:
        unit = "clips" if drawn["unit"] == "clip" else f"values of {drawn['unit']}"
        said += f" 95 % intervals: {drawn['resamples']:,} paired bootstrap resamples of {drawn['count']} {unit}."
    return f"{said} Means are over the strengths of each perturbation, then over perturbations."


def _seen(results: Mapping[str, Any]) -> str:
    """What training had the like of."""
    if results["seen"] is None:
        return "Whether training had the like of any is not known."
    there = {one["name"] for one in results["conditions"]}
    seen = {name: by for name, by in results["seen"].items() if name in there}
    if not seen:
        return "Training had the like of none of them."
    return "Training had the like of those with a *: " + ", ".join(f"{name} ({by})" for name, by in seen.items()) + "."


def _masking(results: Mapping[str, Any]) -> str:
    said = verdict(results["checks"])
    return f"An attack that finds no gradient fails, whatever the detector is worth. {said[0].upper()}{said[1:]}."


def _checks(results: Mapping[str, Any]) -> tuple[Sequence[str], Rows]:
    return ("check", "", "what was found"), [
        (check["name"], MARKS[check["passed"]], check["words"]) for check in results["checks"]
    ]


def _weakest(results: Mapping[str, Any], family: str) -> Rows:
    return [
        (
            one["id"],
            one["attack"] or ("bona fide" if label == "bona-fide" else "spoof"),
            f"{one['wrong']} of {one['tried']}",
            f"{one['score']:.2f}",
            one["worst_title"],
            f"{one['worst_score']:.2f}",
        )
        for label, members in results["weakest"].get(family, {}).items()
        for one in members[:LISTED]
    ]


def _value(measured: Mapping[str, Any], hint: str) -> tuple[str, str, str]:
    """Value, hint and interval of a share, as a headline has them."""
    return shown("eer", measured["value"]), hint, shown_interval("eer", measured["interval"])
