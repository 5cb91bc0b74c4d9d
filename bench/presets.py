"""What augmentation does for detectors on clips unlike those of training: `python -m bench.presets RUNS`.

RUNS is a folder of runs that differ in `augment=`, as

    python train.py -m runs=RUNS data=manifest data.path=… augment=none,light,… seed=0,1,2
    python train.py -m runs=RUNS data=manifest data.path=… augment=none,light,… data.hold_out=COLUMN:A,COLUMN:B

leave behind. Runs on the corpus' own split hear their test clips under every laundering, each of which is done once for
all of them; of runs that held a group out, the stored results are read. It is no part of `make bench`: it takes hours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from bench.held_out import RESAMPLES, Found, found, held_out, said
from dfad.audio import fit, load
from dfad.clips import Manifest
from dfad.evaluation import unit_of
from dfad.metrics.bootstrap import distributions, interval
from dfad.metrics.weighted import Weighted
from dfad.robustness.given import Given, Voices, keys_of
from dfad.robustness.perturbations import LAUNDERING
from dfad.scorer import Scorer, load_scorer
from dfad.scores import ScoreTable
from dfad.training.perturbing import voice_rows

BATCH = 64
CLEAN = "clean"


def main(folder: Path) -> list[str]:
    """Measure, and give lines of Markdown."""
    runs = found(folder, lambda config: config.augment.name)
    presets = sorted({run.name for run in runs}, key=lambda name: (("none", "light", name).index(name), name))
    laundered = _laundered([run for run in runs if run.held is None], presets, folder)
    return [*laundered, "", *held_out(runs, presets, "`augment=`")]


def _laundered(runs: Sequence[Found], presets: Sequence[str], folder: Path) -> list[str]:
    if not runs:
        return ["no runs on the corpus' own split"]
    manifest = _usable(runs[0])
    able = [each for each in LAUNDERING.values() if not each.lacking()]
    names = [CLEAN, *(str(one) for each in able for one in each.conditions)]
    kinds = [CLEAN, *(each.name for each in able for _ in each.conditions)]
    kept = folder / "presets.npz"  # scores, by run: (conditions, clips)
    stored = dict(np.load(kept)) if kept.is_file() else {}
    if stored.get("names", np.array([])).tolist() != names:
        stored = {"names": np.array(names)}
    if lacking := [run.run.folder for run in runs if run.run.folder.name not in stored]:
        under = []
        for name, scores in _scored([load_scorer(path) for path in lacking], manifest):
            print(name, flush=True)
            under.append(scores)
        stored |= dict(zip([path.name for path in lacking], np.stack(under, axis=1), strict=True))
        part = kept.with_name("part.npz")
        np.savez(part, **stored)
        part.replace(kept)
    rows = manifest.rows("test")
    labels = manifest.labels[rows]
    unit = unit_of(ScoreTable(manifest.only(rows).frame.assign(score=0.0)))
    lines = [
        f"{len(rows)} test clips, {len(names) - 1} conditions of {len(set(kinds)) - 1} kinds of laundering. "
        "EER, %: the mean over seeds ± their deviation, with 95 % intervals over "
        f"{unit.count} values of {unit.name}; laundered: the mean over strengths, then over kinds.",
        "",
        "| `augment=` | seeds | clean | laundered | worst kinds |",
        "|---|---|---|---|---|",
    ]
    for preset in presets:
        members = [stored[run.run.folder.name] for run in runs if run.name == preset]
        systems = [Weighted(values, labels, ("eer",)) for member in members for values in member]
        drawn = np.array([each["eer"] for each in distributions(systems, labels, unit.clusters, resamples=RESAMPLES)])
        exact = np.array([system(np.ones((1, len(labels))))[0] for system in systems]).reshape(len(members), len(names))
        drawn = drawn.reshape(len(members), len(names), RESAMPLES)
        by_kind = {kind: np.array([one == kind for one in kinds]) for kind in dict.fromkeys(kinds)}
        means = {kind: exact[:, at].mean(1) for kind, at in by_kind.items()}
        laundered = np.mean([means[kind] for kind in means if kind != CLEAN], axis=0)
        spread = np.mean([drawn[:, at].mean(1) for kind, at in by_kind.items() if kind != CLEAN], axis=0)
        worst = sorted((kind for kind in means if kind != CLEAN), key=lambda kind: -means[kind].mean())[:3]
        lines.append(
            f"| {preset} | {len(members)} | {said(means[CLEAN], interval(drawn[:, 0].mean(0), unit.count))} | "
            f"{said(laundered, interval(spread.mean(0), unit.count))} | "
            f"{', '.join(f'{kind} {100 * means[kind].mean():.1f}' for kind in worst)} |"
        )
    return lines


def _usable(found: Found) -> Manifest:
    """The clips that the run could use."""
    return found.config.data.manifest().without(found.run.read_json("manifest.json")["skipped"])


def _scored(scorers: Sequence[Scorer], manifest: Manifest) -> Iterator[tuple[str, np.ndarray]]:
    """Scores under each condition: (runs, clips)."""
    rows = manifest.rows("test")
    frontend = scorers[0].knobs.frontend
    waves = torch.from_numpy(np.stack([_crop(manifest, row, frontend) for row in rows]))
    keys = torch.from_numpy(keys_of(manifest.ids[rows]))
    voices = voice_rows(manifest, rows)
    babble = Voices(
        torch.from_numpy(np.stack([_crop(manifest, row, frontend) for row in voices])),
        torch.from_numpy(keys_of(manifest.ids[voices])),
    )
    yield CLEAN, _by_all(scorers, waves)
    for perturbation in LAUNDERING.values():
        if perturbation.lacking():
            continue
        for condition in perturbation.conditions:
            size = 1 if perturbation.clipwise else BATCH
            parts = [
                perturbation(wave, frontend.sample_rate, condition.strength, Given(0, some, babble))
                for wave, some in zip(waves.split(size), keys.split(size), strict=True)
            ]
            yield str(condition), _by_all(scorers, torch.cat(parts))


def _crop(manifest: Manifest, row: int, frontend) -> np.ndarray:
    wave = load(manifest.path(row), sample_rate=frontend.sample_rate, crop_s=frontend.crop_s)
    return fit(wave, frontend.crop_samples)


def _by_all(scorers: Sequence[Scorer], waves: torch.Tensor) -> np.ndarray:
    return np.stack([np.concatenate([scorer.score(some).numpy() for some in waves.split(BATCH)]) for scorer in scorers])


if __name__ == "__main__":
    print("\n".join(main(Path(sys.argv[1]))))
