"""`dfad evaluate SCORES`: what the scores of any system say, as a table, as JSON and as a report."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dfad.commands.console import Bar
from dfad.commands.guard import guarded, writing
from dfad.commands.results import show_results
from dfad.commands.scored import Scored, scored
from dfad.commands.tables import note
from dfad.deployed import Deployed, Raw
from dfad.errors import ConfigError
from dfad.evaluation import EvaluationKnobs, deploy, evaluate, mixed, require_calibrator, results_of
from dfad.metrics.bootstrap import untold

SPLIT = "scores"  # what the results are called where a split's name stands
PLAYED_RATE = 16_000  # Hz

if TYPE_CHECKING:
    from dfad.report.page import Section, Sound

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad evaluate")))


@app.command()
def command(
    scores: Annotated[Path, typer.Argument(help="file of scores: CSV, Parquet or ASVspoof text; or a run's folder")],
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help="manifest or ASVspoof protocol")] = None,
    polarity: Annotated[str, typer.Option(metavar="CLASS", help="higher means: bona-fide or spoof")] = "bona-fide",
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="scores that choose threshold and calibrator")
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(metavar="RULE", help="eer (default), min_dcf, fa@0.01 by validation; or a number")
    ] = None,
    calibrator: Annotated[
        str | None, typer.Option(metavar="NAME", help="logistic (default), temperature, isotonic or none")
    ] = None,
    prior: Annotated[float | None, typer.Option(help="share of spoof that P(spoof) expects (0.5)")] = None,
    by: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="break down by; may be repeated")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="drawn as a whole for intervals; clip: single clips")
    ] = None,
    resamples: Annotated[int | None, typer.Option(help="for 95 % intervals; 0: none (2000)")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="write a page with all pictures")] = None,
    audio: Annotated[Path | None, typer.Option(metavar="FOLDER", help="of the clips, to hear the worst in it")] = None,
    export: Annotated[Path | None, typer.Option(metavar="FILE.txt", help="write them as ASVspoof text")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="all numbers, unrounded")] = False,
) -> None:
    """Judge scores: metrics with intervals, decisions at three thresholds, breakdowns, warnings.

    A score is the log-odds of bona fide: higher means more likely real. A file that is the other way round needs
    --polarity spoof; nothing is ever turned round by looking at labels. A run's folder is judged by its own options.
    """
    if polarity not in ("bona-fide", "spoof"):
        raise ConfigError(f"--polarity {polarity}: give the class for which scores are high, bona-fide or spoof")
    if audio and not report:
        raise ConfigError("--audio needs --report FILE.html, which plays the clips")
    _require_other_files(report, export, inputs=(scores, labels, validation))
    found = scored(scores, labels=labels, polarity=polarity, validation=validation)  # type: ignore[arg-type]
    given = {
        "threshold": None if threshold is None else _number(threshold),
        "calibrator": calibrator,
        "prior": prior,
        "by": [name for word in by or () for name in word.split(",")] or None,
        "cluster": cluster,
        "resamples": resamples,
    }
    options = EvaluationKnobs.read({**found.options, **{name: it for name, it in given.items() if it is not None}})
    if found.validation is None and (threshold or calibrator) and not isinstance(options.threshold, float):
        asked = f"--threshold {threshold}" if threshold else f"--calibrator {calibrator}"
        raise ConfigError(f"{asked} needs --validation FILE, scores of the same system that are not judged here")
    raw = found.deployed.raw if found.deployed else Raw()
    require_calibrator(options, raw)
    deployed = deploy(found.validation, options, raw)
    whole = evaluate(found.table, options, deployed, watch=(lambda *task: untold) if as_json else Bar)  # JSON alone
    results = results_of({SPLIT: whole}, options, deployed, _doubts(found))
    if as_json:
        print(json.dumps(_flat(results), indent=1, ensure_ascii=False))
        for text in results["notes"]:
            note(text)
    else:
        show_results(results, (SPLIT,))
    if whole.values["auroc"] < 0.5:
        _warn(whole.values["auroc"])
    if export:
        _export(found, export)
    if report:
        files = {"scores": scores, "labels": labels, "validation": validation}
        _report(report, found, results, deployed, audio, {name: path for name, path in files.items() if path})
        print(f"report {report}", file=sys.stderr)


def _require_other_files(report: Path | None, export: Path | None, inputs: tuple[Path | None, ...]) -> None:
    """Refuse to write over what is read."""
    for flag, path in (("--report", report), ("--export", export)):
        if path and path.resolve() in {given.resolve() for given in inputs if given}:
            raise ConfigError(f"{flag} {path}: that file is read; choose another name")
    if report and report.suffix not in (".html", ".htm"):
        raise ConfigError(f"--report {report}: give a name that ends in .html")


def _doubts(found: Scored) -> list[str]:
    """What may be wrong with the files as such, or with one number for all of it."""
    notes = mixed(found.table)
    scores = found.table.scores
    if len(scores) > 1 and scores.min() >= 0 and scores.max() <= 1:
        notes.append("all scores lie in [0, 1]: if they are probabilities p, log-odds ln(p / (1 - p)) are expected")
    if found.validation is not None and not found.table.frame["id"].str.fullmatch(r"row \d+").all():
        both = int(found.table.frame["id"].isin(found.validation.frame["id"]).sum())
        if both:
            notes.append(
                f"{both} of {len(scores)} clips are in the validation too, which chose threshold and calibrator"
            )
    return notes


def _number(rule: str) -> str | float:
    try:
        value = float(rule)
    except ValueError:
        return rule
    return value if isfinite(value) else rule


def _flat(results: dict[str, Any]) -> dict[str, Any]:
    """The results of one table, without its name before every key."""
    start = f"{SPLIT}/"
    values = {name.removeprefix(start): value for name, value in results["values"].items()}
    intervals = {name.removeprefix(start): ends for name, ends in results["intervals"].items()}
    rest = {
        "intervals": intervals,
        "bootstrap": results["bootstrap"].get(SPLIT),
        "breakdowns": results["breakdowns"].get(SPLIT, {}),
        "threshold": results["threshold"],
        "options": results["options"],
        "notes": results["notes"],
    }
    return values | rest


def _warn(area: float) -> None:
    """Say loudly that scores seem to be the other way round."""
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[bold red]warning[/] AUROC is {area:.4f}, under 0.5: this system takes spoof for bona fide more often "
        "than not. If a higher score means spoof in this file, say so: --polarity spoof"
    )


def _export(found: Scored, path: Path) -> None:
    from dfad.score_files import write_asvspoof

    with writing(path):
        write_asvspoof(found.table, path)
    note(f"scores written to {path}")


def _report(
    path: Path,
    found: Scored,
    results: dict[str, Any],
    deployed: Deployed,
    audio: Path | None,
    files: Mapping[str, Path],
) -> None:
    from dfad.report.evaluation import Judged, draw, sections
    from dfad.report.run import write_page

    sounds = _sounds(found, deployed, audio, results["options"]["worst"]) if audio else ([], [])
    judged = Judged(results, SPLIT, found.table, deployed, found.validation, *sounds)
    parts = [*sections(judged, draw(judged)), _judged(files, results)]
    with writing(path):
        write_page(path, found.name, judged, parts)


def _judged(files: Mapping[str, Path], results: dict[str, Any]) -> Section:
    """What was judged, when, with what and how: a page is a record."""
    from dfad.report.page import Section

    lines = [f"{name} {path}{_digest(path)}" for name, path in files.items()]
    lines += [f"{name} {results['values'][f'{SPLIT}/n_{name}']} clips" for name in ("bona_fide", "spoof")]
    lines += [f"dfad {version('dfad')}", datetime.now().astimezone().isoformat(" ", "seconds"), ""]
    return Section("What was judged", text="\n".join(lines) + json.dumps(results["options"], indent=1))


def _digest(path: Path) -> str:
    return f" sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else ""


def _sounds(found: Scored, deployed: Deployed, audio: Path, most: int) -> tuple[list[Sound], list[Sound]]:
    from dfad.commands.sounds import worst_sounds

    return worst_sounds(found.table, deployed, audio, PLAYED_RATE, crop_s=None, most=most)
