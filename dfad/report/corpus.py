"""The page on a corpus: what is in it, and what is wrong with it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from dfad.corpora.base import counts
from dfad.labels import SPLITS, Label
from dfad.metrics import CLASSES
from dfad.prepared.findings import Findings
from dfad.report.page import Headline, Page, Section, render
from dfad.report.style import BONA_FIDE, SPOOF, figure, legend_above, panel, png, say

Rows = list[tuple[str, ...]]
Table = tuple[Sequence[str], Rows]

MOST = 20  # rows of a table
GROUPS = 20  # of the same sound, named
LEAD = "Every file was decoded to its end; the manifest beside this page says of each what it is."


def write_page(path: Path, title: str, found: Findings, problems: Path) -> None:
    """Write the page, which is there whole or not at all.

    Args:
        path: of the page.
        title: the corpus' name.
        found: what was found out about it.
        problems: where all clips with problems are listed.
    """
    part = path.with_name(f"{path.name}.part")
    part.write_text(render(page(title, found, problems)), encoding="utf-8")
    part.replace(path)


def page(title: str, found: Findings, problems: Path) -> Page:
    """Say it all."""
    frame = found.manifest.frame
    hours = float(frame["duration_s"].sum()) / 3600
    wrong = len(found.errors)
    headline = [
        Headline("clips", f"{len(frame):,}", f"of {found.clips:,} that the corpus lists"),
        Headline("hours", f"{hours:,.1f}" if hours >= 1 else f"{hours:.2f}", "of sound"),
        Headline("cannot be used", f"{len(found.unusable):,}", "clips that are missing, damaged or truncated"),
        Headline("in two splits", f"{found.groups('splits'):,}", "sounds that test or validation share with others"),
        Headline("in both classes", f"{found.groups('classes'):,}", "sounds that are called bona fide and spoof"),
    ]
    sections = [Section("Clips", table=clip_table(found))]
    if len(found.unusable):
        sections.append(Section("Clips that cannot be used", text=_unusable(found.unusable, problems)))
    sections.append(
        Section(
            "The same sound more than once",
            "The same samples, as heard in mono and 16 bits, whatever the file is called or packed in. Sounds that "
            "were cut, mixed, resampled or coded anew are not found.",
            table=_copies(found),
            text=_named(found, problems),
        )
    )
    if len(found.shared):
        sections.append(Section("Speakers in more than one split", table=_speakers(found.shared)))
    sections += [
        Section(
            "Durations",
            "A class that is longer than the other can be told by that alone.",
            figures=[("durations", png(durations(frame["duration_s"], frame["label"])), "durations of both classes")],
        ),
        Section(
            "Rates and formats",
            "What only one class has, a detector may learn instead of speech.",
            table=_formats(frame),
        ),
        Section("Attacks", table=_attacks(frame)),
    ]
    notes = [*found.errors, *found.warnings, *found.notes]
    state = "makes results wrong" if wrong == 1 else "make results wrong"
    lead = f"{LEAD} {wrong} finding{'' if wrong == 1 else 's'} {state}." if wrong else LEAD
    return Page(title=title, headline=headline, notes=notes, sections=sections, lead=lead)


def clip_table(found: Findings) -> Table:
    """Clips of each split and class, beside the published ones where they are known, and hours."""
    table, expected = counts(found.manifest), found.published
    seconds = found.manifest.frame.groupby("split")["duration_s"].sum()
    rows: Rows = []
    for split in SPLITS:
        cells = [f"{count:,}" for count in table[split]]
        if expected:
            wanted = [f"{count:,}" for count in expected[split]] if split in expected else ["?", "?"]
            cells = [cells[0], wanted[0], cells[1], wanted[1]]
        rows.append((split, *cells, f"{seconds.get(split, 0.0) / 3600:.2f}"))
    header = ("split", "bona fide", "published", "spoof", "published") if expected else ("split", "bona fide", "spoof")
    return (*header, "hours"), rows


def durations(seconds: ArrayLike, labels: ArrayLike) -> Figure:
    """How long the clips of each class are; the longest one in two hundred are counted in the last bin.

    Shape:
        - seconds, labels: (clips,) each.
    """
    s, real = np.asarray(seconds, float), np.asarray(labels) == Label.BONA_FIDE
    fig = figure(3.2)
    axes = panel(fig.subplots(), x="seconds", y="share of the class")
    if not s.size:
        say(axes, "no clips")
        return fig
    edges = np.linspace(0.0, max(float(np.quantile(s, 0.995)) * 1.02, 0.1), 51)
    for name, colour, hatch, chosen in ((CLASSES[0], SPOOF, "////", ~real), (CLASSES[1], BONA_FIDE, "", real)):
        total = int(chosen.sum())
        heights = np.histogram(np.minimum(s[chosen], edges[-1]), edges)[0] / max(total, 1)
        axes.stairs(heights, edges, fill=True, facecolor=colour, alpha=0.35, hatch=hatch, edgecolor="white")
        axes.stairs(heights, edges, color=colour, linewidth=1.4, label=f"{name} ({total:,})")
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    legend_above(fig, axes)
    return fig


def _attacks(frame: pd.DataFrame) -> Table:
    spoof = frame[frame["label"] == Label.SPOOF]
    table = pd.crosstab(spoof["attack"].where(spoof["attack"] != "", "not named"), spoof["split"])
    table = table.reindex(columns=list(SPLITS), fill_value=0)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    return _shortened(("attack", *SPLITS), [(str(name), *_cells(row)) for name, row in _rows(table)])


def _formats(frame: pd.DataFrame) -> Table:
    kinds = [frame[name] for name in ("sample_rate", "channels", "format", "subtype")]
    table = pd.crosstab(kinds, frame["label"]).reindex(columns=[1, 0], fill_value=0)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    rows: Rows = []
    for (rate, channels, container, encoding), row in _rows(table):
        plural = "" if channels == 1 else "s"
        rows.append((f"{rate / 1000:g} kHz, {channels} channel{plural}, {container} {encoding}", *_cells(row)))
    return _shortened(("file", "bona fide", "spoof"), rows)


def _copies(found: Findings) -> Table:
    kinds = {"splits": "in more than one split", "classes": "in both classes", "": "twice in a split"}
    serious = found.copies["splits"] | found.copies["classes"]
    rows: Rows = []
    for kind, words in kinds.items():
        clips = int((found.copies[kind] if kind else ~serious).sum())
        rows.append((words, f"{found.groups(kind):,}", f"{clips:,}"))
    return ("where", "sounds", "clips"), rows


def _named(found: Findings, problems: Path) -> str | None:
    """The first groups of the same sound, the worst first."""
    if found.copies.empty:
        return None
    worst = found.copies.assign(rank=2 * found.copies["classes"] + found.copies["splits"])
    worst = worst.sort_values(["rank", "group"], ascending=[False, True], kind="stable")
    lines: list[str] = []
    for number, (_, group) in enumerate(worst.groupby("group", sort=False)):
        if number == GROUPS:
            lines.append(f"… all {found.copies['group'].nunique():,} of them: {problems.name}")
            break
        same = "the same file" if group["sha256"].nunique() == 1 else "the same sound, packed otherwise"
        lines.append(f"{same}:")
        lines += [f"  {split:5} {CLASSES[label]:9} {name}" for name, split, label in _clips(group)[:MOST]]
    return "\n".join(lines)


def _clips(group: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(zip(group["id"], group["split"], group["label"], strict=True))


def _unusable(clips: pd.DataFrame, problems: Path) -> str:
    pairs = zip(clips["id"][:MOST], clips["reason"][:MOST], strict=True)
    lines = [f"{name}: {reason}" for name, reason in pairs]
    more = [f"… all {len(clips):,} of them: {problems.name}"] if len(clips) > MOST else []
    return "\n".join(lines + more)


def _speakers(shared: pd.DataFrame) -> Table:
    return _shortened(("speaker", *SPLITS), [(str(name), *_cells(row)) for name, row in _rows(shared)])


def _rows(table: pd.DataFrame) -> list[tuple[Any, tuple[int, ...]]]:
    return [(name, tuple(int(value) for value in row)) for name, row in zip(table.index, table.to_numpy(), strict=True)]


def _cells(row: Sequence[int]) -> list[str]:
    return [f"{count:,}" if count else "–" for count in row]


def _shortened(header: Sequence[str], rows: Rows) -> Table:
    more = [(f"… {len(rows) - MOST} more", *("" for _ in header[1:]))] if len(rows) > MOST else []
    return header, rows[:MOST] + more
