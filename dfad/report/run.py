"""The pictures and the page of one run, from the files in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfad.metrics import classification_report, confusion
from dfad.report import figures
from dfad.report.inputs import Example, inputs
from dfad.report.page import Headline, Page, Section, render
from dfad.report.style import png
from dfad.report.tables import metric_rows
from dfad.scores import ScoreTable

THRESHOLDS = "Threshold 0 is the decision as trained; at the validation threshold both errors on validation are equal."


def write_report(folder: Path, *, examples: Sequence[Example]) -> Path:
    """Draw everything that a finished run has stored, as PNG files and one HTML page.

    Args:
        folder: of the run.
        examples: clips on their way into the network.

    Returns:
        The page, `report.html`.
    """
    results = json.loads((folder / "metrics.json").read_text())
    values: Mapping[str, float | None] = results["values"]
    test = ScoreTable.read(folder / "scores" / "test.csv")
    threshold = results["threshold"] or 0.0
    at = {"as trained": 0.0, "validation": threshold}
    drawn = {
        "curves": figures.learning_curves(_history(folder / "curves.csv")),
        "confusion": figures.confusion(confusion(test.scores, test.labels, threshold)),
        "det": figures.det(_det_curves(test, folder)),
        "histogram": figures.histogram(test.scores, test.labels, at),
        "inputs": inputs(examples),
    }
    pictures = {name: png(figure) for name, figure in drawn.items()}
    (folder / "figures").mkdir(exist_ok=True)
    for name, data in pictures.items():
        (folder / "figures" / f"{name}.png").write_bytes(data)

    sections = (
        Section("Results", THRESHOLDS, table=(("", "val", "test", "95 % interval"), metric_rows(results, ("val", "test")))),
        Section(
            "Errors on test",
            "Each point of a curve is a threshold; the dot is where both errors are equal.",
            figures=[
                ("DET", pictures["det"], "detection error trade-off of the test clips"),
                ("scores", pictures["histogram"], "distribution of the test scores by class"),
                ("decisions at the validation threshold", pictures["confusion"], "confusion matrix of the test clips"),
            ],
        ),
        Section(
            "Classification report",
            "Test clips at the validation threshold.",
            text=classification_report(test.scores, test.labels, threshold),
        ),
        Section(
            "Learning curves", "Training is measured while it goes on, dropout and augmentation on.",
            figures=[("curves", pictures["curves"], "loss and accuracy by epoch")],
        ),
        Section(
            "What the network is given", "Clips of the training split.",
            figures=[("inputs", pictures["inputs"], "waveform and features before and after augmentation")],
        ),
        Section("Clips", table=_clips(folder), text=_skipped(folder)),
        Section("Configuration", text=(folder / "config.yaml").read_text()),
        Section("Environment", text=_plain(json.loads((folder / "environment.json").read_text()))),
    )  # fmt: skip
    page = Page(title=folder.name, headline=_headline(values), notes=results["notes"], sections=sections)
    part, path = folder / "report.html.part", folder / "report.html"
    part.write_text(render(page), encoding="utf-8")
    return part.replace(path)


def _headline(values: Mapping[str, float | None]) -> list[Headline]:
    shown = (
        ("EER", "test/eer", "equal error rate on test"),
        ("seen attacks", "test/eer/seen", "EER on attacks that training had"),
        ("unseen attacks", "test/eer/unseen", "EER on attacks that training had not"),
        ("accuracy", "test/accuracy_at_val", "on test, at the validation threshold"),
    )
    return [
        Headline(label, f"{100 * value:.2f} %", hint)
        for label, key, hint in shown
        if (value := values.get(key)) is not None
    ]


def _history(path: Path) -> dict[str, tuple[Any, Any]]:
    table = pd.read_csv(path)
    epochs = table["epoch"].to_numpy() + 1
    return {str(name): (epochs, table[name].to_numpy()) for name in table.columns if "/" in str(name)}


def _det_curves(test: ScoreTable, folder: Path) -> dict[str, tuple[Any, Any]]:
    val = ScoreTable.read(folder / "scores" / "val.csv")
    return {"validation": (val.scores, val.labels), "test": (test.scores, test.labels)}


def _clips(folder: Path) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    counts: Mapping[str, Mapping[str, int]] = json.loads((folder / "manifest.json").read_text())["clips"]
    return ("split", "bona-fide", "spoof"), [
        (split, str(classes["bona-fide"]), str(classes["spoof"])) for split, classes in counts.items()
    ]


def _skipped(folder: Path) -> str | None:
    skipped: Mapping[str, str] = json.loads((folder / "manifest.json").read_text())["skipped"]
    return "\n".join([f"skipped, {len(skipped)} in all:", *skipped.values()]) if skipped else None


def _plain(content: Mapping[str, Any]) -> str:
    lines = []
    for name, value in content.items():
        inner = value.items() if isinstance(value, dict) else None
        lines += [f"{name} {key} {version}" for key, version in inner] if inner else [f"{name} {value}"]
    return "\n".join(lines)
