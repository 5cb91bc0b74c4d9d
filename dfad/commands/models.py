"""`dfad models`: the detectors that there are, how large they are, what they cost and how fast they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from dfad.commands.console import CONSOLE
from dfad.commands.guard import guarded
from dfad.commands.presets import SECONDS, Preset, presets
from dfad.commands.results import show_table
from dfad.networks.counting import macs, parameters

MEASURED = Path(__file__).parents[1] / "models.json"  # in the package, so that it is there wherever dfad is installed
MEASURE = "python -m bench.models"
_HEADER = ("model=", "hears", "parameters", "MACs", "inference, clips/s", "training, clips/s")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad models")))


@app.command()
def command(as_json: Annotated[bool, typer.Option("--json", help="all numbers, unrounded")] = False) -> None:
    """Show the presets of `model=`: size, cost for a clip of four seconds, and speed as it was measured last."""
    measured = measurements()
    rows = [row(preset, measured.get("presets", {}).get(preset.name, {})) for preset in presets()]
    if as_json:
        print(json.dumps({"seconds": SECONDS, "measured_on": measured.get("machine"), "presets": rows}, indent=1))
        return
    show_table(_HEADER, [_cells(each) for each in rows])
    CONSOLE.print(f"MACs: multiplications with an addition in the network, for {SECONDS:g} s, frontend not counted")
    told = f"clips/s: {measured['machine']}, frontend included" if measured else f"clips/s: not measured yet: {MEASURE}"
    CONSOLE.print(told, markup=False)


def measurements() -> dict[str, Any]:
    """What `bench.models` wrote; empty if it did not."""
    return dict(json.loads(MEASURED.read_text())) if MEASURED.is_file() else {}


def row(preset: Preset, speed: Mapping[str, float]) -> dict[str, Any]:
    """What is told of a preset; None where it cannot be built here, or was not measured."""
    frontend = preset.config.frontend
    found: dict[str, Any] = {"preset": preset.name, "model": preset.config.model.name, "frontend": frontend.name}
    if preset.needs_backbone:
        return {**found, "parameters": None, "macs": None, "inference": None, "training": None}
    network = preset.config.model.build(frontend)
    with torch.inference_mode():
        features = frontend.build()(torch.zeros(1, frontend.crop_samples))
    found |= {"parameters": parameters(network), "macs": macs(network, features)}
    return {**found, "inference": speed.get("inference"), "training": speed.get("training")}


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["parameters"] is None:
        return row["preset"], row["frontend"], "needs its backbone", "", "", ""
    speeds = ("" if row[name] is None else f"{row[name]:.3g}" for name in ("inference", "training"))
    return row["preset"], row["frontend"], f"{row['parameters']:,}", f"{row['macs'] / 1e6:,.0f} M", *speeds
