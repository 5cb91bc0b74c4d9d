"""`dfad score PATHS…`: files of any length and number → score, P(spoof), verdict, warnings."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dfad.commands.chosen import DEMO, beside, chosen, detector, of_demo, scored_by
from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import guarded
from dfad.commands.listed import Found, listed
from dfad.commands.score_bulk import Bulk
from dfad.commands.score_file import Growing, growing
from dfad.commands.score_rows import row_of, shown
from dfad.commands.score_show import Counts, Lines, Sink, csv_lines, json_lines, parquet
from dfad.commands.tables import note
from dfad.cores import cores
from dfad.errors import ConfigError, DataError
from dfad.metrics.bootstrap import untold
from dfad.scoring.options import ScoringKnobs

if TYPE_CHECKING:
    from dfad.scorer import Scorer

STOPPED = "with --out the same command goes on where it was"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad score"), stopped=STOPPED))


@app.command()
def command(
    paths: Annotated[
        list[str] | None, typer.Argument(help="files, folders, patterns; - for names on stdin", metavar="PATH…")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="run folder, checkpoint or .onnx; else the latest finished run")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU by default if there is one")] = None,
    prior: Annotated[
        float | None, typer.Option(help="share of spoof that P(spoof) expects; the run's by default")
    ] = None,
    aggregate: Annotated[
        str, typer.Option(metavar="HOW", help="of a file's windows: mean, max (most spoofed), top-3, any top-N")
    ] = "mean",
    hop: Annotated[
        float | None, typer.Option(metavar="S", help="seconds between windows; half a window by default")
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="hear only the first window, as eval.py does")] = False,
    max_hours: Annotated[float, typer.Option(metavar="H", help="longer files are refused undecoded")] = 12.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, a line for each file")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV")] = False,
    to_parquet: Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="a Parquet file")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=".jsonl or .csv that grows; goes on where it was after a kill")
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(metavar="CORPUS", help="or all of a manifest or pack, into the folder --out, by many processes"),
    ] = None,
    windows: Annotated[bool, typer.Option("--windows", help="scores of every window too (JSON, Parquet)")] = False,
    fail_above: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="P", help="exit code 4 if P(spoof) of a file is above")
    ] = None,
) -> None:
    """Score audio files of any length with a trained detector.

    A file is heard in overlapping windows as long as what the detector was
    trained on, and their scores become one. Higher scores are more bona fide.
    A file that cannot be scored has a row that says why, and the exit code is
    3 in the end. Folders give their audio files by suffix; a file that is
    named is tried by its content.
    """
    if sum(map(bool, (as_json, as_csv, to_parquet, out))) > 1:
        raise ConfigError("--json, --csv, --parquet and --out: choose one")
    if windows and not (as_json or to_parquet or (out and out.suffix == ".jsonl")):
        raise ConfigError("--windows needs --json, --parquet FILE or --out FILE.jsonl: a table has no room for them")
    if manifest:
        if paths or not out or out.suffix or as_json or as_csv or to_parquet or windows or fail_above is not None:
            raise ConfigError(
                "--manifest CORPUS needs --out FOLDER, and takes no PATH, --json, --windows, --fail-above …"
            )
    elif not paths:
        raise ConfigError("what shall be scored? dfad score recording.wav, a folder, or - for names on stdin")
    if prior is not None and not 0 < prior < 1:
        raise ConfigError(f"--prior {prior:g}: a share of spoof between 0 and 1")
    options = ScoringKnobs.read({"first": first, "hop_s": hop, "aggregate": aggregate, "max_hours": max_hours})
    run = chosen(run)
    scorer = detector(run, device, prior)
    if fail_above is not None and scorer.deployed.p_spoof(0.0) != scorer.deployed.p_spoof(0.0):
        raise ConfigError(f"--fail-above: {run} gives cosines, and of those only a finished run tells P(spoof)")
    by = scored_by(run, scorer, options, windows)
    if not manifest or not beside()[0]:  # of several processes one speaks
        _introduce(run, scorer, options, machine=as_json or as_csv)
    if manifest and out:
        from dfad.commands.words import corpus_of  # here, as torch comes with it

        _bulk(Bulk(corpus_of(manifest, None).manifest(), out, by), scorer, options)
        return
    assert paths
    found, counts = listed(paths), Counts(fail_above)
    machine = as_json or as_csv
    with _sink(found, by, out, to_parquet, as_json=as_json, as_csv=as_csv) as sink:
        done = sink.done if isinstance(sink, Growing) else {}
        for before in done.values():
            counts(before)
        found = [(path, wrong) for path, wrong in found if shown(str(path)) not in done]
        watch = Bar("scoring", "files") if CONSOLE.is_terminal and not machine else untold
        results = scorer.each([path for path, wrong in found if not wrong], options)
        for number, (path, wrong) in enumerate(found, 1):
            row = row_of(path, wrong or next(results)[1], by, windows=windows)
            sink(row)
            counts(row)
            watch(number, len(found))
    if not machine:
        CONSOLE.print(f"{counts}{f', {len(done):,} of them before' if done else ''}", markup=False)
    counts.judge()


def _bulk(bulk: Bulk, scorer: Scorer, options: ScoringKnobs) -> None:
    """Score a manifest beside other processes, and say what is to be had of it.

    Raises:
        DataError: if a clip could not be scored.
    """
    bulk.open()
    watch = Bar("scoring") if CONSOLE.is_terminal and not beside()[0] else untold
    threads = max(1, min(4, cores() // beside()[1]))
    if others := bulk.score(scorer, options, threads, watch):
        CONSOLE.print(f"done; others are at work on {others:,} clips, and the last of them makes the table")
        return
    scored, rest = bulk.merge()
    CONSOLE.print(f"{scored:,} of {len(bulk.manifest):,} clips scored: dfad evaluate {bulk.table}", markup=False)
    if rest:
        raise DataError(f"{rest:,} of {len(bulk.manifest):,} clips could not be scored; {bulk.rest} says why")


def _sink(
    found: list[Found], by: str, out: Path | None, to_parquet: Path | None, *, as_json: bool, as_csv: bool
) -> AbstractContextManager[Sink]:
    """Where the rows go."""
    if out:
        return growing(out, by)
    if to_parquet:
        return parquet(to_parquet)
    if as_json or as_csv:
        return json_lines() if as_json else csv_lines()
    return nullcontext(Lines([shown(str(path)) for path, _ in found]))


def _introduce(run: Path, scorer: Scorer, options: ScoringKnobs, *, machine: bool) -> None:
    """Say what scores, and what it cannot tell; where programs read the output, beside it."""
    header = _header(run, scorer, options)
    note(header) if machine else CONSOLE.print(header, markup=False)
    if of_demo(run):
        note(DEMO)
    if scorer.deployed.familiar is None:
        note("this run does not tell what its training clips sounded like, so clips unlike them are not warned of")


def _header(run: Path, scorer: Scorer, options: ScoringKnobs) -> str:
    """What scores, by what it decides, and what it hears."""
    about, crop_s = scorer.judge(0.0), scorer.knobs.frontend.crop_s
    hop_s = crop_s / 2 if options.hop_s is None else options.hop_s
    many = f"{options.aggregate} of windows of {crop_s:g} s every {hop_s:g} s"
    return (
        f"run {run}: threshold {about.threshold:.4g} ({about.threshold_from}) of the {about.unit}, "
        f"P(spoof) at a prior of {about.prior:g}, {f'the first {crop_s:g} s alone' if options.first else many}"
    )
