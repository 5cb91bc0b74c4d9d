"""Outputs of a network's frozen part that lie on disk, to be read instead of clips."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Kept:
    """Outputs of the frozen part for the clips of some rows of a manifest, in one file that is read as needed.

    Args:
        path: a NumPy file of shape (rows, …) float32.
        rows: whose outputs it holds, in its order.
    """

    def __init__(self, path: Path, rows: np.ndarray) -> None:
        self.path, self.rows = path, rows

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "rows": self.rows}  # a loader process maps the file itself

    @cached_property
    def _content(self) -> np.ndarray:
        return np.load(self.path, mmap_mode="r")

    @cached_property
    def _place(self) -> np.ndarray:
        place = np.full(self.rows.max() + 1, -1)
        place[self.rows] = np.arange(len(self.rows))
        return place

    def of(self, rows: np.ndarray) -> Tensor:
        """The outputs for rows of the manifest. Shape: (batch,) -> (batch, …) float32."""
        places = self._place[rows]
        assert (places >= 0).all(), "asked for clips of which nothing is kept"
        return torch.from_numpy(self._content[places])


def whole(path: Path) -> bool:
    """Whether there is such a file, and nothing is missing at its end."""
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True
