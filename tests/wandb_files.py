"""Reads the file of an offline run of Weights & Biases: LevelDB's log format, the records as protocol buffers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

HEADER = 7  # bytes at the start of the file, and before each fragment: checksum 4, length 2, kind 1
BLOCK = 32768  # no fragment crosses the border of a block
FULL, FIRST, LAST = 1, 2, 4


class OfflineRun:
    """What `wandb sync` would send.

    Args:
        folder: `…/wandb/offline-run-<time>-<id>`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (path,) = folder.glob("run-*.wandb")
        self.records = list(_records(path.read_bytes()))
        (self.run,) = (record.run for record in self.records if record.HasField("run"))
        self.config = {item.key: json.loads(item.value_json) for item in self.run.config.update}
        self.history = [_values(record.history.item) for record in self.records if record.HasField("history")]
        self.epochs = [row for row in self.history if "epoch" in row]
        summaries = [record.summary for record in self.records if record.HasField("summary")]
        self.summary = {name: value for summary in summaries for name, value in _values(summary.update).items()}
        self.files = {f.path for record in self.records if record.HasField("files") for f in record.files.files}
        self.artifacts = [record.artifact for record in self.records if record.HasField("artifact")]
        self.complete = any(record.HasField("exit") for record in self.records)

    def contents(self, kind: str) -> dict[str, Path]:
        """The files of the artifacts of a kind: name → where it lies until it is sent."""
        entries = [
            entry for artifact in self.artifacts if artifact.type == kind for entry in artifact.manifest.contents
        ]
        return {entry.path: Path(entry.local_path) for entry in entries}


def _values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[Record]:
    assert data[:4] == b":W&B"
    at, whole = HEADER, b""
    while at + HEADER <= len(data):
        if (left := BLOCK - at % BLOCK) < HEADER:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part = data[at + HEADER : at + HEADER + length]
        whole = part if kind in (FULL, FIRST) else whole + part
        at += HEADER + length
        if kind in (FULL, LAST):
            yield Record.FromString(whole)
