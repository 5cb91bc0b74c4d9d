"""Packs in object stores: S3, Google, Azure and what speaks like them, by obstore (the `stream` extra)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock

from dfad.download import WAITS_S, Progress, check, readable, require_space
from dfad.errors import ConfigError, DataError
from dfad.packs.format import File
from dfad.packs.stores import SMALL, Elsewhere

SCHEMES = ("s3", "gs", "az", "abfss")
_BLOCK = 1 << 20  # bytes
_FETCH = """
import sys
from pathlib import Path
from dfad.errors import DataError
from dfad.packs.buckets import Bucket
from dfad.packs.format import File

address, name, size, sha256, target = sys.argv[1:]
try:
    Bucket(address).bring(File(name, int(size), sha256), Path(target))
except DataError as error:
    sys.exit(str(error))
"""
_threads = {"here": True}  # of obstore, which a fork of a process that has used it lacks: there it would wait for ever


class Bucket(Elsewhere):
    """A bucket, or a folder in it. Keys and regions are taken from where the vendors' own tools take them."""

    waits: ClassVar[Sequence[float]] = WAITS_S[:3]  # seconds between tries that bring nothing new, beside obstore's own

    def __init__(self, address: str) -> None:
        super().__init__(address)
        if find_spec("obstore") is None:
            raise ConfigError(f"{address}: object stores need one more library: pip install 'dfad[stream]'")
        _watch_forks()

    def __getstate__(self) -> dict[str, str]:
        return {"address": self.address}

    @cached_property
    def store(self) -> Any:
        """What obstore calls the place."""
        from obstore.store import from_url

        with self._told("reach"):
            return from_url(self.address)

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A temporary folder."""
        with tempfile.TemporaryDirectory(prefix="dfad-pack-") as folder:
            yield Path(folder)

    def read(self, name: str) -> bytes | None:
        """Read a small file."""
        import obstore

        try:
            with self._told(f"read {name} in"):
                data = bytearray()
                for block in obstore.get(self.store, name).stream(min_chunk_size=_BLOCK):
                    data += block
                    if len(data) > SMALL:
                        raise ValueError(f"it has more than {readable(SMALL)}")
                return bytes(data)
        except FileNotFoundError:
            return None

    def bring(self, file: File, target: Path, progress: Progress | None = None) -> None:
        """Fetch it in pieces behind each other; what came so far waits in `<target>.part`."""
        if not _threads["here"]:
            self._bring_by_a_process(file, target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        with FileLock(target.with_name(f".{target.name}.lock")):  # every process of a run may want the file
            if target.is_file():
                return
            left, have = list(self.waits), part.stat().st_size if part.is_file() else 0
            require_space(target.parent, max(0, file.size - have), f"{self}/{file.name}")
            while have < file.size:
                before = have
                try:
                    have = self._go_on(file, part, have, progress)
                    if have == before:
                        raise OSError("nothing came")
                except (_passing(), OSError) as error:
                    have = part.stat().st_size if part.is_file() else 0
                    left = list(self.waits) if have > before else left
                    if isinstance(error, FileNotFoundError) or not left:
                        reason = str(error).strip().splitlines()[0]
                        raise DataError(f"cannot fetch {self}/{file.name}: {reason}") from None
                    time.sleep(left.pop(0))
            try:
                check(part, size=file.size, sha256=file.sha256)
            except DataError as error:
                part.unlink()
                raise DataError(f"{self}/{file.name} is not the file that the pack lists: {error}") from None
            part.replace(target)

    def _bring_by_a_process(self, file: File, target: Path) -> None:
        """Do it in a process that was not forked: for loader processes, which are."""
        words = (self.address, file.name, str(file.size), file.sha256, str(target.absolute()))
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run([sys.executable, "-P", "-c", _FETCH, *words], env=env, capture_output=True, text=True)
        if done.returncode:
            raise DataError(done.stderr.strip() or f"cannot fetch {self}/{file.name}")

    def _go_on(self, file: File, part: Path, have: int, progress: Progress | None) -> int:
        import obstore

        answer = obstore.get(self.store, file.name, options={"range": (have, file.size)})
        with part.open("ab") as out:
            for block in answer.stream(min_chunk_size=_BLOCK):
                out.write(block)
                out.flush()
                if progress:
                    progress(out.tell(), file.size)
            return out.tell()

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        import obstore

        with self._told(f"write {name} to"):
            obstore.put(self.store, name, data)

    def size(self, name: str) -> int | None:
        """Its bytes."""
        import obstore

        try:
            with self._told(f"look for {name} in"):
                return int(obstore.head(self.store, name)["size"])
        except FileNotFoundError:
            return None

    def put(self, path: Path, name: str) -> None:
        """Send it, in parts if it is large."""
        import obstore

        with self._told(f"write {name} to"):
            obstore.put(self.store, name, path)
        path.unlink()

    def delete(self, name: str) -> None:
        """Delete it."""
        import obstore

        with self._told(f"delete {name} in"):
            obstore.delete(self.store, name)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Say what could not be done."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (_passing(), OSError, ValueError) as error:
            raise DataError(f"cannot {what} {self}: {str(error).strip().splitlines()[0]}") from None


def _passing() -> type[Exception]:
    """What obstore raises, beside the system's own errors."""
    from obstore.exceptions import BaseError

    return BaseError


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=lambda: _threads.update(here=False))
