"""Packs behind web servers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar, NoReturn

from dfad.connection import Answer, Connection, Interrupted, Refused, number, words
from dfad.download import WAITS_S, Progress, fetch, readable
from dfad.errors import ConfigError, DataError
from dfad.packs.format import File
from dfad.packs.stores import SMALL, Elsewhere


class Web(Elsewhere):
    """A web server, which gives files and takes none."""

    waits: ClassVar[Sequence[float]] = WAITS_S  # seconds between tries that bring nothing new

    def read(self, name: str) -> bytes | None:
        """Read a small file."""
        waits = list(self.waits)
        while True:
            try:
                server = Connection(f"{self.address}/{name}", None, lambda line: None)
                with server.ask({"User-Agent": "dfad"}) as answer:
                    return _whole(answer)
            except Interrupted as error:
                if not waits:
                    raise DataError(f"cannot read {self.address}/{name}: {error}, again and again") from None
                time.sleep(waits.pop(0))
            except Refused as error:
                if " 404 " in f"{error} ":
                    return None
                raise DataError(f"cannot read {self.address}/{name}: {error}") from None

    def bring(self, file: File, target: Path, progress: Progress | None = None) -> None:
        """Download it."""
        url = f"{self.address}/{file.name}"
        fetch(url, target, size=file.size, sha256=file.sha256, progress=progress, waits=self.waits)

    def workshop(self) -> NoReturn:
        """Refuse it."""
        raise self._takes_none()

    def write(self, name: str, data: bytes) -> None:
        """Refuse it."""
        raise self._takes_none()

    def size(self, name: str) -> int | None:
        """Refuse it: only who writes asks."""
        raise self._takes_none()

    def put(self, path: Path, name: str) -> None:
        """Refuse it."""
        raise self._takes_none()

    def delete(self, name: str) -> None:
        """Refuse it."""
        raise self._takes_none()

    def _takes_none(self) -> ConfigError:
        return ConfigError(f"{self}: a web server takes no files; pack into a folder, and put that on the server")


def _whole(answer: Answer) -> bytes:
    """Read all of an answer.

    Raises:
        Interrupted: if the connection ends before it does.
        Refused: if it is too large for what it should be.
    """
    promised = number(answer.headers.get("Content-Length")) or 0
    try:
        data = answer.read(SMALL + 1) if promised <= SMALL else b""
    except (HTTPException, OSError) as error:
        raise Interrupted(f"the connection broke: {words(error)}") from None
    if max(promised, len(data)) > SMALL:
        raise Refused(f"it has more than {readable(SMALL)}")
    if len(data) < promised:
        raise Interrupted("the server closed the connection")
    return data
