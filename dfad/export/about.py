"""What an exported detector says of itself, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from dfad.errors import RunError
from dfad.graphs import FORMAT
from dfad.scorer import Scorer

POLARITY = "higher = more likely bona fide (real speech), lower = more likely spoofed"


def describe(scorer: Scorer, run: Path) -> dict[str, Any]:
    """All that is needed to use a detector, and where it comes from; no path of the machine it was trained on.

    Args:
        scorer: what is exported.
        run: its folder or checkpoint.
    """
    frontend, deployed = scorer.knobs.frontend, scorer.deployed
    shown = scorer.judge(deployed.decides_at)
    return {
        "framework": "dfad",
        "format": FORMAT,
        "dfad_version": version("dfad"),
        "name": name_of(run),
        "sample_rate": frontend.sample_rate,
        "crop_s": frontend.crop_s,
        "crop_samples": frontend.crop_samples,
        "polarity": POLARITY,
        "unit": shown.unit,
        "threshold": shown.threshold,
        "raw_unit": deployed.raw.unit,
        "raw_threshold": shown.raw_threshold,
        "rule": "none: as trained" if deployed.threshold is None else str(deployed.rule),
        "calibration": deployed.calibrator.name if deployed.calibrator else "none",
        "prior": deployed.prior,
        "training_data": training_data(run),
        "detector": scorer.knobs.plain(),
        "deployed": deployed.plain(),
    }


def texts(about: Mapping[str, Any]) -> dict[str, str]:
    """The same as a graph holds it: texts, and JSON for what is more than a number."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in about.items()
    }


def training_data(run: Path) -> dict[str, Any]:
    """Which clips a run was trained on: corpus, digest, counts; or whose weights it took over."""
    if imported := stored(run, "imported.json"):
        return {"imported": imported["system"], "trained_on": imported["trained_on"], "sha256": imported["sha256"]}
    manifest = stored(run, "manifest.json")
    if not manifest:
        return {}
    found = {"corpus": configuration(run).get("data", {}).get("name"), "digest": manifest["digest"]}
    return {**found, "clips": manifest["clips"], "skipped": len(manifest.get("skipped", ()))}


def name_of(run: Path) -> str:
    """What to call a run, or a checkpoint."""
    return run.resolve().name if run.is_dir() else run.stem


def configuration(run: Path) -> dict[str, Any]:
    """The configuration of a run; empty for a bare checkpoint."""
    path = run / "config.yaml"
    return dict(yaml.safe_load(path.read_text())) if path.is_file() else {}


def stored(run: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run's; empty if there is none.

    Raises:
        RunError: if it is damaged.
    """
    path = run / name
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except ValueError:
        raise RunError(f"{path} is damaged; type the command that made the folder again") from None
