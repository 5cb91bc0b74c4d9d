"""What the presets of augmentation cost beside the training step that they come before, in turn in one process.

Processor time is counted: what others do on the machine changes it little. Where an effect needs files or a codec, the
waveforms' part is done by loader processes, a clip at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import yaml

from bench.effects import BATCH, RATE, ROUNDS, SECONDS, in_turn
from bench.memory import training_step
from dfad.augment import AugmentKnobs
from dfad.commands.door import CONF
from dfad.draws import Draws
from dfad.training.memory import keep_freed_memory


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    keep_freed_memory()  # as every training does
    wave = 0.1 * torch.randn(BATCH, SECONDS * RATE)
    presets = {path.stem: preset(path.read_text()) for path in sorted((CONF / "augment").glob("*.yaml"))}
    presets = {name: knobs for name, knobs in presets.items() if not (knobs.vocoded or knobs.adversarial)}
    works = {name: augmenting(knobs, wave) for name, knobs in presets.items()}
    step = training_step(wave)
    whole, found = in_turn(step, works)
    lines = [
        f"{BATCH} clips of {SECONDS} s, float32, threads: {torch.get_num_threads()}, median of {ROUNDS} rounds; a "
        f"training step of `cnn` on `logmel` takes {whole:.2f} ms of processor time per clip. Codecs and babble are "
        "done by loader processes, and so is all that comes before and after them; decoding for babble is not counted. "
        "`vocoded` and `adversarial` are `light` beside what copies (see `bench.vocoders`) and attacks cost; each step "
        "of an attack costs about as much as a training step on the clips that are attacked.",
        "",
        "| `augment=` | where waveforms are augmented | processor time, ms per clip | share of a step |",
        "|---|---|---|---|",
    ]
    for name, ms in found.items():
        where = "in loader processes" if presets[name].reads_files else "on the device"
        lines.append(f"| `{name}` | {where} | {ms:.2f} | {ms / whole:.0%} |")
    return lines


def preset(text: str) -> AugmentKnobs:
    """Read a preset."""
    return AugmentKnobs.read(yaml.safe_load(text))


def augmenting(knobs: AugmentKnobs, wave: torch.Tensor) -> Callable[[], Any]:
    """A preset on a batch of waveforms, or on its clips one by one, as training does it; another epoch every time."""
    features = torch.randn(len(wave), 1, 80, 201)
    epoch = iter(range(1000))
    rows, zeros = torch.arange(len(wave)), torch.zeros(len(wave), dtype=torch.int64)

    def voice(which: float, where: float) -> Any:
        return wave[int(which * len(wave))].numpy()

    def work() -> None:
        draws = Draws(0, next(epoch), rows, zeros)
        with torch.no_grad():
            for some in rows.split(1 if knobs.reads_files else len(rows)):
                knobs.wave(wave[some], draws[some], RATE, voice)
            knobs.features(features, draws)

    return work


if __name__ == "__main__":
    print("\n".join(main()))
