"""What judging scores costs (`dfad.metrics`): all metrics of a million scores, and a bootstrap of 100,000."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np

from dfad.metrics import eer, summary
from dfad.metrics.bootstrap import distributions
from dfad.metrics.weighted import WEIGHTED, Weighted

MILLION, HUNDRED_THOUSAND, RESAMPLES = 1_000_000, 100_000, 2000


def main() -> list[str]:
    """Measure, and give lines of Markdown."""
    rows = {how: measured(how) for how in JOBS}
    lines = [f"| {name} | {seconds:.1f} | {peak:.2f} |" for name, (seconds, peak) in rows.items()]
    gain = rows["bootstrap, one resample after the other with `eer` alone"][0] / rows["bootstrap, all metrics"][0]
    return [
        f"Float32 scores of two normal classes, one process each; the bootstrap draws {RESAMPLES:,} times.",
        "",
        "| what | seconds | peak memory, GB |",
        "|---|---|---|",
        *lines,
        f"| `eer` alone, sorted anew each time / all metrics from one sorting | {gain:.1f} | |",
    ]


def measured(how: str) -> tuple[float, float]:
    """Seconds and peak memory (GB) of a process of its own."""
    done = subprocess.run([sys.executable, "-m", "bench.scores", how], capture_output=True, text=True, check=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def scores_of(clips: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = (random.random(clips) < 0.3).astype(np.int64)
    return (random.normal(size=clips) + 2 * labels - 1).astype(np.float32), labels


def metrics() -> float:
    """All metrics, once."""
    scores, labels = scores_of(MILLION)
    start = time.perf_counter()
    summary(scores, labels, threshold=0.1)
    return time.perf_counter() - start


def bootstrap() -> float:
    """Intervals of all metrics, at two thresholds."""
    scores, labels = scores_of(HUNDRED_THOUSAND)
    speakers = np.arange(len(scores)) % 1000
    start = time.perf_counter()
    system = Weighted(scores, labels, tuple(WEIGHTED), {"": 0.0, "_at_val": 0.1})
    distributions([system], labels, speakers, resamples=RESAMPLES)
    return time.perf_counter() - start


def plain_bootstrap() -> float:
    """What one would write first: a table for each resample, and the EER of it; from a tenth of the resamples."""
    scores, labels = scores_of(HUNDRED_THOUSAND)
    random = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(RESAMPLES // 10):
        rows = random.integers(0, len(scores), len(scores))
        eer(scores[rows], labels[rows])
    return 10 * (time.perf_counter() - start)


JOBS = {
    "all metrics of 1,000,000 scores": metrics,
    "bootstrap, all metrics": bootstrap,
    "bootstrap, one resample after the other with `eer` alone": plain_bootstrap,
}

if __name__ == "__main__" and not sys.argv[1:]:
    print("\n".join(main()))
elif __name__ == "__main__":
    print(JOBS[sys.argv[1]](), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
