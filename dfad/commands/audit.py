"""`dfad audit CORPUS`: before any training, what tells bona fide from spoof that should not."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from dfad.commands.console import CONSOLE, Bar
from dfad.commands.guard import guarded, writing
from dfad.commands.tables import note
from dfad.commands.words import corpus_names, corpus_of
from dfad.errors import ConfigError, GateError
from dfad.metrics.bootstrap import untold

SHOWN = 16  # features; all of them stand in the report and in the JSON
STOPPED = "nothing is written; type the same command again"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: app(prog_name="dfad audit"), stopped=STOPPED))


@app.command()
def command(
    corpus: Annotated[
        str | None, typer.Argument(help="a manifest (CSV, Parquet), a folder of clips, or a corpus by name")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="a trained detector instead: which of these it relies on")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="with --run: test, val, train or all")] = "test",
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="of the corpus; of the paths in a manifest: its own folder")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="write report.html and audit.json there")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="what belongs together (speaker, source and page)")
    ] = None,
    fail_above: Annotated[
        float | None, typer.Option(min=0.5, max=1, metavar="AUROC", help="exit code 4 if a named one is above, as 0.6")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="all of it, unrounded")] = False,
) -> None:
    """Find shortcuts in timing, level, band and container of the clips.

    A feature is named if it tells the classes apart by more than chance, with
    an AUROC of 0.6 or more, or if it is a word, such as a format, that one
    class has five times as often. A small model on all of them shows how far a
    detector gets without listening: on a random split, and on other speakers,
    sources or pages.

    With --run, a detector's own clips are scored as they are and with one
    nuisance neutralised at a time: what its separation loses, it owed to that
    nuisance. It writes to RUN/audit, or to --out.
    """
    if run:
        _audit_run(run, out, split, corpus=corpus, others=(root, group, fail_above, as_json or None))
        return
    if corpus is None:
        raise ConfigError(
            f"what shall be audited? dfad audit clips.csv, a folder, or one of {', '.join(corpus_names())}"
        )
    if out and out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: that is a file; give a folder")
    knobs = corpus_of(corpus, root)
    watch = (lambda *task: untold) if as_json else Bar
    manifest = knobs.manifest(watch("reading the corpus"))
    from dfad.audit.results import results_of
    from dfad.audit.whole import audit

    found = audit(manifest, group=group, limits=knobs.limits, watch=watch)
    results = results_of(found)
    if as_json:
        print(json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False))
        for text in results["notes"]:
            note(text)
    else:
        _show(results)
    if out:
        from dfad.report.audit import write_audit_page

        page, numbers = out / "report.html", out / "audit.json"
        with writing(numbers):
            part = numbers.with_name(numbers.name + ".part")
            part.write_text(json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
            part.replace(numbers)
        with writing(page):
            write_audit_page(page, corpus, found, results)
        print(f"report {page}, numbers {numbers}", file=sys.stderr)
    if fail_above is not None:
        _hold(results, fail_above)


def _audit_run(run: Path, out: Path | None, split: str, *, corpus: str | None, others: tuple[object, ...]) -> None:
    """Audit a detector; what belongs to the audit of a corpus is refused."""
    if corpus is not None:
        raise ConfigError(f"--run audits a detector on its own clips: leave out {corpus}, or --run")
    if any(other is not None for other in others):
        raise ConfigError("--root, --group, --fail-above and --json are for a corpus; leave them out with --run")
    from dfad.commands.audit_run import audit_run

    audit_run(run, out=out or run / "audit", split=split)


def _show(results: Mapping[str, Any]) -> None:
    """Print the groups, the worst features once each, the model, what flips, and the notes."""
    counts = "; ".join(
        f"{split}: {count['bona-fide']:,} bona fide + {count['spoof']:,} spoof"
        for split, count in results["clips"].items()
    )
    CONSOLE.print(f"clips of {counts}")
    named: dict[str, Mapping[str, Any]] = {}
    for it in results["findings"]:
        if it["named"]:
            named.setdefault(it["feature"], it)
    if named:
        _table(list(named.values())[:SHOWN])
        if len(named) > SHOWN:
            CONSOLE.print(f"… and {len(named) - SHOWN} more; --out DIR writes a report with all")
        orders = list(dict.fromkeys(it["override"] for it in named.values() if it["override"]))
        if orders:
            CONSOLE.print(f"to take away or weaken them: dfad train … {' '.join(_one_each(orders))}", markup=False)
    else:
        CONSOLE.print("no feature tells the classes apart by more than chance and enough to be named")
    verdict = results["model"]["verdict"]
    CONSOLE.print(f"{verdict[0].upper()}{verdict[1:]}", markup=False)
    for it in results["drift"]:
        if it["fate"] == "flips":
            CONSOLE.print(f"[bold]{escape(it['title'])}[/]: {escape(it['verdict'])}")
    for it in results["overlap"]:
        if it["what"] == "content" and it["shared"]:
            CONSOLE.print(f"{' and '.join(dict.fromkeys(it['between']))}: {it['verdict']}", markup=False)
    for name, reason in list(results["skipped"].items())[:3]:
        CONSOLE.print(f"[yellow]skipped[/] {escape(name)}: {escape(reason)}")
    for text in results["notes"]:
        CONSOLE.print(f"[yellow]note[/] {escape(text)}")


def _table(findings: list[Mapping[str, Any]]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("group", "feature", "in"):
        table.add_column(heading, overflow="fold")
    table.add_column("AUROC", justify="right", min_width=5)
    table.add_column("interval", min_width=11)
    table.add_column("what was found", overflow="fold", ratio=1)
    for it in findings:
        low, high = it["interval"]
        cells = (it["group"], it["feature"], it["split"], f"{it['auroc']:.2f}", f"{low:.2f} … {high:.2f}", it["seen"])
        table.add_row(*map(escape, cells))
    if not CONSOLE.is_terminal:
        CONSOLE.print(table, width=100)
    else:
        CONSOLE.print(table)


def _one_each(orders: list[str]) -> list[str]:
    """One override per key: the first, which goes with the worst finding."""
    found: dict[str, str] = {}
    for order in orders:
        found.setdefault(order.split("=")[0], order)
    return list(found.values())


def _hold(results: Mapping[str, Any], limit: float) -> None:
    """Fail if some shortcut that may be heard is above a limit."""
    above = [it for it in results["findings"] if it["named"] and it["heard"] and it["auroc"] > limit]
    if above:
        first = above[0]
        count = len({it["feature"] for it in above})
        raise GateError(
            f"features that tell the classes apart with an AUROC above {limit:g}: {count}, the worst "
            f"{first['feature']} ({first['auroc']:.3f} in {first['split']})"
        )
