"""Where what is found out about a corpus lies, and who may write there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from dfad.errors import DataError


@dataclass(frozen=True)
class Place:
    """The files that `dfad prepare` writes: beside the corpus, or in a folder of the user's choice.

    Attributes:
        folder: in which they lie.
        stem: with which their names begin.
        corpus: where the clips lie, if that is elsewhere.
    """

    folder: Path
    stem: str
    corpus: Path | None = None

    @property
    def manifest(self) -> Path:
        """All that is known of every clip that can be used."""
        return self.folder / f"{self.stem}.prepared.parquet"

    @property
    def page(self) -> Path:
        """The summary."""
        return self.folder / f"{self.stem}.prepared.html"

    @property
    def problems(self) -> Path:
        """All clips with problems; only there if there are any."""
        return self.folder / f"{self.stem}.problems.csv"

    @property
    def facts(self) -> Path:
        """What is known of every file, for the next time; the number is raised when facts mean something else.

        Elsewhere, the name tells the corpus, as two of them may have the same names of files.
        """
        mark = f"-{sha256(str(self.corpus.resolve()).encode()).hexdigest()[:8]}" if self.corpus else ""
        return self.folder / f".{self.stem}{mark}.facts-1.jsonl"

    @contextmanager
    def held(self, say: Callable[[str], None], hint: str) -> Iterator[None]:
        """Keep other processes away; one that is at work here is waited for.

        Args:
            say: told if there is one.
            hint: what to do if the folder cannot be written to.

        Raises:
            DataError: if it cannot.
        """
        lock = FileLock(self.folder / f".{self.stem}.prepared.lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"another process is at work in {self.folder}: waiting for it")
                lock.acquire()
        except OSError as error:
            raise DataError(f"cannot write to {self.folder}: {error.strerror or error}; {hint}") from None
        try:
            yield
        finally:
            lock.release()
