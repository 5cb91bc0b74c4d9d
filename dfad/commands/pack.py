"""`dfad pack CORPUS --out DIR-or-URL`: a corpus as large files, for disks, web servers and object stores."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import guarded
from dfad.commands.words import corpus_names, corpus_of
from dfad.download import readable
from dfad.errors import ConfigError, DataError

STOPPED = "the same command goes on where it was"
SHOWN = 5  # clips that could not be packed

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad pack"), stopped=STOPPED))


@app.command()
def command(
    corpus: Annotated[
        str | None, typer.Argument(help="a manifest (CSV, Parquet), a folder of clips, or a corpus by name")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR|URL", help="a folder, s3://… gs://… or az://…")] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="of the corpus; of the paths in a manifest: its own folder")
    ] = None,
    kind: Annotated[
        str, typer.Option("--as", metavar="KIND", help="as-is: the files' own bytes; pcm, flac: their samples")
    ] = "as-is",
    rate: Annotated[int, typer.Option(min=4000, max=384_000, metavar="HZ", help="of pcm and flac")] = 16000,
    chunk_mb: Annotated[int, typer.Option(min=1, max=5000, metavar="MB", help="how large a chunk may be")] = 64,
    skip: Annotated[bool, typer.Option("--skip", help="leave out clips that cannot be used")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="CORPUS is a pack: check all its bytes")] = False,
) -> None:
    """Pack a corpus into large files: it is read faster, and from anywhere.

    As it is, a pack gives the same waveforms and scores as its files, whatever
    their formats. As pcm it is read fastest: the same for mono clips of 16
    bits at that rate, and nearly the same for others, which are converted
    once. Every clip is decoded and every chunk has a checksum.
    Killed or stopped, the same command goes on and ends in the same pack.
    """
    from dfad.corpora.packed_clips import KINDS, Recipe
    from dfad.corpora.packing import write_pack
    from dfad.packs.where import where

    if corpus is None:
        raise ConfigError(f"what shall be packed? dfad pack clips.csv, a folder, or one of {', '.join(corpus_names())}")
    if verify:
        _verify(corpus)
        return
    if out is None:
        raise ConfigError(f"where to? dfad pack {corpus} --out DIR")
    if Path(out).is_file():
        raise ConfigError(f"--out {out}: that is a file; give a folder")
    if kind not in KINDS:
        raise ConfigError(f"--as {kind}: choose from: {', '.join(KINDS)}")
    knobs = corpus_of(corpus, root)
    manifest = knobs.manifest(Bar("reading the corpus"))
    recipe = Recipe(kind, rate if kind != "as-is" else None, chunk_mb * 1_000_000, skip)
    done = write_pack(manifest, where(out), recipe, limits=knobs.limits, progress=Bar("packing"))
    if done.listing is None:
        shown = [f"{name}: {reason}" for name, reason in list(done.skipped.items())[:SHOWN]]
        more = [f"… and {len(done.skipped) - SHOWN:,} more"] if len(done.skipped) > SHOWN else []
        raise DataError(
            "\n".join([f"{len(done.skipped):,} of {len(manifest):,} clips cannot be used:", *shown, *more])
            + "\nmend them and type the same command again, or leave them out with --skip"
        )
    count, size = len(done.listing.chunks), readable(done.listing.size)
    before = "is there already: " if done.before else ""
    CONSOLE.print(f"pack {out} {before}{done.clips:,} clips, {size} in {count:,} chunks", markup=False)
    if done.skipped:
        CONSOLE.print(f"note {len(done.skipped):,} clips that cannot be used are not in it: see its pack.json")
    if done.changed:
        CONSOLE.print(
            f"note {done.changed:,} clips were resampled, mixed down or rounded to 16 bits: their scores are near "
            "those of their files and not the same; --as as-is keeps them, and the traces of their formats",
            markup=False,
        )
    CONSOLE.print(f"next: dfad train data=packed data.path={shlex.quote(out)}", markup=False, soft_wrap=True)


def _verify(address: str) -> None:
    from dfad.packs.pack import read_listing
    from dfad.packs.verify import damaged
    from dfad.packs.where import where

    source = where(address)
    listing = read_listing(source)
    wrong = list(damaged(source, listing, Bar("checking", "bytes")))
    if wrong:
        shown = [f"{file.name}: {reason}" for file, reason in wrong[:SHOWN]]
        more = [f"… and {len(wrong) - SHOWN:,} more"] if len(wrong) > SHOWN else []
        raise DataError(
            "\n".join([f"{len(wrong):,} of {len(listing.chunks) + 1:,} files are not as packed:", *shown, *more])
            + "\ncopy them again from where the pack came from, or pack the corpus anew into another folder"
        )
    CONSOLE.print(f"{address}: {len(listing.chunks):,} chunks and the table of clips are as packed", markup=False)
