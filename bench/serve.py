"""`dfad serve` under 32 clients at once, and at overload: throughput, waiting, memory, wrong and lost answers."""

from __future__ import annotations

import http.client
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile

CLIENTS, SECONDS, CLIPS = 32, 60.0, 16


def main(run: str | None = None, seconds: float = SECONDS) -> list[str]:
    """Measure, and give lines of Markdown."""
    with tempfile.TemporaryDirectory() as home:
        run = run or _made(Path(home))
        rows = [measured(run, CLIENTS, queue, seconds) for queue in (CLIENTS, CLIENTS // 4)]
    return [
        f"`{Path(run).name}`, {CLIENTS} clients on loopback for {seconds:g} s each, {CLIPS} WAV files of 2 to 5 s; the "
        "server and clients share the machine. Every answer is held against the score that one client alone gets.",
        "",
        "| queue | answers/s | p50, s | p95, s | answered 429 | wrong | lost | server, MB: before → peak |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def measured(run: str, clients: int, queue: int, seconds: float) -> str:
    """A row of the table."""
    command = [sys.executable, "-m", "dfad", "serve", run, "--port", "0", "--queue", str(queue), "--device", "cpu"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        place = urlsplit(re.findall(r"http://\S+", server.stdout.readline())[0]).netloc
        clips = [_clip(seed) for seed in range(CLIPS)]
        right = [_score(http.client.HTTPConnection(place), clip)[1] for clip in clips]
        before, waits, counts = _resident(server.pid), list[float](), Counter[str]()
        end = time.monotonic() + seconds

        def client(number: int) -> None:
            connection = http.client.HTTPConnection(place, timeout=60)
            while time.monotonic() < end:
                at = number % CLIPS
                began = time.monotonic()
                try:
                    status, score = _score(connection, clips[at])
                except (OSError, http.client.HTTPException):
                    counts["lost"] += 1
                    connection.close()
                    continue
                counts[str(status)] += 1
                if status == 200:
                    waits.append(time.monotonic() - began)
                    counts["wrong"] += abs(score - right[at]) > 1e-4
                else:
                    time.sleep(0.2)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        again = [_score(http.client.HTTPConnection(place), clip)[0] for clip in clips]
        assert again == [200] * CLIPS, "it does not recover"
        peak = int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[0]) / 1024
    finally:
        server.terminate()
        server.wait()
    p50, p95 = np.quantile(waits, [0.5, 0.95])
    others = counts.total() - counts["200"] - counts["429"] - counts["wrong"]
    return (
        f"| {queue} | {len(waits) / seconds:.1f} | {p50:.2f} | {p95:.2f} | {counts['429']} | {counts['wrong']} | "
        f"{others} | {before:.0f} → {peak:.0f} |"
    )


def _score(connection: http.client.HTTPConnection, clip: bytes) -> tuple[int, float]:
    connection.request("POST", "/score", clip)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()).get("score", 0.0)


def _clip(seed: int) -> bytes:
    random, file = np.random.default_rng(seed), io.BytesIO()
    soundfile.write(file, 0.1 * random.normal(size=random.integers(32_000, 80_000)), 16_000, format="WAV")
    return file.getvalue()


def _resident(pid: int) -> float:
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def _made(home: Path) -> str:
    """A checkpoint of the usual CNN, untrained: what it says does not matter, how long it takes does."""
    import torch

    from dfad.checkpoint import DetectorKnobs
    from dfad.frontends import LogMelKnobs
    from dfad.networks.cnn import CNNKnobs

    torch.manual_seed(0)
    knobs = DetectorKnobs(frontend=LogMelKnobs(), model=CNNKnobs())
    weights = knobs.model.build(knobs.frontend).state_dict()
    state = {f"network.{name}": value for name, value in weights.items()}
    torch.save({"dfad": knobs.plain(), "state_dict": state}, home / "best.ckpt")
    return str(home / "best.ckpt")


if __name__ == "__main__":
    print("\n".join(main(*sys.argv[1:2], *map(float, sys.argv[2:3]))))
