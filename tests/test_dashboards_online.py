"""A dashboard that is online, against a stand-in for the server of Weights & Biases on this machine."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dfad.errors import ConfigError
from dfad.training.board_wandb import WandbBoard
from dfad.training.loggers import WandbKnobs
from dfad.training.mirror import Mirror
from dfad.training.runs import Run


class Server(ThreadingHTTPServer):
    """Knows just enough of the protocol for init, log and finish."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.known = True  # whether it takes the key
        self.deaf = threading.Event()  # set: rows are never acknowledged
        self.over = threading.Event()
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.exits: list[int] = []

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        name = given.get("name") or ""
        project = {"id": "p", "name": "dfad", "entity": {"id": "e", "name": "me"}}
        if operation == "Viewer":
            return {"viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        if operation == "UpsertBucket":
            return {"upsertBucket": {"bucket": {"id": "b", "name": name, "project": project}, "inserted": True}}
        rows = self.rows.get(name, [])
        return {  # RunResumeStatus
            "model": project
            | {
                "bucket": {
                    **{"id": "b", "name": name, "summaryMetrics": "{}", "config": "{}", "tags": []},
                    **{"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]", "historyLineCount": len(rows)},
                    "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
                    "wandbConfig": '{"t": {"1": [1]}}',
                }
            }
        }


class _Answers(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("file_stream"):
            return self._rows(json.loads(body))
        if not self.server.known:
            return self._reply(401, {"errors": [{"message": "user is not logged in"}]})
        asked = json.loads(body) if self.path.endswith("graphql") else {}
        operation = asked.get("operationName", "")
        self.server.asked.append(operation)
        if operation in ("Viewer", "UpsertBucket", "RunResumeStatus"):
            return self._reply(200, {"data": self.server.answer(operation, asked.get("variables") or {})})
        return self._reply(200, {"errors": [{"message": f"unknown {operation}"}]})

    def _rows(self, sent: dict[str, Any]) -> None:
        if self.server.deaf.is_set():
            self.server.over.wait()
        part = sent.get("files", {}).get("wandb-history.jsonl", {"offset": None, "content": []})
        rows = self.server.rows.setdefault(self.path.split("/")[-2], [])
        del rows[part["offset"] if part["content"] else len(rows) :]
        rows += [json.loads(line) for line in part["content"]]
        if sent.get("complete"):
            self.server.exits.append(sent["exitcode"])
        self._reply(200, {})

    def _reply(self, code: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """The server, and a user who has a key for it."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    """A finished run without a dashboard."""
    return Run(Path(shutil.copytree(trained, tmp_path / trained.name)))


def board(say: Any = print, **knobs: Any) -> WandbBoard:
    return WandbBoard(WandbKnobs(**knobs), None, say)


def test_a_run_that_was_cut_off_goes_on_online_without_a_row_twice(server: Server, run: Run) -> None:
    rows = pd.read_csv(run.folder / "curves.csv").to_dict("records")
    first = board()
    first.open(run, goes_on=False)
    for row in rows[:2]:
        first.row(row)
    first.close(failed=True)
    said: list[str] = []
    second = board(said.append)
    second.open(run, goes_on=True)
    for row in rows:
        second.row(row)
    second.results(run, [])
    where = second.close(failed=False)
    (sent,) = server.rows.values()
    assert [row["_step"] for row in sent] == list(range(len(rows) + 1))  # the last one holds the figures
    assert [row["epoch"] for row in sent[:-1]] == [row["epoch"] for row in rows]
    assert [row["val/eer"] for row in sent[:-1]] == pytest.approx([row["val/eer"] for row in rows])
    assert server.asked.count("RunResumeStatus") == 1
    assert server.exits == [1, 0]
    assert said == [f"dashboard {where}"]
    assert where.endswith(f"/me/dfad/runs/{run.folder.name.rpartition('-')[2]}")
    assert sorted(path.name for path in run.folder.glob("wandb/offline-*")) == []


def test_a_wrong_key_is_told_and_the_run_is_offline(server: Server, run: Run) -> None:
    server.known = False
    said: list[str] = []
    with Mirror(board(said.append), said.append) as mirror:
        mirror.finish(run, list)
    assert "is offline: Failed to authenticate" in said[0]
    assert "user is not logged in" in said[0]
    assert said[1].startswith("dashboard offline: wandb sync ")
    assert len(list(run.folder.glob("wandb/offline-*"))) == 1
    with pytest.raises(ConfigError, match=r"logger.mode=online, but .*user is not logged in"):
        board(mode="online").open(run, goes_on=False)


def test_a_server_that_falls_silent_holds_nobody(server: Server, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "2")
    server.deaf.set()
    said: list[str] = []
    with Mirror(board(said.append), said.append) as mirror:
        mirror.finish(run, list)
    assert "did not take all in time" in said[1]
    assert said[2].startswith("dashboard not all sent: wandb sync --include-online")
