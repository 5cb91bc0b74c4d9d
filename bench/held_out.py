"""Runs that differ in one choice, on the corpus' own split over seeds and on each group that was held out in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfad.evaluation import unit_of
from dfad.metrics.bootstrap import Interval, distributions, interval
from dfad.metrics.weighted import Weighted
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from dfad.training.runs import Run

RESAMPLES = 1000
Cell = tuple[float, Sequence[float]]  # an EER and the ends of its interval, %


class Found(NamedTuple):
    """A finished run, and what it is called in a table."""

    run: Run
    config: TrainConfig
    name: str

    @property
    def held(self) -> str | None:
        """The group that was held out; None where the corpus' own split was used."""
        return str(self.config.data.hold_out) if self.config.data.hold_out else None

    def eer(self) -> Cell:
        """Equal error rate of the test clips and its interval, %."""
        results = self.run.read_json("metrics.json")
        low, high = results["intervals"]["test/eer"]
        return 100 * results["values"]["test/eer"], (100 * low, 100 * high)


def found(folder: Path, name: Callable[[TrainConfig], str]) -> list[Found]:
    """The finished runs of a folder."""
    runs = [Run(path) for path in sorted(folder.iterdir()) if Run(path).finished]
    return [Found(run, config, name(config)) for run in runs for config in [run.read_config()]]


def said(values: np.ndarray, between: Interval) -> str:
    """Mean ± deviation over seeds, and an interval, %."""
    deviation = f" ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.1f}{deviation} ({100 * between.low:.1f} … {100 * between.high:.1f})"


def over_seeds(runs: Sequence[Found]) -> str:
    """The EER on the test clips, from the stored scores: mean ± deviation over seeds, and the interval of the mean."""
    return over_tables([ScoreTable.read(run.run.folder / "scores" / "test.csv") for run in runs])


def over_tables(tables: Sequence[ScoreTable]) -> str:
    """The EER of several scorings of the same clips: mean ± deviation, and the interval of the mean."""
    systems = [Weighted(table.scores, table.labels, ("eer",)) for table in tables]
    unit = unit_of(tables[0])
    drawn = distributions(systems, tables[0].labels, unit.clusters, resamples=RESAMPLES)
    between = interval(np.mean([each["eer"] for each in drawn], axis=0), unit.count)
    return said(np.array([system(np.ones((1, len(tables[0].labels))))[0, 0] for system in systems]), between)


def eer_of(table: ScoreTable) -> Cell:
    """Equal error rate of clips and its interval, %."""
    unit = unit_of(table)
    system = Weighted(table.scores, table.labels, ("eer",))
    (drawn,) = distributions([system], table.labels, unit.clusters, resamples=RESAMPLES)
    between = interval(drawn["eer"], unit.count)
    return 100 * float(system(np.ones((1, len(table.labels))))[0, 0]), (100 * between.low, 100 * between.high)


def held_out(
    runs: Sequence[Found], names: Sequence[str], title: str, more: Mapping[str, Mapping[str, Cell]] | None = None
) -> list[str]:
    """A table of the groups held out; `more` are other systems' cells, by group and name."""
    cells: dict[str, dict[str, Cell]] = defaultdict(dict)
    for group, given in (more or {}).items():
        cells[group].update(given)
    for each in runs:
        if each.held is not None:
            cells[each.held][each.name] = each.eer()
    groups = sorted(cells)
    lines = [
        "Each group held out in turn, trained on all others; EER on it, %, with 95 % intervals, one seed.",
        "",
        f"| {title} | {' | '.join(group.partition(':')[2] for group in groups)} | mean | worst |",
        f"|---|{'---|' * (len(groups) + 2)}",
    ]
    for name in names:
        row = [cells[group].get(name) for group in groups]
        shown = ["" if cell is None else f"{cell[0]:.1f} ({cell[1][0]:.1f} … {cell[1][1]:.1f})" for cell in row]
        values = [cell[0] for cell in row if cell]
        ends = [f"{np.mean(values):.1f}", f"{max(values):.1f}"] if len(values) == len(groups) else ["", ""]
        lines.append(f"| {name} | {' | '.join([*shown, *ends])} |")
    return lines
