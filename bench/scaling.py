"""One process and two: training and bulk scoring, each as its command does it, and what limits them.

Two processes of one thread each against one process of one thread, so that a core more is what is compared. What bounds
the two is measured beside them: as many bare loops that share nothing at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from bench.devices import configured
from dfad.cores import cores
from dfad.training.fit import train
from dfad.training.ranks import free_port
from dfad.training.scoring import SILENT

ROUNDS, EPOCHS, CLIPS, BATCH = 3, 3, 1024, 64
MODEL = {"model": {"name": "cnn"}}
ONE = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
SPIN = "import time, torch; torch.set_num_threads(1); x = torch.randn(64, 8, 80, 100); w = torch.randn(16, 8, 3, 3)\n"
SPIN += "t = time.perf_counter()\nfor _ in range(60): torch.conv2d(x, w)\nprint(time.perf_counter() - t)"
AGREE = """
import sys, time, torch, torch.distributed as d
from dfad.training.stops import Agreement
d.init_process_group("gloo", init_method="tcp://127.0.0.1:" + sys.argv[2], rank=int(sys.argv[1]), world_size=2)
torch.set_num_threads(1)
x, w = torch.randn(8, 8, 40, 50), torch.randn(16, 8, 3, 3)
flag, times = torch.zeros(()), {}
agree = Agreement(2)
for name, ask in (("agree", lambda: agree(False)), ("wait", lambda: bool(d.all_reduce(flag) or flag))):
    times[name] = 0.0
    for _ in range(200):
        torch.conv2d(x, w)  # the step between
        began = time.perf_counter()
        ask()
        times[name] += (time.perf_counter() - began) / 200
print(*times.values())
"""


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    lines = [
        f"One thread a process, {cores()} cores; load average {os.getloadavg()[0]:.1f} when it began. The median of "
        f"{ROUNDS} rounds in turn; the limit is what two bare loops that share nothing get of two cores.",
        "",
        "| | one process | two | speed-up | of the limit |",
        "|---|---|---|---|---|",
    ]
    spun = [(max(spin(1)), max(spin(2))) for _ in range(ROUNDS)]
    limit = median(2 * one / two for one, two in spun)
    trained = [(training(1), training(2)) for _ in range(ROUNDS)]
    lines.append(_row("`cnn`, training, clips/s", trained, limit))
    with tempfile.TemporaryDirectory() as folder:
        trainer = {"max_epochs": 1, "accelerator": "cpu"}
        config = configured(Path(folder), CLIPS, BATCH, 1, {**MODEL, "trainer": trainer})
        run, manifest = train(config, SILENT).run.folder, Path(folder) / "manifest.csv"
        found = [(bulk(run, manifest, 1), bulk(run, manifest, 2)) for _ in range(ROUNDS)]
    lines.append(_row("`dfad score --manifest`, clips/s, its start included", found, limit))
    agree, wait = agreement()
    lines += [
        "",
        f"Limit {limit:.2f}. Agreeing with another rank whether to stop takes {1e6 * agree:.0f} µs of a step; waiting "
        f"for the answer of the same step would take {1e6 * wait:.0f} µs.",
    ]
    return lines


def _row(what: str, pairs: list[tuple[float, float]], limit: float) -> str:
    gain = median(two / one for one, two in pairs)
    one, two = (median(pair[at] for pair in pairs) for at in (0, 1))
    return f"| {what} | {one:.0f} | {two:.0f} | {gain:.2f} | {gain / limit:.0%} |"


def spin(processes: int) -> list[float]:
    """Seconds of bare loops at the same time."""
    started = [
        subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE, text=True, env=ONE)
        for _ in range(processes)
    ]
    return [float(process.communicate()[0]) for process in started]


def training(devices: int) -> float:
    """Clips per second of a training's epochs but the first."""
    torch.set_num_threads(devices)  # which are dealt to the processes
    with tempfile.TemporaryDirectory() as folder:
        trainer = {"max_epochs": EPOCHS, "accelerator": "cpu", "devices": devices}
        config = configured(Path(folder), CLIPS, BATCH, devices, {**MODEL, "trainer": trainer})
        clock = _Clock()
        train(config, SILENT, [clock])
    return CLIPS / median(clock.seconds[1:])


class _Clock(Callback):
    """Times the training part of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin."""
        self.began = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End."""
        self.seconds.append(time.perf_counter() - self.began)


def bulk(run: Path, manifest: Path, processes: int) -> float:
    """Clips per second of bulk scoring, from the start of the processes to the table."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "dfad", "score", "--manifest", str(manifest), "--run", str(run), "--out", folder]
        began = time.perf_counter()
        started = [
            subprocess.Popen(
                [sys.executable, *words],
                stdout=subprocess.DEVNULL,
                env={**ONE, "LOCAL_RANK": str(local), "LOCAL_WORLD_SIZE": str(processes)},
            )
            for local in range(processes)
        ]
        assert [process.wait() for process in started] == [0] * processes
        return CLIPS / (time.perf_counter() - began)


def agreement() -> tuple[float, float]:
    """Seconds that two ranks take to agree whether to stop, and that an all-reduce takes."""
    port = str(free_port())
    started = [
        subprocess.Popen([sys.executable, "-c", AGREE, str(rank), port], stdout=subprocess.PIPE, text=True, env=ONE)
        for rank in range(2)
    ]
    said = [process.communicate()[0].split() for process in started]
    return float(said[0][0]), float(said[0][1])


if __name__ == "__main__":
    print("\n".join(main()))
