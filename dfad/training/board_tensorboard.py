"""The run folder on TensorBoard: event files in `<run>/tensorboard/`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from dfad.errors import ConfigError
from dfad.training.mirror import HeardClip
from dfad.training.runs import Run


class TensorboardBoard:
    """Writes scalars, figures and the configuration.

    Each process writes the folder anew, from the first epoch on: so a resumed run has no epoch twice.

    Raises:
        ConfigError: if TensorBoard is not installed.
    """

    name = "tensorboard"
    clips = 0

    def __init__(self) -> None:
        if not find_spec("tensorboard"):
            raise ConfigError("logger=tensorboard needs a package: pip install 'dfad[tensorboard]'")

    def key(self, run: Run) -> str:
        """The folder is the place."""
        return "tensorboard"

    def open(self, run: Run, *, goes_on: bool) -> None:
        """Begin anew."""
        from torch.utils.tensorboard import SummaryWriter

        self.folder = run.folder / "tensorboard"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.writer: Any = SummaryWriter(self.folder)

    def row(self, values: Mapping[str, float]) -> None:
        """Write the scalars of one epoch."""
        for name, value in values.items():
            if name not in ("epoch", "step"):
                self.writer.add_scalar(name, value, int(values["epoch"]))
        self.writer.flush()

    def results(self, run: Run, clips: Sequence[HeardClip]) -> None:
        """Write test metrics, figures and configuration."""
        from torchvision.io import read_image

        for name, value in run.read_json("metrics.json")["values"].items():
            if value is not None and name.startswith("test/"):
                self.writer.add_scalar(name, value)
        for path in sorted((run.folder / "figures").glob("*.png")):
            self.writer.add_image(f"figures/{path.stem}", read_image(str(path)))
        config = (run.folder / "config.yaml").read_text()
        self.writer.add_text("config", f"```\n{config}```")

    def close(self, *, failed: bool) -> str:
        """Close the file."""
        self.writer.close()
        return f"tensorboard --logdir {self.folder}"
