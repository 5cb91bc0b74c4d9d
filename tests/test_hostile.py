"""Whatever a file holds: one row and one reason, nothing of other files, no call to anybody, no hang."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import dfad
from dfad.errors import AudioError
from dfad.scorer import Scorer
from tests.conftest import ROOT, environment
from tests.hostile import LOOPBACK, PLACED, SECRET, SENT, encoded, speech
from tests.test_scorer import content


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scorer") / "best.ckpt"
    torch.save(content(), path)
    return path


@pytest.fixture(scope="module")
def scorer(checkpoint: Path) -> Scorer:
    return dfad.load(checkpoint)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """One that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening
        with pytest.raises(BlockingIOError):
            listening.accept()


def address(server: socket.socket) -> str:
    return LOOPBACK.replace(":9/", f":{server.getsockname()[1]}/")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A file of somebody else's, with sound and a secret."""
    path = tmp_path / "private" / "other.wav"
    path.parent.mkdir()
    path.write_bytes(encoded(speech()) + SECRET.encode())
    return path


def outcome(scorer: Scorer, path: Path) -> str | None:
    """The reason why a file is not scored; None if it is."""
    try:
        result = scorer(path)
    except AudioError as error:
        said = str(error)
    else:
        assert 0 <= result.p_spoof <= 1
        assert result.windows
        return None
    reason = said.removeprefix(f"{path}: ")
    assert reason != said
    assert "\n" not in reason
    assert SECRET not in reason
    return reason


def holds(reason: str | None, expected: str | None) -> bool:
    if expected == "":
        return reason is None or len(reason) > 5
    return reason is None if expected is None else reason is not None and bool(re.search(expected, reason))


@pytest.mark.parametrize("kind", SENT)
@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value")
def test_what_may_be_sent(kind: str, scorer: Scorer, other: Path, server: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / f"clip{SENT[kind].suffix}"
    path.write_bytes(SENT[kind].make(other, address(server)))
    reason = outcome(scorer, path)
    assert holds(reason, SENT[kind].reason), reason


@pytest.mark.parametrize("kind", PLACED)
def test_what_may_lie_in_a_folder(kind: str, scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / PLACED[kind].name
    PLACED[kind].make(path)
    reason = outcome(scorer, path)
    assert holds(reason, PLACED[kind].reason), reason


@pytest.mark.parametrize("name", ["a\0b.wav", "a\ud800.wav", "", "x" * 5000, "/dev/stdin", "missing.wav"])
def test_names_of_no_file(name: str, scorer: Scorer) -> None:
    assert outcome(scorer, Path(name))


@pytest.fixture
def folder(tmp_path: Path, other: Path, server: socket.socket) -> Path:
    """All of them, and a good file, and a folder that holds itself."""
    home = tmp_path / "all"
    home.mkdir()
    for number, sent in enumerate(SENT.values()):
        (home / f"{number:02}{sent.suffix}").write_bytes(sent.make(other, address(server)))
    for number, placed in enumerate(PLACED.values()):
        (home / f"placed{number:02}").mkdir()
        placed.make(home / f"placed{number:02}" / placed.name)
    (home / "loop").symlink_to(home)
    (home / "loop.wav").symlink_to(home)
    (home / "folder.wav").mkdir()
    (home / "good.wav").write_bytes(encoded(speech()))
    (home / "notes.txt").write_text("no audio by its name, and nobody named it")
    return home


def test_one_row_each(folder: Path, checkpoint: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "dfad", "score", str(folder), "--run", str(checkpoint), "--json"]
    env = environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, timeout=200, env=env, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3, done.stderr
    assert len({row["path"] for row in rows}) == len(rows) == len(SENT) + len(PLACED) + 1
    assert all((row["error"] is None) == (row["verdict"] is not None) for row in rows)
    assert SECRET.encode() not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr
    found = {os.path.relpath(row["path"], folder): row["error"] for row in rows}
    for number, (kind, sent) in enumerate(SENT.items()):
        assert holds(found[f"{number:02}{sent.suffix}"], sent.reason), kind
    assert found["good.wav"] is None
