"""Run folders: named by the configuration, locked while in use, resumable, finished once `metrics.json` is there."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from traceback import format_exc
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout

from dfad.errors import IN_RUN, BusyError, DfadError, RunError, stop_behind
from dfad.training.config import TrainConfig

ENDED = "ended.txt"  # says who ended a training early
IMPORTED = "imported.json"  # says where weights came from that were not trained here
PACKAGES = (
    "dfad",
    "torch",
    "torchaudio",
    "torchvision",
    "lightning",
    "torchmetrics",
    "numpy",
    "scipy",
    "soundfile",
    "soxr",
)
OPTIONAL = ("av", "transformers")  # that can change numbers too


@dataclass(frozen=True)
class Run:
    """The folder that holds all of one training."""

    folder: Path

    @classmethod
    def of(cls, config: TrainConfig, fingerprint: str, accelerator: str) -> Run:
        """The run of a configuration: the same one, the same folder.

        Args:
            config: of the training.
            fingerprint: of the clips, their audio included.
            accelerator: the one that `auto` stands for here, as a GPU gives other numbers than a CPU.
        """
        identity = config.identity()
        identity["trainer"]["accelerator"] = accelerator
        text = json.dumps({"config": identity, "clips": fingerprint}, sort_keys=True)
        hash8 = hashlib.sha256(text.encode()).hexdigest()[:8]
        return cls(config.runs / f"{config.model.name}-{config.frontend.name}-{config.data.name}-{hash8}")

    @property
    def best(self) -> Path:
        """The checkpoint that validation chose."""
        return self.folder / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last whole epoch, or of a step inside one."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def finished(self) -> bool:
        """Whether the results are there; they are written last."""
        return (self.folder / "metrics.json").is_file()

    @property
    def imported(self) -> bool:
        """Whether its weights came from elsewhere: there is no training, no corpus and no validation of its own."""
        return (self.folder / IMPORTED).is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process out; the lock goes with the process, however that ends.

        Raises:
            BusyError: if another process has it.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0.2)  # `dfad runs` holds it for a moment, to see whether it is free
        except Timeout:
            raise BusyError(
                f"{self.folder} is in use by another process with the same configuration; wait for it, "
                "or change the configuration, for instance seed=1"
            ) from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise RunError(f"cannot write to {self.folder}: {reason}; choose another folder, runs=…") from None
        with lock:
            yield

    @contextmanager
    def working(self, log: str = "train.log") -> Iterator[None]:
        """Lock the folder, log into a file in it, and leave what goes wrong in its `error.txt`.

        Raises:
            BusyError: if another process works in it.
            DfadError: if the disk is full.
        """
        with self.locked(), self._logged(log):
            try:
                for name in ("error.txt", ENDED):
                    (self.folder / name).unlink(missing_ok=True)
                with self._disk_errors():
                    yield
            except Exception as error:
                if stop_behind(error):
                    raise
                error.add_note(f"{IN_RUN}{self.folder}")  # a sweep writes down where it failed
                with suppress(OSError):
                    text = str(error) if isinstance(error, DfadError) else format_exc()
                    self.write_text("error.txt", text + "\n")
                    logging.getLogger("dfad").error(text)
                raise

    @contextmanager
    def _logged(self, name: str) -> Iterator[None]:
        """Send what we and the libraries log, and Python's warnings, into a file."""
        handler = logging.FileHandler(self.folder / name, delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(handler)
            handler.close()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Say in a line that a disk is full, and that nothing is lost."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise DfadError(
                f"cannot write to {self.folder}: no space is left on the disk, or the quota is used up\n"
                "free some, then type the same command: the run goes on after its last checkpoint"
            ) from error

    def clear(self) -> None:
        """Delete everything but the lock and the log, the results first: a half deleted run is not a finished one."""
        (self.folder / "metrics.json").unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name not in (".lock", "train.log"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Store the resolved configuration."""
        self.write_text("config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def read_config(self) -> TrainConfig:
        """Read the stored configuration.

        Raises:
            RunError: if the folder has none.
            ConfigError: if this dfad does not understand it.
        """
        path = self.folder / "config.yaml"
        if not path.is_file():
            raise RunError(f"{self.folder} is no run folder: it has no config.yaml")
        if self.imported:
            raise RunError(f"{self.folder} was imported, so it has no training and no clips of its own")
        return TrainConfig.read(yaml.safe_load(path.read_text()))

    def write_checkpoint(self, knobs: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
        """Store a network that was not trained here as the best checkpoint.

        Args:
            knobs: what the checkpoint says of itself.
            weights: of the network.
        """
        self.best.parent.mkdir(parents=True, exist_ok=True)
        part = self.best.with_name(self.best.name + ".part")
        state = {f"network.{name}": tensor for name, tensor in weights.items()}
        torch.save({"dfad": dict(knobs), "state_dict": state, "epoch": -1}, part)
        part.replace(self.best)

    def write_json(self, name: str, content: Any) -> None:
        """Store plain data."""
        self.write_text(name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Read plain data; None if there is no such file."""
        path = self.folder / name
        return json.loads(path.read_text()) if path.is_file() else None

    def write_text(self, name: str, text: str) -> None:
        """Write a file that is there whole or not at all."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(text)
        part.replace(path)


def environment(seed: int, device: str) -> dict[str, Any]:
    """What else a result depends on."""
    return {
        "packages": {name: version(name) for name in (*PACKAGES, *filter(find_spec, OPTIONAL))},
        "python": platform.python_version(),
        "git_commit": _git_commit(),
        "seed": seed,
        "device": device,
        "host": socket.gethostname(),
        "threads": torch.get_num_threads(),  # a sum over other threads is rounded another way
    }


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a resumed run does not share with its beginning, in words."""
    names = ("python", "git_commit", "threads")
    old = {**before.get("packages", {}), **{name: before.get(name) for name in names}}
    new = {**now["packages"], **{name: now[name] for name in names}}
    return [f"{name} {old.get(name)} → {value}" for name, value in new.items() if old.get(name) != value]


def _git_commit() -> str | None:
    """The commit of dfad's own source tree, with + if it was changed; None for an installed package."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists() or not (here / "dfad").is_dir():
        return None
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip()
