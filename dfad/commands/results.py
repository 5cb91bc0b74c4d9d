"""Results on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from dfad.commands.console import CONSOLE
from dfad.report import robust_tables, tables
from dfad.report.board import METRICS, metric_cell
from dfad.robustness.verdict import verdict

SCREEN_SLICES = 8  # all of them stand in the report and in what programs read


def result_line(results: Mapping[str, Any]) -> str:
    """The few results by which the jobs of a sweep are compared."""
    values: Mapping[str, float | None] = results["values"]
    return "  ".join(f"{key} {metric_cell(value)}" for key in METRICS if (value := values.get(key)) is not None)


def show_results(results: Mapping[str, Any], splits: tuple[str, ...]) -> None:
    """Print metrics with intervals, the three thresholds, the breakdowns of the last split, and the notes."""
    split, values = splits[-1], results["values"]
    clips = (
        f"{name}: {values[f'{name}/n_bona_fide']:,} bona fide + {values[f'{name}/n_spoof']:,} spoof" for name in splits
    )
    CONSOLE.print(f"clips of {'; '.join(clips)}")
    rows = tables.metric_rows(results, splits)
    told = any(row[-1] for row in rows)
    show_table(("", *splits, "95 % interval" if told else ""), rows if told else [row[:-1] for row in rows])
    CONSOLE.print(f"decisions on {split}")
    show_table(*tables.threshold_table(results, split))
    asked = results["options"]["by"] or ["corpus", "attack"]
    for column, parts in results["breakdowns"].get(split, {}).items():
        if column not in asked:
            continue
        CONSOLE.print(f"{split} by {escape(column)}, the worst first (clips: bona fide + spoof)")
        show_table(tables.BREAKDOWN_HEADER, tables.breakdown_rows(parts[:SCREEN_SLICES]))
        if len(parts) > SCREEN_SLICES:
            CONSOLE.print(f"… and {len(parts) - SCREEN_SLICES} more; a report shows all")
        if about := tables.other_unit(results, split, parts[:SCREEN_SLICES]):
            CONSOLE.print(about, markup=False)
    if about := tables.drawn(results, split):
        CONSOLE.print(about, markup=False)
    for note in results["notes"]:
        CONSOLE.print(f"[yellow]note[/] {escape(note)}")


def show_robustness(results: Mapping[str, Any]) -> None:
    """Print a suite: a row per perturbation, the means, the masking checks, the notes."""
    suites = {
        robust_tables.LAUNDERING: robust_tables.laundering_rows(results),
        robust_tables.ADVERSARIAL: robust_tables.adversarial_rows(results),
    }
    for header, rows in suites.items():
        if rows:
            show_table(header, rows)
    if any(one["seen"] for one in results["conditions"]):
        CONSOLE.print(robust_tables.SEEN)
    show_table(robust_tables.MEANS, robust_tables.mean_rows(results))
    for check in robust_tables.check_lines(results):
        CONSOLE.print(f"masking, {check}", markup=False)
    if (said := verdict(results["checks"])) and said not in results["notes"]:
        CONSOLE.print(said, markup=False)
    for note in results["notes"]:
        CONSOLE.print(f"[yellow]note[/] {escape(note)}")


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of texts: names to the left, numbers to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(header[: len(rows[0])] if rows else header):
        widest = max((len(row[at]) for row in rows), default=0) if at else None  # the first column gives way
        table.add_column(escape(name), justify="right" if at else "left", overflow="fold", min_width=widest)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    CONSOLE.print(table)
