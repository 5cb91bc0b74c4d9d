"""`dfad fuse RUN RUN…`: several finished runs as one detector."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from dfad.commands.guard import guarded

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad fuse")))


@app.command()
def command(
    runs: Annotated[list[Path], typer.Argument(help="finished runs of the same clips")],
    by: Annotated[
        Literal["mean", "logistic"], typer.Option(help="mean of calibrated scores, or weights learnt on validation")
    ] = "mean",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="the new run; else beside the first, named by what is in it")
    ] = None,
) -> None:
    """Make one run of several: its score is the weighted sum of theirs.

    It is taken by dfad.load, eval.py with or without robustness=…, dfad compare and dfad runs.
    """
    from dfad.commands.reports import report_of
    from dfad.commands.results import show_results, show_table
    from dfad.commands.screen import screen
    from dfad.training.fuse import fuse

    here = screen()
    run, before = fuse(runs, by, out, here)
    config, made = run.read_config(), run.read_json("made.json")
    if not (run.folder / "report.html").is_file():
        with run.working("fuse.log"):
            root = config.data.manifest().root
            validation = run.folder / "scores" / "val.csv"
            report_of(run, "test", "scores/test.csv", root=root, frontend=config.frontend, validation=validation)
    here.say(f"run [bold]{escape(str(run.folder))}[/]{' is there already' if before else ''}")
    rows = [[member["run"], f"{member['weight']:.4g}"] for member in made["members"]]
    show_table((f"by {made['by']}", "weight"), [*rows, ["offset", f"{made['offset']:.4g}"]])
    show_results(run.read_json("metrics.json"), ("val", "test"))
    here.say(f"report {escape(str(run.folder / 'report.html'))}")
