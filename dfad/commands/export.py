"""`dfad export [RUN]`: a detector as files that need no dfad, with a card that says what it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dfad.commands.chosen import chosen
from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import guarded, writing
from dfad.download import readable
from dfad.errors import ConfigError, did_you_mean

FORMATS = ("onnx", "safetensors", "card")
CLIPS = 100

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad export")))


@app.command()
def command(
    run: Annotated[Path | None, typer.Argument(help="run folder or checkpoint; else the latest finished run")] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help="onnx, safetensors, card; default: all")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="folder of the files; default: RUN/export")] = None,
    clips: Annotated[int, typer.Option(min=1, help="to compare the graph on")] = CLIPS,
) -> None:
    """Write a detector as an ONNX graph, as weights with a JSON, and its model card.

    The graph goes from waveform to calibrated score and P(spoof), and is kept
    only if its scores are PyTorch's to 1e-4. dfad.load and dfad score take it,
    and the folder.
    """
    wanted = _wanted(formats)
    path = chosen(run)
    from dfad.export import about, graph  # here, as torch takes seconds
    from dfad.export import clips as sounds
    from dfad.portable import is_portable
    from dfad.portable import write as write_portable
    from dfad.report.card import FILE, write_card
    from dfad.scorer import load_scorer

    if path.suffix == ".onnx" or is_portable(path):
        raise ConfigError(f"{path} is an export already; give the run folder, or its checkpoint")
    scorer = load_scorer(path)
    if "onnx" in wanted:
        graph.require(scorer)  # before anything is written
    folder = out or (path if path.is_dir() else path.with_suffix("")) / "export"
    described = about.describe(scorer, path)
    files: list[Path] = []
    with writing(folder / FILE):
        if "safetensors" in wanted:
            files += write_portable(folder, scorer.network.state_dict(), described)
        if "onnx" in wanted:
            sound, waves = sounds.clips_of(path, scorer.knobs.frontend, clips)
            files.append(folder / graph.FILE)
            with CONSOLE.status("writing the graph"):
                found = graph.write(files[-1], scorer, described, waves, sound, progress=Bar("comparing"))
            CONSOLE.print(f"compared on {found}", markup=False)
        files.append(write_card(folder / FILE, path, described))
    for file in files:
        CONSOLE.print(f"{file}  {readable(file.stat().st_size)}", markup=False)


def _wanted(formats: list[str] | None) -> set[str]:
    """The formats that were named, each by itself or with commas between them; all if none was."""
    names = [name for words in formats or () for name in words.split(",")]
    for name in names:
        if name not in FORMATS:
            raise ConfigError(f"--format {name}: {did_you_mean(name, FORMATS)}")
    return set(names or FORMATS)
