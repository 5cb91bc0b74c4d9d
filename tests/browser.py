"""A page in headless Chromium, spoken to through its DevTools pipe: no driver, no server."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
DEADLINE = 60.0  # seconds


class Tab:
    """A tab, and everything that it has reported."""

    def __init__(self, write: int, read: int) -> None:
        self.write, self.read, self.buffer = write, read, b""
        self.count, self.session = 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> Any:
        """Call a method of the DevTools protocol and wait for its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, page: Path, width: int) -> None:
        """Open a page in a window of a width, and wait until it has loaded."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        while not self.of("Page.loadEventFired"):
            self.events.append(self._next())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        done = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"]["value"]

    def of(self, method: str) -> list[dict[str, Any]]:
        """What was reported under a name."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def _next(self) -> dict[str, Any]:
        end = monotonic() + DEADLINE
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0.0, end - monotonic()))
            assert ready, "Chromium does not answer"
            data = os.read(self.read, 1 << 16)
            assert data, "Chromium has ended"
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def tab(home: Path) -> Iterator[Tab]:
    """A tab of a browser that has just been started, with a profile below `home`."""
    assert CHROMIUM
    ours, theirs = zip(os.pipe(), os.pipe()[::-1], strict=True)  # theirs to read and to write: 3 and 4 in the browser
    (their_read, their_write), (our_write, our_read) = ours, theirs
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (their_read, their_write)]
    command = ["bash", "-c", f'exec "$@" 3<&{high[0]} 4>&{high[1]}', "bash", CHROMIUM, *FLAGS]
    process = subprocess.Popen(
        [*command, f"--user-data-dir={home / 'profile'}"],
        pass_fds=high,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (their_read, their_write, *high):
        os.close(end)
    try:
        yield Tab(our_write, our_read)
    finally:
        process.kill()
        process.wait()
        os.close(our_write)
        os.close(our_read)
