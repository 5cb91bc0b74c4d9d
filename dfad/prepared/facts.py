"""What every file of a corpus is, found out once: its sound decoded, its bytes and its sound hashed.

Facts are appended to a file as they are found, a line of JSON each, so that a run that is killed loses no more than the
last second of its work. A file is looked at again only if its size or its time has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import json as arrow_json

from dfad.audio import Limits, to_mono, verify
from dfad.clips import Manifest
from dfad.corpora.base import Progress
from dfad.corpora.check import in_threads
from dfad.errors import AudioError, DataError

SCHEMA = pa.schema(
    [
        *(("path", pa.string()), ("bytes", pa.int64()), ("mtime_ns", pa.int64()), ("by", pa.string())),
        *(("reason", pa.string()), ("frames", pa.int64()), ("sample_rate", pa.int32()), ("channels", pa.int32())),
        *(("format", pa.string()), ("subtype", pa.string()), ("sha256", pa.string()), ("sound", pa.string())),
    ]
)
_FLUSH_S = 1.0
_MISSING = -1  # bytes of a file that is not there
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}  # nanoseconds are no floats


def look(manifest: Manifest, store: Path, *, limits: Limits, progress: Progress | None = None) -> pd.DataFrame:
    """Find out what every file of a corpus is, as far as that is not known yet.

    Args:
        manifest: the clips.
        store: file of the facts; it is made, or gone on with.
        limits: what is refused unread.
        progress: told after every clip that is looked at; not at all if there is none.

    Returns:
        A row per clip, in manifest order: `reason` why it cannot be used ("" if it can), `frames`, `sample_rate` (Hz),
        `channels`, `format` and `subtype` such as "WAV" and "PCM_16", `bytes`, `sha256` of the file, and `sound`, a
        hash of what is heard: the same for the same samples in another container, empty for digital silence.

    Raises:
        DataError: if the facts cannot be written.
    """
    by = _decoders()
    stats = np.empty((len(manifest), 2), np.int64)
    for row in range(len(manifest)):
        stats[row] = _stat(_file(manifest, row))
    try:
        rows = np.flatnonzero(~_known(_read(store), manifest, stats, by))
        with store.open("ab") as file:
            flushed = time.monotonic()

            def examine(row: int) -> Mapping[str, Any]:
                size, mtime = (int(value) for value in stats[row])
                about = {"path": str(manifest.ids[row]), "bytes": size, "mtime_ns": mtime, "by": by}
                return {**about, **_examine(_file(manifest, row), limits)}

            for fact in in_threads(examine, rows, progress):
                file.write(json.dumps(fact, ensure_ascii=False).encode(errors="replace") + b"\n")
                if time.monotonic() - flushed > _FLUSH_S:
                    file.flush()
                    flushed = time.monotonic()
    except OSError as error:
        raise DataError(f"cannot write {store}: {error.strerror or error}") from None
    facts = _of(_read(store), manifest)
    _compact(store, facts)
    return facts.reset_index(drop=True)


class Sound:
    """A hash of what is heard: mono, in steps of 16 bits, at its own rate; the container leaves no trace in it."""

    def __init__(self) -> None:
        self.hash, self.silent = hashlib.blake2b(digest_size=16), True

    def __call__(self, wave: np.ndarray) -> None:
        """Take the next piece. Shape: (frames, channels) float32."""
        mono = to_mono(wave)
        steps = np.rint(np.clip(mono * np.float32(32768.0), -(2**30), 2**30)).astype("<i4")
        self.silent = self.silent and not steps.any()
        self.hash.update(steps)  # type: ignore[arg-type]

    def digest(self, sample_rate: int) -> str:
        """The hash in hexadecimal; empty for digital silence, which says nothing."""
        self.hash.update(str(sample_rate).encode())
        return "" if self.silent else self.hash.hexdigest()


def _file(manifest: Manifest, row: int) -> Path:
    path = manifest.path(row)
    assert isinstance(path, Path), "packs are not prepared"
    return path


def _examine(path: Path, limits: Limits) -> Mapping[str, Any]:
    sound = Sound()
    try:
        info = verify(path, limits=limits, each=sound)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except AudioError as error:
        return {"reason": str(error).removeprefix(f"{path}: ")}
    except OSError as error:
        return {"reason": (error.strerror or str(error)).lower()}
    return {
        **{"reason": "", "frames": info.frames, "sample_rate": info.sample_rate, "channels": info.channels},
        **{"format": info.container, "subtype": info.encoding},
        **{"sha256": sha256, "sound": sound.digest(info.sample_rate)},
    }


def _stat(path: Path) -> tuple[int, int]:
    """Bytes and time of a file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return _MISSING, 0
    return found.st_size, found.st_mtime_ns


def _read(store: Path) -> pd.DataFrame:
    """The facts that are stored, the newest of each file; a line that was cut off or damaged is none."""
    if not store.is_file() or store.stat().st_size == 0:
        return _frame(SCHEMA.empty_table())
    with store.open("r+b") as file:  # the end of a line that was cut off, so that the next one begins anew
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    options = arrow_json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    try:
        table = arrow_json.read_json(store, parse_options=options)
    except pa.ArrowInvalid:
        with store.open("rb") as file:
            lines = b"".join(line for line in file if _whole(line))
        part = store.with_name(f"{store.name}.part")
        part.write_bytes(lines)
        part.replace(store)
        return _read(store)
    return _frame(table)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    return frame.drop_duplicates("path", keep="last").set_index("path")


def _whole(line: bytes) -> bool:
    try:
        fact = json.loads(line)
    except ValueError:
        return False
    kinds = {pa.string(): str}
    return isinstance(fact, dict) and all(
        fact.get(field.name) is None or isinstance(fact[field.name], kinds.get(field.type, int)) for field in SCHEMA
    )


def _of(known: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """The facts in manifest order; NA where there are none."""
    return known.reindex(manifest.frame["id"])


def _known(known: pd.DataFrame, manifest: Manifest, stats: np.ndarray, by: str) -> np.ndarray:
    """Which clips need no look; what could not be decoded is tried again with other decoders. Shape: (clips,) bool."""
    facts = _of(known, manifest)
    same = [
        facts[name].to_numpy(np.int64, na_value=-2) == stats[:, at] for at, name in enumerate(("bytes", "mtime_ns"))
    ]
    final = (facts["reason"] == "") | (facts["by"] == by)
    return np.asarray(same[0] & same[1] & final.to_numpy(bool, na_value=False), bool)


def _compact(store: Path, facts: pd.DataFrame) -> None:
    """Write the store anew once most of its lines are of files that have changed or gone."""
    with store.open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    if lines <= 2 * len(facts) + 100:
        return
    part = store.with_name(f"{store.name}.part")
    facts.reset_index().rename(columns={"id": "path"}).to_json(part, orient="records", lines=True, force_ascii=False)
    part.replace(store)


def _decoders() -> str:
    """The versions of what decodes."""
    found = []
    for name in ("soundfile", "av"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)
