"""`dfad prepare CORPUS`: bring a corpus, look at every file, and say what is wrong before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from dfad.clips import Manifest
from dfad.commands.guard import guarded
from dfad.corpora import CORPORA
from dfad.corpora.archives import SOURCES
from dfad.errors import ConfigError, DataError, did_you_mean
from dfad.prepared.bring import Tell, bring, sizes
from dfad.prepared.facts import look
from dfad.prepared.findings import Findings, findings, write
from dfad.prepared.place import Place
from dfad.report.corpus import clip_table, write_page

_OWN = {
    "folder": "your own clips: --root DIR",
    "manifest": "your own clips: --root CSV",
    "demo": "512 clips, synthesised; `python train.py` does it too",
}
CONSOLE = Console(highlight=False, soft_wrap=True, emoji=False)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def main() -> None:
    """Run the command on `sys.argv`."""
    app(prog_name="dfad prepare")


def known() -> list[str]:
    """The corpora that can be prepared: those that lie somewhere."""
    return [name for name, knobs in CORPORA.items() if "path" in knobs.model_fields and name != "packed"]


def listing() -> str:
    """A line for each of them."""
    lines = [f"  {name:16} {_OWN.get(name, '')}" for name in known() if name not in SOURCES]
    for name, source in SOURCES.items():
        lines.append(f"  {name:16} {sizes(source.archives)}; {source.home}")
    return "\n".join(["Corpora:", *lines])


@app.command(
    help=f"Download, unpack and verify a corpus; the same command again does what is missing.\n\n\b\n{listing()}"
)
def prepare(
    corpus: Annotated[str | None, typer.Argument(help="one of the names above; without it they are listed")] = None,
    root: Annotated[Path | None, typer.Option(help="where it lies or shall lie; by default data/CORPUS")] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for manifest and summary; by default beside the clips")
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="leave sounds out that are in two splits or both classes")
    ] = False,
    archive: Annotated[
        list[Path] | None, typer.Option(help="an archive, downloaded already, or a part of one; may come repeatedly")
    ] = None,
    download: Annotated[bool, typer.Option(help="whether to download what is missing")] = True,
    ca_file: Annotated[Path | None, typer.Option(help="PEM certificates to trust beside the system's")] = None,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="do not delete what was downloaded")] = False,
) -> None:
    """Do it, and leave with an exit code."""

    def work() -> None:
        if corpus is None:
            CONSOLE.print(f"{listing()}\n\nnext: dfad prepare for_rerec --root DIR", markup=False)
            return
        if corpus == "packed":
            raise ConfigError(
                "a pack was checked when it was made: prepare the corpus, then pack it; whether its bytes are still "
                "the same, dfad pack DIR --verify tells"
            )
        if corpus not in known():
            raise ConfigError(f"no corpus {corpus!r} to prepare; {did_you_mean(corpus, known())}")
        knobs: Any = _knobs(corpus, root)

        @cache
        def read() -> Manifest:
            with _bar("reading clips", unit="clips") as progress:
                return knobs.manifest(progress)

        if corpus in SOURCES:
            bring(
                corpus,
                knobs.path,
                read=read,
                given=archive or [],
                tell=Tell(_say, _note, _bar),
                download=download,
                keep=keep_archive,
                ca_file=ca_file,
            )
        elif archive or ca_file or keep_archive:
            raise ConfigError(f"{corpus} is not downloaded; leave out --archive, --ca-file and --keep-archive")
        _verify(knobs, read(), out, leave_out, f"--root {root}" if root else "")

    sys.exit(guarded(work, stopped="the same command goes on where it was"))


def _knobs(corpus: str, root: Path | None) -> Any:
    """The options of a corpus, with the path that the user gave."""
    if root is None and CORPORA[corpus].model_fields["path"].is_required():
        raise ConfigError(f"where is it? dfad prepare {corpus} --root {'CSV' if corpus == 'manifest' else 'DIR'}")
    return CORPORA[corpus].read({"name": corpus} | ({"path": str(root)} if root else {}))


def _verify(knobs: Any, manifest: Manifest, out: Path | None, leave_out: bool, root: str) -> None:
    """Look at every file, write what was found out, and refuse what makes results wrong."""
    stem = (
        knobs.path.stem if knobs.path.is_file() else knobs.path.resolve().name if knobs.name == "folder" else knobs.name
    )
    below = manifest.root
    if not isinstance(below, Path):
        raise DataError(f"{knobs.path} lists clips of several folders; prepare each of their corpora")
    beside = below if knobs.path.is_file() else knobs.path
    place = Place(out or beside, stem, below if out else None)
    again = f"dfad prepare {knobs.name}" + (f" {root}" if root else "")
    with place.held(_note, f"say where: {again} --out DIR"):
        if not CONSOLE.is_terminal:
            _say(f"looking at {len(manifest):,} clips in {manifest.root}")
        with _bar("looking at clips", unit="clips") as progress:
            facts = look(manifest, place.facts, limits=knobs.limits, progress=progress)
        found = findings(manifest, facts, knobs.published)
        if leave_out:
            found = found.settle()
        try:
            write(found, place.manifest, place.problems)
            write_page(place.page, f"Corpus {stem}", found, place.problems)
        except OSError as error:
            raise DataError(f"cannot write to {place.folder}: {error.strerror or error}") from None
    _show(found, manifest)
    CONSOLE.print(f"manifest {place.manifest}\nsummary  {place.page}", markup=False)
    use = "python train.py" if len(found.manifest.rows("train")) else "python eval.py run=runs/…"
    prepared = f"{use} data=manifest data.path={place.manifest}"
    if not found.errors:
        data = f"data={knobs.name}" + (f" data.path={knobs.path}" if root else "")
        CONSOLE.print(f"next: {prepared if leave_out else f'{use} {data}'}", markup=False)
        return
    lines = [*found.errors, f"all of them are named in {place.problems}"]
    if len(found.copies) and (found.copies["splits"] | found.copies["classes"]).any():
        lines.append(f"to write the manifest without them: {again}{f' --out {out}' if out else ''} --leave-out")
    else:
        lines.append(f"mend them and type the same command again, or go on without them: {prepared}")
    raise DataError("\n".join(lines))


def _show(found: Findings, manifest: Manifest) -> None:
    """Print the clips of each split and class beside the published ones, and what there is to say."""
    header, rows = clip_table(found)
    table = Table(*header, title=str(manifest.root), title_justify="left")
    for row in rows:
        table.add_row(*row)
    for column in table.columns[1:]:
        column.justify = "right"
    CONSOLE.print(table)
    CONSOLE.print(f"{len(found.manifest):,} of {found.clips:,} clips can be used")
    for note in (*found.warnings, *found.notes):
        _note(note)


def _say(line: str) -> None:
    CONSOLE.print(line, markup=False)


def _note(line: str) -> None:
    CONSOLE.print(f"[bold yellow]note[/] {escape(line)}")


@contextmanager
def _bar(title: str, unit: str = "bytes") -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    units = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(),)
    columns = (TextColumn(escape(title)), BarColumn(), *units, TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
