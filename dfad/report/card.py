"""The model card of a detector, in Markdown: what it is, what it was trained and judged on, and what it cannot do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dfad.checkpoint import DetectorKnobs
from dfad.export.about import stored
from dfad.networks.counting import parameters
from dfad.report.robust_tables import number
from dfad.report.tables import METRICS, RULES, shown, shown_interval

FILE = "model_card.md"
SHOWN = ("eer", "eer/seen", "eer/unseen", "auroc", "min_dcf", "act_dcf_calibrated", "cllr", "cllr_calibrated",
         "min_cllr", "miss_at_val", "false_alarm_at_val")  # fmt: skip
MORE = {"miss_at_val": "miss, at the threshold of validation", "false_alarm_at_val": "false alarm, at that threshold"}
MOST = 10  # attacks and conditions


def write_card(path: Path, run: Path, about: Mapping[str, Any]) -> Path:
    """Write the card.

    Args:
        path: of the file.
        run: folder whose results are told; of a bare checkpoint there are none.
        about: what `dfad.export.about.describe` says.
    """
    path.write_text(card(run, about), encoding="utf-8")
    return path


def card(run: Path, about: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    environment = Environment(  # Markdown for people, not HTML: nothing is escaped but what would end a table's cell
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_in_a_line,
    )
    knobs = DetectorKnobs.read(about["detector"])
    results = stored(run, "metrics.json")
    attacks = _attacks(results)
    bootstrap = results.get("bootstrap", {}).get("test") or {}
    text = environment.get_template("card.md").render(
        about=about,
        model=knobs.model,
        frontend=knobs.frontend,
        parameters=f"{parameters(knobs.network()):,}",
        training=about["training_data"],
        demo="demo" in str(about["training_data"].get("corpus")),
        pretrained=_pretrained(about["detector"]["model"]),
        rule=RULES.get(about["rule"], about["rule"]),
        number=lambda value: f"{value:.4f}",
        metrics=_metrics(results),
        unit=bootstrap.get("unit"),
        attacks=attacks[:MOST],
        all_attacks=len(attacks),
        notes=results.get("notes", []),
        others=[_other(folder) for folder in _evaluations(run)],
        suites=_suites(run),
    )
    return text.rstrip() + "\n"


def _metrics(results: Mapping[str, Any], split: str = "test") -> list[tuple[str, str, str]]:
    """Name, value and interval of each metric that there is."""
    values, intervals = results.get("values", {}), results.get("intervals", {})
    names = {**METRICS, **MORE}
    found = [(key, f"{split}/{key}") for key in SHOWN if f"{split}/{key}" in values]
    return [(names[key], shown(key, values[at]), shown_interval(key, intervals.get(at))) for key, at in found]


def _attacks(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per attack of the test split, the highest EER first."""
    rows = results.get("breakdowns", {}).get("test", {}).get("attack", [])
    rows = sorted(rows, key=lambda row: -1.0 if row["eer"] is None else row["eer"], reverse=True)
    return [
        {
            "name": row["value"],
            "clips": row["n_spoof"],
            "eer": shown("eer", row["eer"]),
            "interval": shown_interval("eer", row["interval"]),
        }
        for row in rows
    ]


def _pretrained(model: Mapping[str, Any]) -> str | None:
    """Where a network's first weights are from; a file's name alone, without its folder."""
    if backbone := model.get("backbone"):
        local = Path(str(backbone)).expanduser()
        return local.name if local.is_absolute() or local.is_dir() else str(backbone)
    begins = model.get("pretrained", "none")
    return None if begins == "none" else begins if begins == "imagenet" else Path(begins).name


def _evaluations(run: Path) -> list[Path]:
    """Folders of evaluations on other clips."""
    return sorted(path.parent for path in (run / "evals").glob("*/metrics.json"))


def _other(folder: Path) -> dict[str, Any]:
    results = stored(folder, "metrics.json")
    values = results["values"]
    return {
        "name": folder.name,
        "clips": sum(values.get(f"test/n_{name}", 0) for name in ("bona_fide", "spoof")),
        "eer": shown("eer", values.get("test/eer")),
        "interval": shown_interval("eer", results["intervals"].get("test/eer")),
    }


def _suites(run: Path) -> list[dict[str, Any]]:
    """What each robustness suite of a run found, of the run itself first."""
    paths = [run / "robustness.json", *sorted((run / "evals").glob("*/robustness.json"))]
    return [_suite(path) for path in paths if path.is_file()]


def _suite(path: Path) -> dict[str, Any]:
    results = json.loads(path.read_text())
    rows: Sequence[Mapping[str, Any]] = sorted(results["conditions"], key=lambda one: -(number(one["eer"]) or 0.0))
    return {
        "name": "On the test split" if path.parent.parent.name != "evals" else f"On `{path.parent.name}`",
        "clean": shown("eer", number(results["clean"]["eer"])),
        "rows": [
            {
                "title": one["title"],
                "eer": shown("eer", number(one["eer"])),
                "passes": shown("miss", number(one["fake_to_real"])),
            }
            for one in rows[:MOST]
        ],
        "more": max(0, len(rows) - MOST),
    }


def _in_a_line(value: Any) -> Any:
    """No text of a corpus' breaks a table: neither a line's end nor a bar."""
    return (
        " ".join(value.split()).replace("|", "\\|")
        if isinstance(value, str) and ("\n" in value or "|" in value)
        else value
    )
