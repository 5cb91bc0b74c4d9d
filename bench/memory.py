"""What it gains on a CPU to keep freed memory (`dfad.training.memory`): the same steps with and without, in turn."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from torch.nn import functional as F

from dfad.frontends import LogMelKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.training.memory import keep_freed_memory

ROUNDS, STEPS, BATCH = 5, 20, 64


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    pairs = [(measured("give"), measured("keep")) for _ in range(ROUNDS)]
    given, kept = (tuple(median(values) for values in zip(*side, strict=True)) for side in zip(*pairs, strict=True))
    gain = median(keep[0] / give[0] for give, keep in pairs)
    return [
        f"`cnn` on `logmel`, training steps of {BATCH} two-second clips, {torch.get_num_threads()} threads, median of "
        f"{ROUNDS} interleaved processes.",
        "",
        "| freed memory | clips/s | share of CPU time in the kernel | peak memory, GB |",
        "|---|---|---|---|",
        f"| given back (glibc's default) | {given[0]:.0f} | {given[1]:.0%} | {given[2]:.2f} |",
        f"| kept | {kept[0]:.0f} | {kept[1]:.0%} | {kept[2]:.2f} |",
        f"| kept / given back | {gain:.2f} | | |",
    ]


def measured(how: str) -> tuple[float, float, float]:
    """Clips per second, share of kernel time and peak memory (GB) of a process of its own."""
    done = subprocess.run([sys.executable, "-m", "bench.memory", how], capture_output=True, text=True, check=True)
    rate, share, peak = map(float, done.stdout.split())
    return rate, share, peak


def training_step(wave: torch.Tensor) -> Callable[[], None]:
    """Give a training step of `cnn` on `logmel` with a batch of clips."""
    frontend = LogMelKnobs().build()
    network = CNNKnobs().build(frontend.knobs)
    optimizer = torch.optim.AdamW(network.parameters())
    label = torch.randint(0, 2, (len(wave),)).float()

    def step() -> None:
        loss = F.binary_cross_entropy_with_logits(network(frontend(wave)), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def steps(how: str) -> None:
    """Take training steps and print what they cost."""
    if how == "keep":
        keep_freed_memory()
    step = training_step(0.1 * torch.randn(BATCH, LogMelKnobs().crop_samples))
    for _ in range(3):
        step()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(STEPS):
        step()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    user, kernel = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    print(STEPS * BATCH / seconds, kernel / (user + kernel), after.ru_maxrss / 1e6)


if __name__ == "__main__":
    steps(sys.argv[1]) if len(sys.argv) > 1 else print("\n".join(main()))
