"""Results as rows of text, the same on the screen, on the page and on a dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dfad.stored import as_trained

Rows = list[tuple[str, ...]]

METRICS = {  # key in metrics.json → what people read
    "eer": "EER",
    "eer_asvspoof": "EER, as ASVspoof counts ties",
    "eer/seen": "EER, attacks seen in training",
    "eer/unseen": "EER, attacks not seen in training",
    "auroc": "AUROC",
    "min_dcf": "minDCF",
    "act_dcf": "actDCF",
    "act_dcf_calibrated": "actDCF, calibrated",
    "cllr": "Cllr, bits",
    "cllr_calibrated": "Cllr, bits, calibrated",
    "min_cllr": "min Cllr, bits",
}
DECISIONS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_spoof": "F1 spoof",
    "f1_bona_fide": "F1 bona fide",
    "miss": "miss",
    "false_alarm": "false alarm",
}
BREAKDOWN_HEADER = ("", "clips", "EER", "95 % interval", "miss", "false alarm")
RULES = {"eer": "equal errors", "min_dcf": "least cost"}
SHARES = ("eer", "eer_asvspoof", *DECISIONS)  # shown in percent; F1 too, as it stands beside accuracy


def share(value: float | None) -> str:
    """A share as people read it.

    >>> share(0.0625), share(None)
    ('6.25 %', 'n/a')
    """
    return "n/a" if value is None else f"{100 * value:.2f} %"


def shown(key: str, value: float | None) -> str:
    """One metric as people read it."""
    if is_share(key):
        return share(value)
    return "n/a" if value is None else f"{value:.4f}"


def is_share(key: str) -> bool:
    """Whether a metric is a share of clips, which people read in percent."""
    return key.split("/")[0].removesuffix("_at_val").removesuffix("_at_oracle") in SHARES


def shown_interval(key: str, ends: Sequence[float | None] | None) -> str:
    """Both ends of an interval, empty where there is none.

    >>> shown_interval("eer", [0.01, 0.0345]), shown_interval("eer", [0.09, 0.21]), shown_interval("cllr", [0.1, 1.25])
    ('1.00 … 3.45 %', '9.00 … 21.00 %', '0.1000 … 1.2500')
    """
    if not ends or ends[0] is None or ends[1] is None:
        return ""
    if is_share(key):
        return f"{100 * ends[0]:.2f} … {100 * ends[1]:.2f} %"
    return f"{shown(key, ends[0])} … {shown(key, ends[1])}"


def metric_rows(results: Mapping[str, Any], splits: Sequence[str]) -> Rows:
    """Metric, value per split, and the interval of the last split; what no split has is left out."""
    values, intervals = results["values"], results["intervals"]
    return [
        (
            title,
            *(shown(key, values[name]) if (name := f"{split}/{key}") in values else "" for split in splits),
            shown_interval(key, intervals.get(f"{splits[-1]}/{key}")),
        )
        for key, title in METRICS.items()
        if any(f"{split}/{key}" in values for split in splits)
    ]


def threshold_names(results: Mapping[str, Any], split: str) -> dict[str, tuple[str, float | None]]:
    """The thresholds that stand side by side, by the suffix of their metrics: name and value; None: there is none."""
    values, rule, at = results["values"], str(results["options"]["threshold"]), as_trained(results)
    chosen = RULES.get(rule, rule.replace("fa@", "false alarm ≤ "))
    found: dict[str, tuple[str, float | None]] = {"": (f"{at:g}, as trained", at)}
    if results["threshold"] is not None:
        by_hand = rule not in RULES and not rule.startswith("fa@")
        found["_at_val"] = ("given" if by_hand else f"by validation, {chosen}", results["threshold"])
    found["_at_oracle"] = (f"oracle: equal errors on {split}", values.get(f"{split}/eer_threshold"))
    return found


def threshold_table(results: Mapping[str, Any], split: str) -> tuple[tuple[str, ...], Rows]:
    """Header and rows: the thresholds side by side, and the decisions at each."""
    values, names = results["values"], threshold_names(results, split)
    rows: Rows = [("threshold", *("n/a" if at is None else f"{at:.4g}" for _, at in names.values()))]
    rows += [
        (title, *(shown(key, values.get(f"{split}/{key}{suffix}")) for suffix in names))
        for key, title in DECISIONS.items()
    ]
    return ("", *(name for name, _ in names.values())), rows


def breakdown_rows(parts: Sequence[Mapping[str, Any]]) -> Rows:
    """Value, clips, EER with interval, and both errors at the deployed threshold."""
    return [
        (
            part["value"],
            f"{part['n_bona_fide']} + {part['n_spoof']}",
            share(part["eer"]) if part["eer"] is not None else part["note"],
            shown_interval("eer", part["interval"]),
            share(part["miss"]),
            share(part["false_alarm"]),
        )
        for part in parts
    ]


def other_unit(results: Mapping[str, Any], split: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """Which slices have intervals of single clips though the whole has not, in words; empty if there are none."""
    unit = results["bootstrap"].get(split, {}).get("unit")
    names = [part["value"] for part in parts if part["interval"][0] is not None and part["unit"] != unit]
    if not names:
        return ""
    which = "all of these" if len(names) == len(parts) else ", ".join(names)
    return f"Too few values of {unit} in a class: intervals are over single clips, and too narrow, for {which}."


def drawn(results: Mapping[str, Any], split: str) -> str:
    """What the intervals of a split are of, in words; empty without any."""
    about = results["bootstrap"].get(split)
    if not about:
        return ""
    unit = "clips" if about["unit"] == "clip" else f"{about['unit']}s" if about["unit"] == "speaker" else about["unit"]
    whole = f"{about['count']} {unit}" if unit in ("clips", "speakers") else f"{about['count']} values of {unit}"
    return f"95 % intervals: {about['resamples']:,} bootstrap resamples of {whole} (of the class that has fewer)"
