"""`dfad vocode CORPUS --out DIR`: spoofed copies of bona fide clips, as files with a manifest."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import guarded
from dfad.commands.words import corpus_names, corpus_of
from dfad.corpora.hold_out import quoted_for_hydra
from dfad.errors import ConfigError, DataError

STOPPED = "the same command goes on where it was"
_PLAIN = re.compile(r"[A-Za-z/._-][\w/.-]*", re.ASCII)  # a path that needs no quotes
SHOWN = 5  # clips that could not be copied; all of them stand in skipped.csv

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad vocode"), stopped=STOPPED))


@app.command()
def command(
    corpus: Annotated[
        str | None, typer.Argument(help="a manifest (CSV, Parquet), a folder of clips, or a corpus by name")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="where the copies shall lie")] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="of the corpus; of the paths in a manifest: its own folder")
    ] = None,
    vocoders: Annotated[
        str | None, typer.Option(metavar="NAMES", help="which, separated by commas; all of them by default")
    ] = None,
    per_clip: Annotated[
        int, typer.Option(min=1, metavar="N", help="copies of every clip, each by another vocoder")
    ] = 1,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="whose clips: train, val, test or all")] = "train",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, metavar="S", help="of a longer clip, only so much is copied")
    ] = 60.0,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other vocoders for a clip and other noise")] = 0,
) -> None:
    """Copy bona fide clips through vocoders, as spoofed clips to train on.

    Each copy says what its clip says, at the same time and level, in a FLAC
    file at the clip's own sample rate. DIR/manifest.csv lists them with label,
    split, vocoder as attack, speaker, the clip's id and its further columns.
    Killed or stopped, the same command goes on and ends in the same files.

    To train on them beside their clips, mix both: the last line printed is
    the command. To have copies made anew in every epoch instead: dfad train
    augment=vocoded
    """
    from dfad.augment.vocoded import known_vocoders
    from dfad.corpora.copies import Recipe, write_copies
    from dfad.effects.vocoders import VOCODERS
    from dfad.labels import SPLITS

    if corpus is None:
        raise ConfigError(
            f"what shall be copied? dfad vocode clips.csv, a folder, or one of {', '.join(corpus_names())}"
        )
    if out is None:
        raise ConfigError(f"where to? dfad vocode {corpus} --out DIR")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: that is a file; give a folder")
    if split not in (*SPLITS, "all"):
        raise ConfigError(f"--split {split}: choose from: {', '.join((*SPLITS, 'all'))}")
    try:
        names = known_vocoders(tuple(map(str.strip, vocoders.split(",")) if vocoders is not None else VOCODERS))
    except ValueError as error:
        raise ConfigError(f"--vocoders {vocoders}: {error}") from None
    if per_clip > len(names):
        raise ConfigError(f"--per-clip {per_clip}: only {len(names)} vocoders, and no clip is copied twice by one")
    knobs = corpus_of(corpus, root)
    manifest = knobs.manifest(Bar("reading the corpus"))
    splits = SPLITS if split == "all" else (split,)
    recipe = Recipe(names, per_clip, seed, seconds)
    done = write_copies(manifest, out, recipe, splits=splits, limits=knobs.limits, progress=Bar("copying", "copies"))
    by = ", ".join(f"{name} {count:,}" for name, count in done.frame["attack"].value_counts().sort_index().items())
    CONSOLE.print(f"{len(done.frame):,} of {done.wanted:,} copies: {by}", markup=False)
    if cut := int((done.frame["duration_s"] >= seconds).sum()):
        CONSOLE.print(f"note {cut:,} of them end after {seconds:g} s, as --seconds says", markup=False)
    for text in manifest.notes:
        CONSOLE.print(f"note {text}", markup=False)
    CONSOLE.print(f"manifest {out / 'manifest.csv'}", markup=False)
    parts = f"{{mine: {_part(corpus, root)}, copies: {{name: manifest, path: {_typed(out / 'manifest.csv')}}}}}"
    CONSOLE.print(f"next: dfad train data=mix data.parts={shlex.quote(parts)}", markup=False, soft_wrap=True)
    if done.skipped:
        shown = [f"{name}: {reason}" for name, reason in list(done.skipped.items())[:SHOWN]]
        more = [f"… and {len(done.skipped) - SHOWN:,} more"] if len(done.skipped) > SHOWN else []
        raise DataError(
            "\n".join([f"{len(done.skipped):,} clips could not be copied:", *shown, *more])
            + f"\nthey are in {out / 'skipped.csv'}, the copies of all others in the manifest; "
            "mend them and type the same command again"
        )


def _part(corpus: str, root: Path | None) -> str:
    """The corpus as a part of a mix."""
    path = Path(corpus)
    if corpus in corpus_names():
        return f"{{name: {corpus}" + (f", path: {_typed(root)}}}" if root else "}")
    if path.is_dir():
        return f"{{name: folder, path: {_typed(path)}}}"
    return f"{{name: manifest, path: {_typed(path)}" + (f", root: {_typed(root)}}}" if root else "}")


def _typed(path: Path) -> str:
    """A path as Hydra takes it within a mapping."""
    return str(path) if _PLAIN.fullmatch(str(path)) else quoted_for_hydra(str(path))
