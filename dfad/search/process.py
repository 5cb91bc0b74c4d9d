"""One training of a trial, in a process of its own: nothing of it stays behind, and a crash is that of one trial.

The worker sends the configuration as a line of JSON and keeps the pipe open; its end tells the training that the worker
is gone. The training answers with a line per epoch, and hears whether it goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from dfad.errors import STOPPED, ConfigError, DataError, DfadError

GO, STOP = "go", "stop"

Follow = Callable[[int, float, bool], bool]  # epoch, its value, whether it can still be ended → whether to end it


class Result(NamedTuple):
    """What came out of a training.

    Attributes:
        run: its folder.
        value: of the checkpoint that validation chose; None if it was ended early.
    """

    run: str
    value: float | None


class KilledError(Exception):
    """The process of a training was killed."""


def train_apart(config: Mapping[str, Any], study: str, follow: Follow) -> Result:
    """Train in a process of its own, and wait for it.

    Args:
        config: of the training, as plain values.
        study: its name.
        follow: is told of each epoch.

    Raises:
        DfadError: what made the training fail.
        KilledError: if a signal ended its process.
    """
    home, environment = Path(__file__).parents[2], dict(os.environ)
    if (home / "pyproject.toml").is_file():  # not installed, perhaps
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH")]))
    with (
        TemporaryFile() as said,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "dfad.search.training"],  # -P: never import what lies in the working folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the worker
            text=True,
        ) as process,
    ):
        try:
            return _talk(process, {"config": config, "study": study}, follow)
        except (EOFError, BrokenPipeError):
            with suppress(BrokenPipeError):
                process.stdin.close()  # type: ignore[union-attr]  # what was not read cannot be sent any more
            code = process.wait()
            if code < 0 or code == STOPPED:
                number = -code if code < 0 else code - 128
                raise KilledError(f"the process of its training was ended by {signal.Signals(number).name}") from None
            said.seek(0)
            text = said.read().decode(errors="replace").strip()
            raise DfadError(f"the process of its training ended with code {code}\n{text}".rstrip()) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its loader processes too; other ranks notice


def _talk(process: subprocess.Popen[str], task: Mapping[str, Any], follow: Follow) -> Result:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        heard = json.loads(line)
        if "error" in heard:
            raise {2: ConfigError, 3: DataError}.get(heard["code"], DfadError)(heard["error"])
        if "run" in heard:
            return Result(heard["run"], heard["value"])
        end = follow(heard["epoch"], heard["value"], heard["asks"])
        if heard["asks"]:
            process.stdin.write((STOP if end else GO) + "\n")
            process.stdin.flush()
    raise EOFError
