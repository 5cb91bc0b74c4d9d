"""`dfad prepare CORPUS`: download, verify and unpack a corpus, and hold it against its published counts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from dfad.clips import SPLITS, Manifest
from dfad.commands.guard import guarded
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.corpora.fake_or_real import VARIANTS, FakeOrRealKnobs, counts
from dfad.download import check, fetch, readable
from dfad.errors import ConfigError, DataError, did_you_mean
from dfad.extract import extract

PREPARED = [*VARIANTS, "demo"]
_LINES = [f"  {name:13}{readable(it.about):>8}   {it.total:,} clips, {it.url}" for name, it in VARIANTS.items()]
_DEMO = f"  {'demo':21}   512 clips, synthesised; `python train.py` does it too"
LIST = "\n".join(["Corpora:", *_LINES, _DEMO])
CONSOLE = Console(highlight=False, soft_wrap=True, emoji=False)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def main() -> None:
    """Run the command on `sys.argv`."""
    app(prog_name="dfad prepare")


@app.command(help=f"Download, verify and unpack a corpus; the same command again goes on or checks.\n\n\b\n{LIST}")
def prepare(
    corpus: Annotated[str | None, typer.Argument(help="one of the names above; without it they are listed")] = None,
    root: Annotated[Path | None, typer.Option(help="folder for it; by default data/CORPUS")] = None,
    archive: Annotated[Path | None, typer.Option(help="the archive, downloaded already")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="PEM certificates to trust beside the system's")] = None,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="do not delete what was downloaded")] = False,
) -> None:
    """Do it, and leave with an exit code."""

    def work() -> None:
        if corpus is None:
            CONSOLE.print(f"{LIST}\n\nnext: dfad prepare for_rerec --root DIR", markup=False)
            return
        if corpus not in PREPARED:
            raise ConfigError(f"no corpus {corpus!r} to prepare; {did_you_mean(corpus, PREPARED)}")
        knobs = CORPORA[corpus].read({"name": corpus} | ({"path": str(root)} if root else {}))
        if isinstance(knobs, FakeOrRealKnobs):
            _bring(knobs, archive, ca_file, keep_archive)
        elif archive or ca_file or keep_archive:
            raise ConfigError(f"{corpus} is not downloaded; leave out --archive, --ca-file and --keep-archive")
        with _bar("making clips", bytes_=False) as progress:
            manifest = knobs.manifest(progress)
        _show(knobs, manifest)
        CONSOLE.print(f"next: python train.py data={corpus}" + (f" data.path={root}" if root else ""), markup=False)

    sys.exit(guarded(work, stopped="the same command goes on where it was"))


def _bring(knobs: FakeOrRealKnobs, archive: Path | None, ca_file: Path | None, keep: bool) -> None:
    """Download and unpack a corpus, unless it is there."""
    there = knobs.find()
    if archive and not archive.is_file():
        raise DataError(f"no archive at {archive}")
    if there is None:
        try:
            knobs.path.mkdir(parents=True, exist_ok=True)
            held = FileLock(knobs.path / f".{knobs.name}.lock").acquire()
        except OSError as error:
            raise DataError(f"cannot write to {knobs.path}: {error.strerror or error}") from None
        with held:
            there = knobs.find()  # another process may have brought it while this one waited
            if there is None:
                _unpack(knobs, archive, ca_file, keep)
                return
    CONSOLE.print(f"{knobs.name} is there already: {there}", markup=False)


def _unpack(knobs: FakeOrRealKnobs, archive: Path | None, ca_file: Path | None, keep: bool) -> None:
    """Make a corpus of its archive, which is downloaded if none was given."""
    variant = knobs.variant
    if archive:
        check(archive, size=variant.size, sha256=variant.sha256)
    packed = archive or _download(knobs, ca_file)
    known = "size and sha256 are as published" if variant.sha256 else "no sha256 is published for it"
    CONSOLE.print(f"unpacking {packed} ({known})", markup=False)
    with _bar("unpacking") as progress:
        extract(packed, knobs.path / variant.folder, progress=progress)
    if not archive and not keep:
        packed.unlink()


def _download(knobs: FakeOrRealKnobs, ca_file: Path | None) -> Path:
    """Fetch the archive into the corpus' folder."""
    variant, root = knobs.variant, knobs.path
    CONSOLE.print(f"downloading {readable(variant.about)} from {variant.url}", markup=False)
    offline = (
        f"or download it ({readable(variant.about)}) on another machine, a browser will do, and give it as\n"
        f"dfad prepare {knobs.name} --root {root} --archive {variant.archive}"
    )

    def say(line: str) -> None:
        CONSOLE.print(f"[yellow]note[/] {escape(line)}")

    with _bar(variant.archive) as progress:
        return fetch(
            variant.url,
            root / variant.archive,
            size=variant.size,
            sha256=variant.sha256,
            offline=offline,
            progress=progress,
            say=say,
            ca_file=ca_file,
        )


def _show(knobs: CorpusKnobs, manifest: Manifest) -> None:
    """Print the clips of each split and class beside the published ones, and the notes."""
    found = counts(manifest)
    expected = knobs.variant.clips if isinstance(knobs, FakeOrRealKnobs) else found
    table = Table("", "bona fide", "expected", "spoof", "expected", title=str(manifest.root), title_justify="left")
    for split in SPLITS:
        real, fake = (f"{count:,}" for count in found[split])
        wanted = [f"{count:,}" for count in expected[split]] if split in expected else ["?", "?"]
        table.add_row(split, real, wanted[0], fake, wanted[1])
    for column in table.columns[1:]:
        column.justify = "right"
    CONSOLE.print(table)
    total = knobs.variant.total if isinstance(knobs, FakeOrRealKnobs) else len(manifest)
    CONSOLE.print(f"{len(manifest):,} clips, expected {total:,}")
    for note in manifest.notes:
        CONSOLE.print(f"[bold yellow]note[/] {escape(note)}")


@contextmanager
def _bar(title: str, *, bytes_: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    units = (DownloadColumn(), TransferSpeedColumn()) if bytes_ else ()
    columns = (TextColumn(title), BarColumn(), *units, TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
