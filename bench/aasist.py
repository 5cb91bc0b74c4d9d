"""How fast AASIST scores and learns on a CPU, and where the time goes: `python -m bench.aasist`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from dfad.frontends import RawKnobs
from dfad.networks.aasist import AASIST, AASISTKnobs
from dfad.training.memory import keep_freed_memory

CLIPS, REPEATS, SHOWN = 2, 2, 6  # clips in a batch, times of which the best counts, operations that are listed
SIZES = {"AASIST": {}, "AASIST-L": {"widths": (32, 32, 24, 24, 24, 24), "graph_width": 24, "keep": (0.4, 0.5, 0.7)}}
CROP_S = 4.0375


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some times; the first one is not counted."""
    work()
    took = []
    for _ in range(REPEATS):
        start = perf_counter()
        work()
        took.append(perf_counter() - start)
    return min(took)


def score(network: AASIST, wave: torch.Tensor) -> None:
    with torch.inference_mode():
        network.eval()(wave)


def step(network: AASIST, wave: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    labels = torch.arange(len(wave)) % 2
    F.binary_cross_entropy_with_logits(network.train()(wave), labels.float()).backward()
    optimizer.step()


def shares(work: Callable[[], object]) -> str:
    """The operations that take most of the time, and how much of it."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return ", ".join(f"{event.key} {event.self_cpu_time_total / total:.0%}" for event in events[:SHOWN])


def main() -> list[str]:
    """Measure."""
    logging.getLogger("torch").setLevel(logging.ERROR)
    keep_freed_memory()
    wave = 0.1 * torch.randn(CLIPS, round(CROP_S * 16000), generator=torch.Generator().manual_seed(0))
    lines = ["| network | scored, clips/s | trained, clips/s |", "|---|---|---|"]
    where = []
    for name, options in SIZES.items():
        torch.manual_seed(0)
        network = AASISTKnobs(**options).build(RawKnobs(crop_s=CROP_S))
        optimizer = torch.optim.AdamW(network.parameters())
        works = {"scoring": lambda n=network: score(n, wave), "a step": lambda n=network, o=optimizer: step(n, wave, o)}
        rates = [CLIPS / best(work) for work in works.values()]
        lines.append(f"| {name} | {rates[0]:.2f} | {rates[1]:.2f} |")
        where += [f"- {name}, {what}: {shares(work)}" for what, work in works.items()]
    return [f"Clips of {CROP_S} s, {CLIPS} at a time.", "", *lines, "", "Where the time goes:", "", *where]


if __name__ == "__main__":
    print("\n".join(main()))
