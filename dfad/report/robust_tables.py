"""Results of a suite as rows of text, the same on the screen and on the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dfad.report.tables import Rows, shown, shown_interval
from dfad.robustness.conditions import counted
from dfad.robustness.verdict import MARKS

TITLES = {
    "eer": "EER",
    "miss": "miss",
    "false_alarm": "false alarm",
    "fake_to_real": "fake → real",
    "real_to_fake": "real → fake",
    "cllr": "Cllr",
    "eer_fakes": "EER, fakes attacked",
}
LAUNDERING = ("laundering", "strengths, mildest first", "EER at each, %", "mean", "added", "miss", "false alarm")
ADVERSARIAL = (
    "attack",
    "strengths, mildest first",
    "fake → real, %",
    "real → fake, %",
    "EER, fakes attacked, %",
    "SNR, dB",
    "queries",
)
CONDITIONS = (
    "",
    "SNR",
    "EER",
    "added",
    "interval",
    "miss",
    "false alarm",
    "fake → real",
    "real → fake",
    "Cllr",
)
MEANS = ("mean", "EER", "95 % interval", "added", "times", "miss", "false alarm", "Cllr")
KINDS = {
    "laundering": "laundering",
    "laundering/seen": "… training had the like",
    "laundering/unseen": "… training had not",
    "adversarial": "attacks",
}
SEEN = "* training had the like"


def number(part: Any) -> float | None:
    """The value of a number, whether it has an interval or not."""
    return part["value"] if isinstance(part, Mapping) else part


def perturbations(results: Mapping[str, Any], family: str) -> dict[str, list[Mapping[str, Any]]]:
    """The conditions of each perturbation, mildest first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in results["conditions"]:
        if one["family"] == family:
            found.setdefault(one["name"], []).append(one)
    return found


def graded(results: Mapping[str, Any], family: str) -> bool:
    """Whether any perturbation has several strengths."""
    return any(len(members) > 1 for members in perturbations(results, family).values())


def mean(conditions: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean over strengths; None where one of them has no value."""
    values = [number(one[name]) for one in conditions]
    known = [value for value in values if value is not None]
    return sum(known) / len(values) if values and len(known) == len(values) else None


def laundering_rows(results: Mapping[str, Any]) -> Rows:
    """Below `LAUNDERING`: a row per perturbation, the highest mean EER first."""
    clean = number(results["clean"]["eer"])
    found = perturbations(results, "laundering")
    order = sorted(found, key=lambda name: -_or(mean(found[name], "eer"), 2.0))
    return [
        (
            _name(found[name]),
            strengths(found[name]),
            _each(found[name], "eer"),
            shown("eer", mean(found[name], "eer")),
            points(mean(found[name], "eer"), clean),
            shown("miss", mean(found[name], "miss")),
            shown("false_alarm", mean(found[name], "false_alarm")),
        )
        for name in order
    ]


def adversarial_rows(results: Mapping[str, Any]) -> Rows:
    """Below `ADVERSARIAL`: a row per attack, in the order of the suite."""
    return [
        (
            _name(members),
            strengths(members),
            _each(members, "fake_to_real", digits=0),
            _each(members, "real_to_fake", digits=0),
            _each(members, "eer_fakes"),
            " · ".join(_rounded(one.get("snr_db"), "{:.0f}") for one in members),
            " · ".join(_rounded(one["queries"], "{:,.0f}") for one in members if one.get("queries") is not None),
        )
        for members in perturbations(results, "adversarial").values()
    ]


def condition_rows(results: Mapping[str, Any], family: str) -> Rows:
    """Below `CONDITIONS`: the clips as they are, and a row per condition; shares in percent, without the sign."""
    clean = results["clean"]
    rates = *_percents(clean, "eer"), "", "", *_percents(clean, "miss", "false_alarm")
    rows: Rows = [("as they are", "", *rates, "", "", _cllr(clean))]
    rows += [
        (
            one["title"] + (" *" if one["seen"] else ""),
            _rounded(one.get("snr_db"), "{:.1f}"),
            *_percents(one, "eer"),
            points(number(one["eer_added"]), 0.0),
            _between(one["eer_added"]["interval"]),
            *_percents(one, "miss", "false_alarm", "fake_to_real", "real_to_fake"),
            _cllr(one),
        )
        for one in results["conditions"]
        if one["family"] == family
    ]
    return rows


def mean_rows(results: Mapping[str, Any]) -> Rows:
    """Below `MEANS`: a row for the clips as they are, and for each group of perturbations."""
    clean = results["clean"]
    rows: Rows = [("clips as they are", *_eer(clean), "", "", *_rates(clean, "miss", "false_alarm"), _cllr(clean))]
    for kind, means in results["means"].items():
        times = number(means["eer_times"])
        rows.append(
            (
                f"{KINDS[kind]}: {counted(means['conditions'], 'condition')}",
                *_eer(means),
                points(number(means["eer_added"]), 0.0),
                "" if times is None else f"{times:.2f}",
                *_rates(means, "miss", "false_alarm"),
                _cllr(means),
            )
        )
    return rows


def check_lines(results: Mapping[str, Any]) -> list[str]:
    """The masking checks in words, a line each."""
    return [f"{MARKS[check['passed']]}: {check['name']} ({check['words']})" for check in results["checks"]]


def points(value: float | None, base: float | None) -> str:
    """A difference of two shares in points of percent.

    >>> points(0.25, 0.1), points(0.0999, 0.1), points(None, 0.1)
    ('+15.0', '0.0', 'n/a')
    """
    if value is None or base is None:
        return "n/a"
    text = f"{100 * (value - base):+.1f}"
    return text.replace("-", "−") if float(text) else "0.0"


def strengths(members: Sequence[Mapping[str, Any]]) -> str:
    """The strengths of a perturbation with their unit; empty where it has only one, without a number."""
    return f"{' · '.join(map(strength, members))} {members[0]['unit']}".strip()


def strength(condition: Mapping[str, Any]) -> str:
    """The number of a strength."""
    return "" if condition["strength"] is None else f"{condition['strength']:g}".replace("-", "−")


def _name(members: Sequence[Mapping[str, Any]]) -> str:
    return members[0]["name"] + (" *" if members[0]["seen"] else "")


def _each(members: Sequence[Mapping[str, Any]], name: str, *, digits: int = 1) -> str:
    values = [number(one.get(name)) for one in members]
    return " · ".join("n/a" if value is None else f"{100 * value:.{digits}f}" for value in values)


def _eer(part: Mapping[str, Any]) -> tuple[str, str]:
    return shown("eer", number(part["eer"])), shown_interval("eer", part["eer"]["interval"])


def _rates(part: Mapping[str, Any], *names: str) -> list[str]:
    return [shown("eer", number(part[name])) for name in names]  # all are shares of clips


def _percents(part: Mapping[str, Any], *names: str) -> list[str]:
    """Shares in percent, for columns of many."""
    return [_rounded(None if (value := number(part[name])) is None else 100 * value, "{:.1f}") for name in names]


def _between(ends: Sequence[float | None]) -> str:
    low, high = ends
    return "" if low is None or high is None else f"{points(low, 0.0)} … {points(high, 0.0)}".replace("+", "")


def _cllr(part: Mapping[str, Any]) -> str:
    return "n/a" if part["cllr"] is None else f"{part['cllr']:.3f}"


def _rounded(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value).replace("-", "−")


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
