"""What each effect costs beside the training step that it comes before, in turn in one process.

Processor time is counted: what others do on the machine changes it little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from bench.memory import training_step
from dfad.effects import companding, filters, level, noise, rawboost, rerecord, resampling, rooms
from dfad.effects import time as timing
from dfad.training.memory import keep_freed_memory

ROUNDS, BATCH, RATE, SECONDS = 7, 64, 16000, 2


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    keep_freed_memory()  # as every training does
    wave = 0.1 * torch.randn(BATCH, SECONDS * RATE)
    step, works = training_step(wave), effects(wave)
    whole, found = in_turn(step, works)
    lines = [
        f"{BATCH} clips of {SECONDS} s, float32, threads: {torch.get_num_threads()}, median of {ROUNDS} rounds; a "
        f"training step of `cnn` on `logmel` takes {whole:.2f} ms of processor time per clip.",
        "",
        "| effect, on every clip | processor time, ms per clip | share of a step |",
        "|---|---|---|",
    ]
    return lines + [f"| `{name}` | {ms:.2f} | {ms / whole:.0%} |" for name, ms in found.items()]


def effects(wave: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Each effect, with values of which none is at rest."""
    deviates = torch.randn_like(wave)
    voices = torch.randn(len(wave), 4, wave.shape[-1])

    def each(low: float, high: float) -> torch.Tensor:
        return torch.linspace(low, high, len(wave))

    room = rooms.response(deviates[:, : RATE // 2], RATE, each(0.2, 0.5), each(-3, 15))
    centre_hz, width_hz = 20 + 7980 * torch.rand(len(wave), 5, 5), 100 + 900 * torch.rand(len(wave), 5, 5)
    taps, power_db = (
        torch.randint(10, 101, (len(wave), 5, 5)),
        torch.tensor([0.0, -5, -10, -15, -20]).expand(len(wave), 5),
    )

    return {
        "level.gain": lambda: level.gain(wave, each(-6, 6)),
        "level.clip": lambda: level.clip(wave, each(0.3, 0.9)),
        "level.requantise": lambda: level.requantise(wave, each(8, 12)),
        "filters.band": lambda: filters.band(wave, RATE, each(50, 300), each(3400, 7000)),
        "filters.telephone": lambda: filters.telephone(wave, RATE),
        "filters.tilt": lambda: filters.tilt(wave, RATE, each(-6, -1)),
        "resampling.through": lambda: resampling.through(wave, RATE, each(8000, 15000)),
        "companding.mu_law": lambda: companding.mu_law(wave, each(8, 8)),
        "companding.a_law": lambda: companding.a_law(wave),
        "noise.add_noise": lambda: noise.add_noise(wave, deviates, each(0, 20)),
        "noise.coloured": lambda: noise.coloured(deviates, each(1, 2)),
        "noise.babble": lambda: noise.babble(voices),
        "time.shift": lambda: timing.shift(wave, each(1, 8000).long()),
        "time.speed": lambda: timing.speed(wave, each(0.85, 0.99)),
        "time.trim_silence": lambda: timing.trim_silence(wave, RATE, each(-40, -20)),
        "time.insert_silence": lambda: timing.insert_silence(wave, each(1, 8000).long()),
        "rooms.response": lambda: rooms.response(deviates[:, : RATE // 2], RATE, each(0.2, 0.5), each(-3, 15)),
        "rooms.convolve": lambda: rooms.convolve(wave, room),
        "rerecord.rerecord": lambda: rerecord.rerecord(
            wave,
            RATE,
            room,
            each(50, 300),
            each(4000, 7000),
            deviates,
            each(15, 40),
            each(1.1, 3),
            resonance_hz=each(200, 4000),
            resonance_db=each(-6, -1),
        ),
        "rawboost.convolutive": lambda: rawboost.convolutive(wave, RATE, centre_hz, width_hz, taps, power_db),
        "rawboost.impulsive": lambda: rawboost.impulsive(wave, deviates, each(0.01, 0.1), each(2, 2)),
        "rawboost.stationary": lambda: rawboost.stationary(
            wave, RATE, deviates, centre_hz[:, 0], width_hz[:, 0], taps[:, 0], each(10, 40)
        ),
    }


def in_turn(step: Callable[[], Any], works: dict[str, Callable[[], Any]]) -> tuple[float, dict[str, float]]:
    """Milliseconds per clip of a training step, and of each work: medians of rounds in which all have their turn."""
    times: dict[str, list[float]] = {name: [] for name in ("", *works)}
    for _ in range(1 + ROUNDS):
        for name, work in {"": step, **works}.items():
            times[name].append(milliseconds(work))
    found = {name: median(values[1:]) for name, values in times.items()}
    return found.pop(""), found


def milliseconds(work: Callable[[], Any]) -> float:
    """Processor time of a batch's work, per clip."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began) / BATCH


if __name__ == "__main__":
    print("\n".join(main()))
