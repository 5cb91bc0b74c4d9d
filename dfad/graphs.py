"""Detectors as ONNX graphs: read, asked what they are, and run by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from dfad.errors import ConfigError, RunError

FORMAT = 1  # of what an exported detector says of itself; raised when an older dfad could misread it
ANEW = "dfad export RUN writes it anew"


@dataclass(frozen=True)
class Graph:
    """An exported detector.

    Attributes:
        path: its file.
        about: what it says of itself; texts, of which some are JSON.
        session: of onnxruntime.
    """

    path: Path
    about: Mapping[str, str]
    session: Any

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a graph, and check that dfad wrote it; nothing in it can run code.

        Raises:
            RunError: for a file that is missing, damaged, something else, or of a newer dfad.
            ConfigError: without onnxruntime.
        """
        if not path.is_file():
            raise RunError(f"no exported detector at {path}; dfad export RUN writes one")
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what is wrong is told once, below
        try:
            session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # hostile bytes can raise anything
            line = str(error).splitlines()[0]
            raise RunError(f"{path} is damaged, or no ONNX graph ({line}); {ANEW}") from None
        about = session.get_modelmeta().custom_metadata_map
        require_format(path, about)
        return cls(path, about, session)

    def json(self, key: str) -> Any:
        """One of the things that it says of itself.

        Raises:
            RunError: if it does not say that.
        """
        try:
            return json.loads(self.about[key])
        except (KeyError, ValueError):
            raise RunError(f"{self.path} does not say its {key}; {ANEW}") from None

    def run(self, wave: np.ndarray) -> dict[str, np.ndarray]:
        """Score a batch: `score`, `raw_score` and `p_spoof`, as in `Result`.

        Raises:
            RunError: for a length that it does not take.
        """
        samples = self.session.get_inputs()[0].shape[1]
        if isinstance(samples, int) and samples != wave.shape[1]:
            raise RunError(f"{self.path} takes {samples} samples, found {wave.shape[1]}: cut or repeat the clip")
        names = [output.name for output in self.session.get_outputs()]
        try:
            return dict(zip(names, self.session.run(None, {"wave": wave}), strict=True))
        except Exception as error:
            raise RunError(
                f"{self.path} cannot score {wave.shape[1]} samples, it takes {self.about.get('least_samples')} or "
                f"more ({str(error).splitlines()[0]})"
            ) from None


class GraphNetwork(nn.Module):
    """A graph where a network is expected. It hears the waveform, as its frontend is inside, and has no gradients.

    Shape:
        wave: (batch, samples) -> (batch,) raw scores
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the raw scores."""
        if wave.requires_grad:
            raise RunError(f"{self.graph.path} has no gradients; give the run folder or its checkpoint")
        return torch.from_numpy(self.graph.run(wave.cpu().numpy().astype(np.float32))["raw_score"])


def require_format(path: Path, about: Mapping[str, Any]) -> None:
    """Refuse what dfad has not exported, or a newer one has."""
    version = about.get("format")
    if about.get("framework") != "dfad" or not str(version).isdecimal():
        raise RunError(f"{path} is no exported detector of dfad; {ANEW}")
    if int(str(version)) > FORMAT:
        raise RunError(f"{path} is of format {version}, this dfad reads up to {FORMAT}: pip install --upgrade dfad")


def _onnxruntime() -> Any:
    try:
        import onnxruntime  # here, as only graphs need it
    except ImportError:
        raise ConfigError("an .onnx file needs a package: pip install 'dfad[onnx]'") from None
    return onnxruntime
