"""Where a study lies, who of its workers is alive, and the one of them who may claim a trial now.

A journal file has a lock per worker, which the system opens when the process ends, however that happens. A database
may serve hosts that share nothing else: there workers write a sign of life every so often.
"""

from __future__ import annotations

import os
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from dfad.errors import ConfigError

WORKER = "worker"  # attribute of a trial: who has it
_MISSED = 4  # signs of life
_LONGEST = 2**20  # bytes of a line
_A_YEAR_S = 31_536_000  # MariaDB does not wait at all for a negative number
_LOCKS = {  # of a database: they go with the connection, and that with the process; each gives 1 once it is had
    "postgresql": "SELECT 1 FROM (SELECT pg_advisory_lock({key})) AS had",
    "mysql": "SELECT GET_LOCK('dfad-{key}', {wait})",
    "mariadb": "SELECT GET_LOCK('dfad-{key}', {wait})",
}
_KEY = 7_203_114  # any number that others do not use


class Store(Protocol):
    """A storage, and what it takes to share it."""

    @property
    def storage(self) -> BaseStorage:
        """As Optuna has it."""

    @property
    def worker(self) -> str:
        """The name of this worker."""

    def claiming(self) -> AbstractContextManager[None]:
        """Keep every other worker from claiming."""

    def fail_dead(self, study: optuna.Study) -> None:
        """Fail the trials of dead workers; only while claiming."""

    def hold(self, trial: int) -> AbstractContextManager[None]:
        """Show that the trial of this id is being worked on."""

    def close(self) -> None:
        """Leave."""


def open_store(where: str | None, folder: Path, heartbeat_s: int) -> Store:
    """Open the storage of a study.

    Args:
        where: database URL, or path of a journal file; None: a journal file in the study's folder.
        folder: of the study.
        heartbeat_s: seconds between signs of life in a database.

    Raises:
        ConfigError: for one that cannot be opened.
    """
    if where and "://" in where:
        return DatabaseStore(where, heartbeat_s)
    try:
        return JournalStore(Path(where) if where else folder / "journal.log")
    except OSError as error:
        raise ConfigError(f"storage={where or folder}: {(error.strerror or str(error)).lower()}") from None


class JournalStore:
    """A journal file. Beside it lie the lock of whoever claims or writes, and one for each worker."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.worker = _worker()
        self._claim = FileLock(f"{path}.claim")
        self._workers = path.with_name(path.name + ".workers")
        self._workers.mkdir(exist_ok=True)
        self._own = FileLock(self._lock_of(self.worker))
        self._own.acquire()
        self.storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Writing(path)))  # type: ignore[arg-type]

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Keep every other worker from claiming."""
        with self._claim:
            yield

    def fail_dead(self, study: optuna.Study) -> None:
        """Fail the trials of workers whose lock is open."""
        alive = {self.worker: True, "": False}  # without: it died while it claimed
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = trial.user_attrs.get(WORKER, "")
            if worker not in alive:
                alive[worker] = self._is_alive(worker)
            if not alive[worker]:
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    @contextmanager
    def hold(self, trial: int) -> Iterator[None]:
        """The lock says it already."""
        yield

    def close(self) -> None:
        """Open the lock, and take it away."""
        self._lock_of(self.worker).unlink(missing_ok=True)
        self._own.release()

    def _lock_of(self, worker: str) -> Path:
        return self._workers / f"{worker}.lock"

    def _is_alive(self, worker: str) -> bool:
        path = self._lock_of(worker)
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            return True
        return False


class _Writing:
    """One writer at a time, and no half line of one that was killed: Optuna could never read past it.

    Optuna's own lock would be waited for 30 seconds if its owner was killed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, FileLock(f"{path}.write")

    def acquire(self) -> bool:
        """Wait for the lock, and mend the end of the file."""
        self.lock.acquire()
        with suppress(FileNotFoundError), self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - _LONGEST))
            whole = start + file.read().rfind(b"\n") + 1
            if whole < size:
                file.truncate(whole)
        return True

    def release(self) -> None:
        """Let others write."""
        self.lock.release()


class DatabaseStore:
    """A database that SQLAlchemy opens."""

    def __init__(self, url: str, heartbeat_s: int) -> None:
        self.worker, self._every_s = _worker(), heartbeat_s
        try:
            self._url = sqlalchemy.make_url(url)
            self._kind = self._url.get_backend_name()
            if self._kind == "sqlite":
                self._file = FileLock(f"{self._url.database}.claim")
                Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            elif self._kind not in _LOCKS:
                raise ConfigError(
                    f"storage={self._kind}://…: no such database; choose from: sqlite, {', '.join(_LOCKS)}"
                )
            self._engine = sqlalchemy.create_engine(self._url, poolclass=sqlalchemy.NullPool)
            with self.claiming(), warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                options = {"connect_args": {"timeout": 60}} if self._kind == "sqlite" else {"pool_pre_ping": True}
                self.storage = RDBStorage(
                    url, options, heartbeat_interval=heartbeat_s, grace_period=_MISSED * heartbeat_s
                )
        except (SQLAlchemyError, ImportError, OSError) as error:
            said = str(error).splitlines()[0]
            raise ConfigError(f"storage={url.split('://')[0]}://…: it cannot be opened: {said}") from None

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Keep every other worker from claiming."""
        if self._kind == "sqlite":
            with self._file:
                yield
            return
        asked = sqlalchemy.text(_LOCKS[self._kind].format(key=_KEY, wait=_A_YEAR_S))
        with ExitStack() as stack:
            try:
                had = stack.enter_context(self._engine.connect()).execute(asked).scalar()
            except SQLAlchemyError as error:
                raise ConfigError(
                    f"storage={self._kind}://… does not answer: {str(error).splitlines()[0]}; the same command goes on"
                ) from None
            if had != 1:
                raise ConfigError(f"storage={self._kind}://…: the database does not give the lock of the study")
            yield

    def fail_dead(self, study: optuna.Study) -> None:
        """Fail the trials without signs of life, and those whose worker died while it claimed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if WORKER not in trial.user_attrs:
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    @contextmanager
    def hold(self, trial: int) -> Iterator[None]:
        """Give signs of life from a thread."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._every_s):
                with suppress(SQLAlchemyError, optuna.exceptions.StorageInternalError):  # the next may go through
                    self.storage.record_heartbeat(trial)

        self.storage.record_heartbeat(trial)
        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self) -> None:
        """Close the connections."""
        self.storage.remove_session()
        self._engine.dispose()


def _worker() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
