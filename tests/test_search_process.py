"""The process of a training: however it ends, the worker learns what it has to know."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dfad.errors import DfadError
from dfad.search import process
from dfad.search.process import KilledError, train_apart

TELLS = "import os, signal, sys, time\nsys.stdin.readline()\n"
EPOCH = """print('{"epoch": 0, "value": 1.0, "asks": true}', flush=True)\n"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a program in the place of the training."""

    def put(code: str) -> None:
        program = tmp_path / "training"
        program.write_text(f"#!{sys.executable}\n{TELLS}{code}")
        program.chmod(0o755)
        monkeypatch.setattr(process.sys, "executable", str(program))

    return put


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (f"{EPOCH}os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),  # between its question and the answer
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        (f"{EPOCH}sys.stdin.readline()\nsys.exit(143)", "SIGTERM"),  # after it has written a checkpoint
    ],
)
def test_a_process_that_a_signal_ended_was_killed(code: str, name: str, child: Any) -> None:
    child(code)

    def follow(epoch: int, value: float, asks: bool) -> bool:
        if name == "SIGKILL":
            import time

            time.sleep(0.3)  # it is gone before it is answered
        return False

    with pytest.raises(KilledError, match=f"ended by {name}"):
        train_apart({}, "mine", follow)


def test_a_process_that_fails_says_why(child: Any) -> None:
    child("sys.exit('no such thing')")
    with pytest.raises(DfadError, match=r"ended with code 1\nno such thing"):
        train_apart({}, "mine", lambda *_: False)
