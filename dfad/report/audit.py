"""The page of an audit: what a corpus lets a detector cheat with, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfad.audit.columns import Column
from dfad.audit.features import GROUPS, SHARES
from dfad.audit.model import EVERYTHING, RANDOM, TRAIN_TEST
from dfad.audit.whole import Audit
from dfad.labels import Label
from dfad.report.page import Headline, Page, Section, render
from dfad.report.shortcut import Panel, distributions, shares
from dfad.report.style import png
from dfad.report.tables import share, shown_interval

MOST_PICTURES = 24
MOST_SKIPPED = 200
LEAD = (
    "AUROC: how well a feature alone tells bona fide from spoof: 0.5 not at all, 1 without fail, whichever class has "
    "more of it."
)
NAMED = (
    "A feature is named where its interval excludes 0.5 and its AUROC is 0.6 or more, or where it is a word that one "
    "class has five times as often. All intervals of the page hold at once with 95 % confidence; they are over clips."
)


def write_audit_page(path: Path, title: str, found: Audit, results: Mapping[str, Any]) -> Path:
    """Write the page; it is there whole or not at all.

    Args:
        path: of the page.
        title: what the corpus is called.
        found: the audit, for the pictures.
        results: the same as `results_of` gives it, for all words and numbers.
    """
    parts = [
        _groups(results),
        *_shortcuts(found, results),
        *_model(results),
        *_drift(results),
        *_overlap(results),
        _everything(found, results),
        *_skipped(results),
        _read(),
    ]
    page = Page(f"Audit of {title}", _headline(results), results["notes"], parts, LEAD)
    part = path.with_name(path.name + ".part")
    part.write_text(render(page), encoding="utf-8")
    return part.replace(path)


def interval(ends: Sequence[float | None]) -> str:
    """Both ends of an interval of an AUROC as people read it; empty where there is none."""
    return "" if None in ends else f"{ends[0]:.2f} … {ends[1]:.2f}"


def how_said(how: str) -> str:
    """What a model was tested on, in words."""
    return {RANDOM: "random split", TRAIN_TEST: "trained on train, tested on test"}.get(how, f"other values of {how}")


def _headline(results: Mapping[str, Any]) -> list[Headline]:
    named = [it for it in results["findings"] if it["named"]]
    count = len({it["feature"] for it in named})
    found = [Headline("shortcuts", str(count), "features that tell the classes apart")]
    if named:
        first = named[0]
        found.append(
            Headline("the worst, AUROC", f"{first['auroc']:.2f}", f"{first['title']}, {_where(first['split'])}")
        )
    model = results["model"]
    for key, label in (("random", "model, random split"), ("grouped", ""), ("train_test", "model, train → test")):
        trial = model[key]
        if trial and trial["eer"] is not None:
            name = label or f"model, by {trial['how']}"
            found.append(
                Headline(name, share(trial["eer"]), "EER of all features", shown_interval("eer", trial["interval"]))
            )
    return found


def _groups(results: Mapping[str, Any]) -> Section:
    rows = [
        (
            it["group"],
            str(it["named"]),
            it["feature"] or "no difference",
            _unbroken(_where(it["split"])) if it["split"] else "",
            "" if it["auroc"] is None else f"{it['auroc']:.3f}",
        )
        for it in results["groups"]
    ]
    return Section(
        "Groups of features",
        f"The worst first. {NAMED}",
        table=(("group", "named", "strongest", "where", "AUROC"), rows),
    )


def _shortcuts(found: Audit, results: Mapping[str, Any]) -> Iterator[Section]:
    """A section per group with shortcuts: a picture of each feature that can be heard, and all findings."""
    drawn = 0
    for group in [it["group"] for it in results["groups"] if it["named"]]:
        named = [it for it in results["findings"] if it["named"] and it["group"] == group]
        first = {it["feature"]: it for it in reversed(named)}  # the strongest of each feature
        heard = [column for column in found.columns if column.name in first and column.heard]
        heard.sort(key=lambda column: named.index(first[column.name]))
        chosen = heard[: max(0, MOST_PICTURES - drawn)]
        drawn += len(chosen)
        more = f" Pictures of the first {MOST_PICTURES} features only." if len(chosen) < len(heard) else ""
        yield Section(
            f"Shortcuts: {group}",
            f"{GROUPS[group][0].upper()}{GROUPS[group][1:]}. The scale is bent so that few clips are seen.{more}",
            figures=[
                (
                    f"{column.title}. {first[column.name]['advice']}",
                    _picture(found, column),
                    f"{column.title} by class and split",
                )
                for column in chosen
            ],
            table=(("feature", "where", "AUROC", "interval", "what was found"), [_row(it) for it in named]),
        )


def _row(it: Mapping[str, Any]) -> tuple[str, ...]:
    found = "; ".join(filter(None, (it["seen"], it["doubt"])))
    return it["title"], _unbroken(_where(it["split"])), f"{it['auroc']:.3f}", interval(it["interval"]), found


def _picture(found: Audit, column: Column) -> bytes:
    told = {finding.split: finding for finding in found.findings if finding.column.name == column.name}
    scale = 100 if column.base in SHARES else 1
    panels = []
    for part in found.parts:
        values = column.values[part.rows] * scale
        if finding := told.get(part.name):
            words = f"AUROC {finding.auroc:.2f} ({interval(finding.interval)}){', named' if finding.named else ''}"
        else:
            words = "the same for all, or known of one class only"
        sides = values[part.labels == Label.SPOOF], values[part.labels == Label.BONA_FIDE]
        panels.append(Panel(f"{_where(part.name)}: {words}", sides))
    if column.shares:
        return png(shares(panels))
    return png(distributions(panels, f"{column.feature.meaning},{column.feature.unit}".removesuffix(",")))


def _model(results: Mapping[str, Any]) -> Iterator[Section]:
    model = results["model"]
    if not model["trials"]:
        return
    rows = [
        (
            "all features" if it["features"] == EVERYTHING else f"{it['features']} alone",
            how_said(it["how"]),
            share(it["eer"]) if it["eer"] is not None else it["note"],
            shown_interval("eer", it["interval"]),
            "" if it["auroc"] is None else f"{it['auroc']:.3f}",
            it["unit"] or "",
        )
        for it in model["trials"]
    ]
    verdict = model["verdict"]
    yield Section(
        "A small model on these features",
        f"{verdict[0].upper()}{verdict[1:]}. Names of files are kept from it. Intervals: 95 %, drawn over the unit.",
        table=(("features", "tested on", "EER", "95 % interval", "AUROC", "unit"), rows),
    )


def _drift(results: Mapping[str, Any]) -> Iterator[Section]:
    told = [it for it in results["drift"] if it["named"] or it["fate"]]
    if not results["drift"]:
        return
    rows = [
        (
            it["title"],
            *(f"{it['auroc'][key]:.2f}" if key in it["auroc"] else "" for key in ("all", "bona-fide", "spoof")),
            it["fate"],
            it["verdict"],
        )
        for it in told
    ]
    yield Section(
        "From training to test",
        "AUROC of telling training from test clips: above 0.5 training clips have more of it. A shortcut that flips "
        "between the two is worst: the better a detector learns it, the more it errs on test."
        + ("" if told else " Nothing differs that could be told from chance."),
        table=(("feature", "all", "bona fide", "spoof", "shortcut", "what it means"), rows) if rows else None,
    )


def _overlap(results: Mapping[str, Any]) -> Iterator[Section]:
    rows = [
        (f"{it['between'][0]} – {it['between'][1]}", it["what"], str(it["shared"]), str(it["clips"]), it["verdict"])
        for it in results["overlap"]
    ]
    if rows:
        yield Section(
            "In common",
            "What two splits, or both classes, share. Clips: of the second that have a value of the first.",
            table=(("between", "what", "shared", "clips", "what it means"), rows),
        )


def _everything(found: Audit, results: Mapping[str, Any]) -> Section:
    """A row per feature, a column per part."""
    parts = [part.name for part in found.parts]
    features: dict[str, dict[str, Mapping[str, Any]]] = {}
    for it in results["findings"]:
        features.setdefault(it["feature"], {})[it["split"]] = it
    rows = []
    for told in features.values():
        first = next(iter(told.values()))
        over = [it["split"] for it in told.values() if it["holds"]]
        cells = [_cell(told[name]) if name in told else "" for name in parts]
        rows.append((first["title"], first["group"], *cells, ", ".join(map(_where, over))))
    return Section(
        "All features",
        "AUROC, and the class that has more of it, or (±) lies further from the middle; * named. Over groups: in which "
        "splits the interval excludes 0.5 even where clips of one speaker, or source, count together.",
        table=(("feature", "group", *map(_where, parts), "over groups"), rows),
    )


def _cell(it: Mapping[str, Any]) -> str:
    who = "spoof" if it["higher"] == str(Label.SPOOF) else "bona fide"
    spread, named = " ±" if it["kind"] == "spread" else "", " *" if it["named"] else ""
    return _unbroken(f"{it['auroc']:.2f} {who}{spread}{named}")


def _skipped(results: Mapping[str, Any]) -> Iterator[Section]:
    skipped = results["skipped"]
    if skipped:
        lines = [f"{name}: {reason}" for name, reason in list(skipped.items())[:MOST_SKIPPED]]
        lines += [f"… and {len(skipped) - MOST_SKIPPED} more in audit.json"] if len(skipped) > MOST_SKIPPED else []
        yield Section("Left out", f"{len(skipped)} clips that cannot be decoded.", text="\n".join(lines))


def _read() -> Section:
    return Section(
        "How to read this page",
        "A named feature is something that a detector can use instead of listening to the voice. It need not do so: "
        "train with the override and without it, and compare. Some findings are what the attacks really sound like, "
        "and only who made the corpus can tell. What is not named may still be there: features act together, which is "
        "what the model is for, and an audit knows only what it measures.",
    )


def _where(split: str) -> str:
    return "all clips" if split == "all" else split


def _unbroken(text: str) -> str:
    """Text that stays on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")
