"""`dfad import NAME [WEIGHTS]`: a run folder of a network that others trained and published."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.markup import escape

from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import guarded
from dfad.download import fetch, readable
from dfad.errors import ConfigError, did_you_mean
from dfad.networks.published import PUBLISHED
from dfad.training.imports import import_weights

STOPPED = "the same command goes on where it was"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad import"), stopped=STOPPED))


@app.command()
def command(
    name: Annotated[str, typer.Argument(help=f"{' or '.join(PUBLISHED)}", metavar="NAME")],
    weights: Annotated[Path | None, typer.Argument(help="its file; without it, it is downloaded")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="JSON", help="its authors' configuration; else the published one")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="the run folder; by default one in runs/")] = None,
) -> None:
    """Make a run folder of AASIST with weights that its authors published, or others of that form.

    Nothing in the file can run code. What does not fit is named. The folder is
    taken by dfad.load, dfad compare and eval.py, which chooses threshold
    and calibrator on the validation clips of the corpus it is given.
    """
    if name not in PUBLISHED:
        raise ConfigError(f"no published network {name!r}; {did_you_mean(name, PUBLISHED)}")
    path = _downloaded(name) if weights is None else weights
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file; dfad import {name} downloads the published one")
    found = import_weights(name, path, config, out)
    about, folder = found.about, escape(str(found.run.folder))
    told = f"as published, trained on {about['trained_on']}" if about["published"] else "not a file that is known here"
    CONSOLE.print(f"weights {escape(str(path))}, {readable(path.stat().st_size)}")
    CONSOLE.print(f"sha256 {about['sha256']}: {told}")
    CONSOLE.print(f"{about['parameters']:,} parameters, all of them in place")
    CONSOLE.print(f"run [bold]{folder}[/]{' is there already' if found.before else ''}")
    CONSOLE.print(f"next: python eval.py run={folder} data=manifest data.path=my.csv", markup=False)


def _downloaded(name: str) -> Path:
    """The published file, in the folder where torch keeps such."""
    one = PUBLISHED[name]
    target = Path(torch.hub.get_dir(), "checkpoints", one.url.rsplit("/", 1)[1])
    return fetch(
        one.url,
        target,
        sha256=one.sha256,
        offline=f"without internet, bring that file from elsewhere: dfad import {name} {target.name}",
        progress=Bar(f"downloading {target.name}", "bytes"),
        say=lambda line: CONSOLE.print(line, markup=False),
    )
