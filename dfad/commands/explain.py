"""`dfad explain FILE`: when and at which frequencies a clip speaks for spoof, as a picture and a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dfad.commands.chosen import DEMO, chosen, detector, of_demo
from dfad.commands.console import CONSOLE
from dfad.commands.guard import guarded, writing
from dfad.commands.score_rows import shown
from dfad.commands.score_show import printable
from dfad.commands.tables import note
from dfad.errors import ConfigError
from dfad.explain import METHODS, explain
from dfad.report.explained import page_of
from dfad.report.explanation import span, verdict

STOPPED = "nothing was written; type the command again"
_SUFFIXES = (".png", ".html", "")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad explain"), stopped=STOPPED))


@app.command()
def command(
    file: Annotated[Path, typer.Argument(help="a sound of any length", metavar="FILE")],
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="run folder or checkpoint; the latest finished run by default")
    ] = None,
    at: Annotated[
        float | None, typer.Option(metavar="S", help="where the explained part begins; by default the most spoofed")
    ] = None,
    methods: Annotated[str, typer.Option(metavar="A,B,…", help=f"of {', '.join(METHODS)}")] = ",".join(METHODS),
    out: Annotated[
        Path | None, typer.Option(metavar="WHERE", help="a folder, or the .png or .html; explained/ by default")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the maps as JSON, and files only with --out")] = False,
    max_hours: Annotated[float, typer.Option(metavar="H", help="longer files are refused undecoded", min=0)] = 12.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU by default if there is one")] = None,
) -> None:
    """Show what of a clip speaks for spoof: when, and at which frequencies.

    Writes a picture and a page: the score over time, and of the most spoofed
    part Grad-CAM (gradcam), integrated gradients (gradients) and what the
    score loses without each slice and band (occlusion). They tell what this
    detector listens to; they prove nothing about the sound.
    """
    if out and not out.is_dir() and out.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"--out {out}: a folder, or a name that ends in .png or .html; both are written")
    names = [name.strip() for name in methods.split(",") if name.strip()]
    run = chosen(run)
    scorer = detector(run, device)
    found = explain(scorer, file, at_s=at, methods=names, max_hours=max_hours)
    name = printable(shown(file.name))
    if not as_json:
        CONSOLE.print(f"{name}: {verdict(found)}", markup=False, soft_wrap=True)
        CONSOLE.print(f"explained: {span(found)}, {found.crop.verdict}, score {found.crop.score:.3g}", markup=False)
    for text in (*([DEMO] if of_demo(run) else []), *found.result.warnings, *found.notes):
        note(text)
    if out or not as_json:
        picture, page = page_of(found, name, run.name)
        pages = _write(file, out, picture, page)
        (note if as_json else CONSOLE.print)(f"picture {pages[0]}\npage {pages[1]}")
    if as_json:
        about = {"path": shown(str(file)), "run": str(run), **found.to_json()}
        print(json.dumps(about, ensure_ascii=False, allow_nan=False))


def _write(file: Path, out: Path | None, picture: bytes, page: str) -> tuple[Path, Path]:
    """Write both files beside each other, each whole or not at all."""
    named = out is not None and not out.is_dir() and out.suffix.lower() in (".png", ".html")
    stem = out.with_suffix("") if out and named else (out or Path("explained")) / shown(file.stem)
    places = Path(f"{stem}.png"), Path(f"{stem}.html")
    for path, data in zip(places, (picture, page.encode()), strict=True):
        with writing(path):
            part = path.with_name(path.name + ".part")
            part.write_bytes(data)
            part.replace(path)
    return places
