"""What the framework adds to a step, on one and two CPU devices, for the CNN and for VGG16.

Beside each training runs a bare PyTorch loop over tensors in memory, on as many processes (DistributedDataParallel over
gloo) with as many threads, an epoch of one and an epoch of the other in turn; the first of each warms up.
"""

from __future__ import annotations

import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from bench.epoch import BareLoop, interleaved, write_corpus
from dfad.training.config import TrainConfig
from dfad.training.ranks import free_port

ROUNDS = 5
CASES: dict[str, tuple[int, int, dict[str, Any]]] = {  # clips, batch size, options
    "CNN": (1024, 64, {"model": {"name": "cnn"}}),
    "VGG16, all of it trained, 0.5 s at 40 bands": (
        64,
        16,
        {
            "model": {"name": "vgg16", "pretrained": "none"},
            "frontend": {"name": "logmel", "crop_s": 0.5, "n_mels": 40},
        },
    ),
}


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    lines = [
        f"WAV files, warm cache, no augmentation, {torch.get_num_threads()} threads in all, median of {ROUNDS} rounds.",
        "",
        "| network | devices | bare loop, ms per step | `train.py`, ms per step | framework, ms per step | clips/s |",
        "|---|---|---|---|---|---|",
    ]
    for name, (clips, batch, options) in CASES.items():
        for devices in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                config = configured(Path(folder), clips, batch, devices, options)
                bare = BareLoop(config) if devices == 1 else BarePair(config)
                pairs = list(interleaved(config, bare, clips))
                bare.end()
            steps = clips // batch
            ms = [(1000 * clips / a / steps, 1000 * clips / b / steps) for a, b in pairs]
            lines.append(
                f"| {name} | {devices} | {median(a for a, _ in ms):.0f} | {median(b for _, b in ms):.0f} "
                f"| {median(b - a for a, b in ms):.1f} ({', '.join(f'{b - a:.1f}' for a, b in ms)}) "
                f"| {median(b / a for a, b in pairs):.3f} |"
            )
            print(lines[-1], flush=True)
    return lines


def configured(home: Path, clips: int, batch: int, devices: int, options: dict[str, Any]) -> TrainConfig:
    """A training of so many clips."""
    values = {
        "data": {"name": "manifest", "path": str(write_corpus(home, clips)), "batch_size": batch},
        "frontend": {"name": "logmel"},
        "augment": {"name": "none"},
        "trainer": {"max_epochs": ROUNDS + 1, "accelerator": "cpu", "devices": devices},
        "runs": str(home / "runs"),
    }
    return TrainConfig.read({**values, **options})


class BarePair:
    """The bare loop on two processes, which wait for each other's gradients."""

    def __init__(self, config: TrainConfig) -> None:
        context = mp.get_context("spawn")
        self.ends: list[Connection] = []
        self.processes = []
        port = free_port()
        for rank in range(2):
            ours, theirs = context.Pipe()
            threads = max(1, torch.get_num_threads() // 2)
            process = context.Process(
                target=_bare_rank, args=(rank, port, threads, config.plain(), theirs), daemon=True
            )
            process.start()
            self.ends.append(ours)
            self.processes.append(process)
        for end in self.ends:
            end.recv()

    def epoch(self) -> float:
        """Train for an epoch; give the seconds it took."""
        for end in self.ends:
            end.send("go")
        return max(end.recv() for end in self.ends)

    def end(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.kill()


def _bare_rank(rank: int, port: int, threads: int, plain: dict[str, Any], parent: Connection) -> None:
    torch.set_num_threads(threads)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    config = TrainConfig.read(plain)
    loop = BareLoop(config)
    loop.size //= 2
    loop.wave, loop.label = loop.wave[rank::2], loop.label[rank::2]
    loop.network = DistributedDataParallel(loop.network)
    parent.send("ready")
    while parent.recv() == "go":
        parent.send(loop.epoch())


if __name__ == "__main__":
    print("\n".join(main()))
