"""Downloads that survive what networks do: cut connections, servers that lie, files that change, a full disk.

A file is fetched into `<name>.part`, continued after every interruption, checked, and renamed once it is whole; so a
file of the right name is the right file.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from dfad.connection import RANGE_UNKNOWN, Answer, Connection, Interrupted, Refused, number, words
from dfad.errors import DataError

Progress = Callable[[int, int], None]  # (bytes done, of all; 0 if nobody knows)

WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # between tries that brought nothing new
BLOCK = 1 << 18  # bytes


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    offline: str = "",
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
    ca_file: Path | None = None,
    waits: Sequence[float] = WAITS_S,
) -> Path:
    """Download a file, or go on with a download that was cut off; a file that is there already is only checked.

    Args:
        url: where it lies.
        target: where it shall lie. What has come so far waits in `<target>.part`.
        size: bytes, if they are known beforehand.
        sha256: its digest in hexadecimal, or the first digits of it.
        md5: the same of its MD5, which finds damage but no malice.
        offline: what to do without a network, the last line of errors.
        progress: told of the bytes.
        say: told in a line of what a user may wonder about.
        ca_file: PEM certificates to trust beside the system's.
        waits: seconds between tries that bring nothing new; after the last one it gives up.

    Raises:
        DataError: if the file cannot be had, is not the right one, or finds no room.
    """
    if not target.is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_name(f".{target.name}.lock")):  # every process of a run may want the file
                if not target.is_file():
                    server = Connection(url, ca_file, say)
                    _Download(server, target, size, _digests(sha256, md5), offline, progress, say).run(waits)
                    return target
        except OSError as error:
            raise DataError(f"cannot write to {target.parent}: {error.strerror or error}") from None
    check(target, size=size, sha256=sha256, md5=md5)
    return target


def check(path: Path, *, size: int | None = None, sha256: str | None = None, md5: str | None = None) -> None:
    """Hold a file against its size in bytes and its digests, or the first digits of them.

    Raises:
        DataError: saying what was expected and what was found.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}")
    if size is not None and (found := path.stat().st_size) != size:
        raise DataError(f"{path}: {found:,} bytes, expected {size:,}: damaged or another file; delete it")
    if wrong := _wrong(path, _digests(sha256, md5)):
        raise DataError(f"{path}: {wrong}: damaged or another file; delete it")


def require_space(folder: Path, need: int, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        DataError: saying how much is needed, and how much is free.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DataError(f"{what} needs {readable(need)} in {folder.resolve()}, and {readable(free)} are free there")


def readable(size: float) -> str:
    """A number of bytes as people read it.

    >>> readable(1_048_591_372), readable(512)
    ('1.05 GB', '512 bytes')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} bytes"


def _digests(sha256: str | None, md5: str | None) -> dict[str, str]:
    """The digests that are known, by their method."""
    return {method: found.lower() for method, found in (("sha256", sha256), ("md5", md5)) if found is not None}


def _wrong(path: Path, digests: Mapping[str, str]) -> str:
    """How a file differs from its digests; empty if it does not."""
    for method, expected in digests.items():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, method).hexdigest()
        if not found.startswith(expected):
            return f"{method} {found}, expected {expected}"
    return ""


@dataclass
class _Download:
    """One file on its way."""

    server: Connection
    target: Path
    size: int | None
    digests: Mapping[str, str]
    offline: str
    progress: Progress | None
    say: Callable[[str], None]

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def mark(self) -> Path:
        """Holds what tells the version of the file that `part` is a part of: its ETag or date."""
        return self.target.with_name(self.target.name + ".part.tag")

    @property
    def have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def run(self, waits: Sequence[float]) -> None:
        """Try until the file is whole and right; every try that brings new bytes renews the patience."""
        if self.size is not None:
            if self.have > self.size:
                self.discard()
            require_space(self.target.parent, self.size - self.have, self.server.url)
        farthest, left = self.have, list(waits)
        while self.size is None or self.have != self.size:
            try:
                self.attempt()
                break
            except Refused as error:
                raise self.failure(str(error)) from None
            except Interrupted as error:
                if self.have > farthest:
                    farthest, left = self.have, list(waits)
                if not left:
                    raise self.failure(f"{error}, again and again") from None
                self.say(f"{error}; {readable(self.have)} are here, trying again in {left[0]:g} s")
                time.sleep(left.pop(0))
        self.accept()

    def attempt(self) -> None:
        """Ask for what is missing and write it behind what is there, up to the end."""
        headers = {"User-Agent": "dfad", "Accept-Encoding": "identity"}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
            if self.mark.is_file():
                headers["If-Range"] = self.mark.read_text()
        with self.server.ask(headers) as answer:
            promised = self.place(answer)
            if answer.status == RANGE_UNKNOWN:
                return
            total = promised if self.size is None else self.size
            if self.size is None and total is not None:
                require_space(self.target.parent, total - self.have, self.server.url)
            with self.part.open("ab") as file:
                while block := _read(answer):
                    file.write(block)
                    if total is not None and file.tell() > total:
                        self.too_long(file.tell())
                    if self.progress:
                        self.progress(file.tell(), total or 0)
        if total is not None and self.have < total:
            raise Interrupted("the server closed the connection")

    def place(self, answer: Answer) -> int | None:
        """Make `part` end where the answer begins, and give the size of the whole file if the server tells it."""
        tag = answer.headers.get("ETag", "")
        version = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        span, _, whole = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if answer.status == RANGE_UNKNOWN and whole == str(self.have):  # the part is the whole file there
            if self.size is not None:
                raise Refused(f"the file there has {self.have:,} bytes, expected {self.size:,}: it is another one")
        elif answer.status in (206, RANGE_UNKNOWN):
            changed = self.mark.is_file() and version and version != self.mark.read_text()
            if changed or span.partition("-")[0] != str(self.have):
                self.discard()
                raise Interrupted("the file there has changed")
        else:
            if self.have:
                self.say("the file there has changed, or its server cannot go on in the middle: it begins anew")
            self.discard()
            whole = answer.headers.get("Content-Length", "")
            if version:
                self.mark.write_text(version)
        promised = number(whole)
        if promised is not None and self.size is not None and promised > self.size:
            self.too_long(promised)
        return promised

    def accept(self) -> None:
        """Rename the part that has become the whole, if it is the right one."""
        if wrong := _wrong(self.part, self.digests):
            self.discard()
            raise self.failure(
                f"{wrong}: damaged on the way, or no longer the same file; it was deleted, so try once more"
            )
        self.part.replace(self.target)
        self.mark.unlink(missing_ok=True)

    def too_long(self, found: int) -> None:
        self.discard()
        expected = "fewer" if self.size is None else f"{self.size:,}"
        raise Refused(f"the file there has {found:,} bytes or more, expected {expected}: it is another one")

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)

    def failure(self, why: str) -> DataError:
        size = f" ({readable(self.size)})" if self.size else ""
        kept = f"{readable(self.have)} of it are kept, and the same command goes on from there" if self.have else ""
        lines = [f"cannot download {self.server.url}{size}: {why}", kept, self.offline]
        return DataError("\n".join(filter(None, lines)))


def _read(answer: Answer) -> bytes:
    """Read a block; what breaks here is the connection, not the disk."""
    try:
        return answer.read(BLOCK)
    except (HTTPException, OSError) as error:
        raise Interrupted(f"the connection broke: {words(error)}") from None
