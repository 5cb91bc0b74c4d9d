"""The pictures and the page of one run, from the files in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfad.report import figures, robustness
from dfad.report.evaluation import Judged, draw, headline, sections
from dfad.report.inputs import Example, inputs
from dfad.report.page import COSINES, POLARITY, Page, Section, render
from dfad.report.robustness import Robust
from dfad.report.style import png


def write_report(
    folder: Path, judged: Judged, *, examples: Sequence[Example] | None = None, robust: Robust | None = None
) -> Path:
    """Draw everything that a run or an evaluation has stored, as PNG files and one HTML page.

    Args:
        folder: of the run, or of one of its evaluations; what it does not have is left out of the page.
        judged: its scores and results.
        examples: clips on their way into the network; None where nothing was trained.
        robust: a suite of the same clips, if there is one.

    Returns:
        The page, `report.html`.
    """
    pictures = draw(judged) | (robustness.draw(robust.results) if robust else {})
    if curves := (folder / "curves.csv").is_file():
        pictures["curves"] = png(figures.learning_curves(_history(folder / "curves.csv")))
    if examples is not None:
        pictures["inputs"] = png(inputs(examples))
    (folder / "figures").mkdir(exist_ok=True)
    for old in (folder / "figures").glob("*.png"):
        old.unlink()
    for name, data in pictures.items():
        (folder / "figures" / f"{name}.png").write_bytes(data)

    parts = sections(judged, pictures) + (robustness.sections(robust, pictures) if robust else [])
    if curves:
        parts.append(
            Section(
                "Learning curves",
                "Training is measured while it goes on, dropout and augmentation on.",
                figures=[("curves", pictures["curves"], "loss and accuracy by epoch")],
            )
        )
    if examples is not None:
        parts.append(
            Section(
                "What the network is given",
                "Clips of the training split.",
                figures=[("inputs", pictures["inputs"], "waveform and features before and after augmentation")],
            )
        )
    manifest = json.loads((folder / "manifest.json").read_text())
    parts += [
        Section(
            "Clips", table=_clips(manifest["clips"], manifest.get("parts", {})), text=_skipped(manifest["skipped"])
        ),
        Section("Configuration", text=(folder / "config.yaml").read_text()),
        Section("Environment", text=_plain(json.loads((folder / "environment.json").read_text()))),
    ]
    evaluation = folder.parent.name == "evals"
    title = f"{folder.parents[1].name}: {folder.name}" if evaluation else folder.name
    return write_page(folder / "report.html", title, judged, parts, robust)


def write_page(path: Path, title: str, judged: Judged, parts: Sequence[Section], robust: Robust | None = None) -> Path:
    """Write a page that is there whole or not at all; the first numbers and notes of a suite stand beside its own."""
    first, notes = headline(judged), list(judged.results["notes"])
    if robust:
        first += robustness.headline(robust.results)
        notes += [f"robustness: {note}" for note in robust.results["notes"]]
    lead = COSINES if judged.deployed.raw.unit == "cosine" else POLARITY
    page = Page(title=title, headline=first, notes=notes, sections=parts, lead=lead)
    part = path.with_name(path.name + ".part")
    part.write_text(render(page), encoding="utf-8")
    return part.replace(path)


def _history(path: Path) -> dict[str, tuple[Any, Any]]:
    table = pd.read_csv(path)
    epochs = table["epoch"].to_numpy() + 1
    return {str(name): (epochs, table[name].to_numpy()) for name in table.columns if "/" in str(name)}


def _clips(
    counts: Mapping[str, Mapping[str, int]], parts: Mapping[str, Mapping[str, Mapping[str, int]]]
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """How many clips there are, and of each part of a mix."""
    named = {"": counts} | {f"{part}, ": of_part for part, of_part in parts.items()}
    return ("split", "bona fide", "spoof"), [
        (f"{part}{split}", str(classes["bona-fide"]), str(classes["spoof"]))
        for part, of_part in named.items()
        for split, classes in of_part.items()
    ]


def _skipped(skipped: Mapping[str, str]) -> str | None:
    return "\n".join([f"skipped, {len(skipped)} in all:", *skipped.values()]) if skipped else None


def _plain(content: Mapping[str, Any]) -> str:
    lines = []
    for name, value in content.items():
        inner = value.items() if isinstance(value, dict) else None
        lines += [f"{name} {key} {version}" for key, version in inner] if inner else [f"{name} {value}"]
    return "\n".join(lines)
