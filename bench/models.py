"""How fast every preset is, at inference and in training: writes `dfad/models.json`, which `dfad models` shows."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from dfad.commands.models import MEASURED
from dfad.commands.presets import SECONDS, Preset, presets
from dfad.training.memory import keep_freed_memory

BATCH, ROUNDS, THREADS = 8, 5, 2


def main(rounds: int = ROUNDS) -> list[str]:
    """Measure, store, and give lines of Markdown."""
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    load = os.getloadavg()[0]
    works = {each.name: _works(each) for each in presets() if not each.needs_backbone}
    seconds: dict[str, list[list[float]]] = {name: [[], []] for name in works}
    for number in range(rounds + 1):
        for name, both in works.items():
            for work, kept in zip(both, seconds[name], strict=True):
                began = time.perf_counter()
                work()
                if number:  # the first one warms up
                    kept.append(time.perf_counter() - began)
    found = {
        name: {"inference": BATCH / median(kept[0]), "training": BATCH / median(kept[1])}
        for name, kept in seconds.items()
    }
    machine = f"{_processor()}, {THREADS} threads, batches of {BATCH} clips of {SECONDS:g} s"
    MEASURED.write_text(
        json.dumps({"machine": machine, "load_before": round(load, 2), "presets": found}, indent=1) + "\n"
    )
    lines = [
        f"{machine}, float32, median of {rounds} interleaved rounds; frontend included, others ran at a load of "
        f"{load:.1f}. `dfad models` shows them beside sizes.",
        "",
        "| `model=` | inference, clips/s | training step, clips/s |",
        "|---|---|---|",
    ]
    return [*lines, *(f"| `{name}` | {one['inference']:.3g} | {one['training']:.3g} |" for name, one in found.items())]


def _works(preset: Preset) -> tuple[Callable[[], Tensor], Callable[[], None]]:
    """Scoring a batch with a preset, and a training step of all its weights."""
    knobs = preset.config.frontend
    torch.manual_seed(0)
    frontend, network = knobs.build(), preset.config.model.build(knobs)
    wave, label = 0.1 * torch.randn(BATCH, knobs.crop_samples), torch.arange(BATCH).float() % 2
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)

    @torch.inference_mode()
    def infer() -> Tensor:
        return network.eval()(frontend(wave))

    def step() -> None:
        loss = F.binary_cross_entropy_with_logits(network.train()(frontend(wave)), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return infer, step


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    print("\n".join(main()))
