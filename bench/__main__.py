"""Run all benchmarks and write bench/RESULTS.md: `make bench`."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import torch

from bench import (
    aasist,
    audit,
    augment,
    codecs,
    devices,
    effects,
    epoch,
    frozen,
    manifest,
    memory,
    models,
    reading,
    scaling,
    score,
    scores,
    serve,
    vocoders,
)

BENCHMARKS = {
    "A training epoch against a bare loop (`python -m bench.epoch`)": epoch.main,
    "What the framework adds to a step (`python -m bench.devices`)": devices.main,
    "One process and two (`python -m bench.scaling`)": scaling.main,
    "Frozen blocks computed once (`python -m bench.frozen`)": frozen.main,
    "Every preset (`python -m bench.models`)": models.main,
    "Scoring files (`python -m bench.score`)": score.main,
    "Judging scores (`python -m bench.scores`)": scores.main,
    "A manifest of ten million clips (`python -m bench.manifest`)": manifest.main,
    "Clips from files and from packs (`python -m bench.reading`)": reading.main,
    "An audit of a corpus (`python -m bench.audit`)": audit.main,
    "Effects beside a training step (`python -m bench.effects`)": effects.main,
    "Augmentation beside a training step (`python -m bench.augment`)": augment.main,
    "Clips through codecs (`python -m bench.codecs`)": codecs.main,
    "Copies by vocoders (`python -m bench.vocoders`)": vocoders.main,
    "AASIST on a CPU (`python -m bench.aasist`)": aasist.main,
    "A detector behind HTTP (`python -m bench.serve`)": serve.main,
    "Freed memory kept on a CPU (`python -m bench.memory`)": memory.main,
}


def processor() -> str:
    """The processor's name, and how many cores of it we may use."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


def others(text: str) -> list[str]:
    """The sections that take hours and are written by hand: all that none of `BENCHMARKS` makes."""
    _, *sections = text.split("\n## ")
    return [f"## {section}".rstrip("\n") for section in sections if section.partition("\n")[0] not in BENCHMARKS]


def main() -> None:
    """Measure and write."""
    path = Path(__file__).parent / "RESULTS.md"
    kept = others(path.read_text()) if path.is_file() else []
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`, but for trainings, which stand at the end. Read the ratios: they compare things "
        "measured side by side in one run.",
        "",
        f"{processor()}; torch {version('torch')}, lightning {version('lightning')}.",
    ]
    for title, benchmark in BENCHMARKS.items():
        print(f"== {title}")
        found = benchmark()
        print("\n".join(found))
        lines += ["", f"## {title}", "", *found]
    for section in kept:
        lines += ["", section]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
