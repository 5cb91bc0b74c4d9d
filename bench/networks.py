"""Networks beside each other on the development corpus: `python -m bench.networks RUNS IMPORTED…`.

RUNS is a folder of runs that differ in `model=`, as

    python train.py -m runs=RUNS data=manifest data.path=… model=cnn,… seed=0,1,2
    python train.py -m runs=RUNS data=manifest data.path=… model=cnn,… data.hold_out=COLUMN:A,COLUMN:B

leave behind; each IMPORTED is a run folder that `dfad import` made. Those never heard the corpus, so they are scored on
the test clips and on every group that was held out. It is no part of `make bench`: it takes hours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench.held_out import Cell, eer_of, found, held_out, over_seeds, over_tables
from dfad.audio import fit, load
from dfad.clips import Manifest
from dfad.commands.models import measurements, row
from dfad.commands.presets import presets
from dfad.networks.counting import parameters
from dfad.scorer import Scorer, load_scorer
from dfad.scores import ScoreTable

BATCH = 8
SPLIT = "test"  # the name of the corpus' own test clips, among those of the groups


def main(folder: Path, imported: Sequence[Path]) -> list[str]:
    """Measure, and give lines of Markdown."""
    runs = found(folder, lambda config: f"`{config.model.name}` on `{config.frontend.name}`")
    names = sorted({run.name for run in runs})
    heard = {run.held or SPLIT: run.config.data.manifest() for run in runs}  # the clips of each table's column
    tables = {path.name: _tables(path, heard) for path in imported}
    speeds = _speeds()
    lines = [
        "EER on the test page, %: the mean over seeds ± their deviation, with 95 % intervals; clips/s of 4 s as in "
        "`dfad models`.",
        "",
        "| network | parameters | inference, clips/s | training step, clips/s | seeds | EER |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        own = [run for run in runs if run.name == name and run.held is None]
        lines.append(_row(name, load_scorer(own[0].run.folder), speeds, str(len(own)), over_seeds(own)))
    for path in imported:
        lines.append(_row(path.name, load_scorer(path), speeds, "imported", over_tables([tables[path.name][SPLIT]])))
    groups = [group for group in heard if group != SPLIT]
    more: dict[str, dict[str, Cell]] = {
        group: {name: eer_of(by_group[group]) for name, by_group in tables.items()} for group in groups
    }
    return [*lines, "", *held_out(runs, [*names, *tables], "network", more)]


def _speeds() -> dict[int, tuple[str, str]]:
    """Clips/s at inference and in training, by the number of parameters that tells presets apart."""
    measured = measurements()["presets"]
    rows = [row(preset, measured.get(preset.name, {})) for preset in presets() if not preset.needs_backbone]
    return {each["parameters"]: (f"{each['inference']:.3g}", f"{each['training']:.3g}") for each in rows}


def _row(name: str, scorer: Scorer, speeds: dict[int, tuple[str, str]], seeds: str, eer: str) -> str:
    count = parameters(scorer.network)
    return f"| {name} | {count:,} | {' | '.join(speeds.get(count, ('', '')))} | {seeds} | {eer} |"


def _tables(run: Path, heard: dict[str, Manifest]) -> dict[str, ScoreTable]:
    """Raw scores of an imported run, by group; kept beside this call's last one in RUN/networks.npz."""
    kept = run / "networks.npz"
    known = dict(zip(*np.load(kept).values(), strict=True)) if kept.is_file() else {}
    scorer = load_scorer(run)
    parts = {group: manifest.only(manifest.rows("test")) for group, manifest in heard.items()}
    for part in parts.values():
        lacking = [at for at in range(len(part.frame)) if part.ids[at] not in known]
        for start in range(0, len(lacking), BATCH):
            some = np.array(lacking[start : start + BATCH])
            known |= dict(zip(part.ids[some], _scored(scorer, part, some), strict=True))
    np.savez(kept, ids=np.array(list(known)), scores=np.array(list(known.values())))
    return {
        group: ScoreTable(part.frame.assign(score=[known[each] for each in part.ids])) for group, part in parts.items()
    }


def _scored(scorer: Scorer, manifest: Manifest, rows: np.ndarray) -> np.ndarray:
    frontend = scorer.knobs.frontend
    paths = [manifest.path(row) for row in rows]
    waves = [load(path, sample_rate=frontend.sample_rate, crop_s=frontend.crop_s) for path in paths]
    stacked = np.stack([fit(wave, frontend.crop_samples) for wave in waves])
    return scorer.score(torch.from_numpy(stacked)).numpy()


if __name__ == "__main__":
    print("\n".join(main(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]])))
