"""Packs in object stores: S3, Google, Azure and what speaks like them, by obstore (the `stream` extra)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock

from dfad.download import WAITS_S, Progress, check, require_space
from dfad.errors import ConfigError, DataError
from dfad.packs.format import File
from dfad.packs.stores import Elsewhere

SCHEMES = ("s3", "gs", "az", "abfss")
_BLOCK = 1 << 20  # bytes


class Bucket(Elsewhere):
    """A bucket, or a folder in it. Keys and regions are taken from where the vendors' own tools take them."""

    waits: ClassVar[Sequence[float]] = WAITS_S  # seconds between tries that bring nothing new

    def __init__(self, address: str) -> None:
        super().__init__(address)
        if find_spec("obstore") is None:
            raise ConfigError(f"{address}: object stores need one more library: pip install 'dfad[stream]'")
        from obstore.store import from_url

        with self._told("reach"):
            self.store: Any = from_url(self.address)

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
                return bytes(obstore.get(self.store, name).bytes())
        except FileNotFoundError:
            return None

    def bring(self, file: File, target: Path, progress: Progress | None = None) -> None:
        """Fetch it in pieces behind each other; what came so far waits in `<target>.part`."""
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
