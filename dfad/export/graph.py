"""A detector as an ONNX graph: written, described, and kept only if it says what PyTorch says."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.fx.experimental import _config

from dfad.errors import ConfigError, RunError
from dfad.export.about import texts
from dfad.export.parity import Parity, parity
from dfad.export.whole import OUTPUTS, Whole
from dfad.frontends import CQTKnobs
from dfad.graphs import Graph
from dfad.metrics.bootstrap import untold
from dfad.networks.aasist import AASISTKnobs
from dfad.networks.fusion import FusionKnobs
from dfad.scorer import Scorer

FILE = "detector.onnx"
OPSET = 18
MOST = 2**24  # samples: a quarter of an hour at 16 kHz and more
INSTEAD = "--format safetensors,card exports its weights"
WITHOUT = {"ssl": "its backbone is code of the transformers package, and nobody has compared a graph of that"}


def write(
    path: Path,
    scorer: Scorer,
    about: Mapping[str, Any],
    clips: Sequence[np.ndarray],
    sound: str,
    *,
    progress: Callable[[int, int], None] = untold,
) -> Parity:
    """Write the graph, and compare what it says of some clips.

    A clip of any length is heard whole where the network allows that; else the input has the length of a crop.

    Args:
        path: of the file, which appears once it has been found right.
        scorer: the detector.
        about: what `describe` says of it.
        clips: to try it on, at the detector's rate.
        sound: what these are.
        progress: is told how many have been tried.

    Raises:
        ConfigError: of a network that has no graph; without the packages that write graphs.
        RunError: if the network cannot be exported, or the graph says something else than PyTorch.
    """
    require(scorer)
    whole = Whole(scorer)
    least = _least(scorer)
    fixed = not _any_length(scorer)
    try:
        program = _program(whole, scorer, None if fixed else least)
    except Exception as error:  # the exporter raises what it likes
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise RunError(f"model={scorer.knobs.model.name} cannot be recorded as a graph; {INSTEAD}. {reason}") from None
    told = {**about, "least_samples": scorer.knobs.frontend.crop_samples if fixed else least}
    program.model.metadata_props.update(texts(told))
    part = path.with_name(f".{path.name}.part")
    try:
        program.save(str(part), external_data=False)
        found = parity(Graph.read(part), scorer, clips, sound, progress=progress)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return found


def require(scorer: Scorer) -> None:
    """Refuse a network that has no graph, and a machine that cannot write one.

    Raises:
        ConfigError: that says what to do instead.
    """
    model = scorer.knobs.model
    members = model.members if isinstance(model, FusionKnobs) else ()
    for one in (model, *(member.model for member in members)):
        if one.name in WITHOUT:
            raise ConfigError(f"model={one.name} has no graph, as {WITHOUT[one.name]}; {INSTEAD}")
    if len({member.frontend.sample_rate for member in members}) > 1:
        raise ConfigError(f"a fusion of several sample rates has no graph, as ONNX lacks what resamples; {INSTEAD}")
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]:
        raise ConfigError(f"a graph needs {', '.join(missing)}: pip install 'dfad[onnx]'; {INSTEAD}")


def _program(whole: Whole, scorer: Scorer, least: int | None) -> Any:
    """Record the graph, for batches of any size; for clips of one length if none is the least."""
    frontend = scorer.knobs.frontend
    auto = torch.export.Dim.DYNAMIC
    sizes: dict[int, Any] = {0: auto} if least is None else {0: auto, 1: auto(min=least, max=MOST)}
    wave = 0.1 * torch.randn(2, frontend.crop_samples, generator=torch.Generator().manual_seed(0))
    # sizes of 1 are no special case; what holds of a length is not asked of every other one
    with _quiet(), _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        recorded = torch.export.export(
            whole, (wave,), dynamic_shapes=(sizes,), prefer_deferred_runtime_asserts_over_guards=True
        )  # apart, as torch.onnx.export would try again in ways that take minutes
        return torch.onnx.export(
            recorded, dynamo=True, opset_version=OPSET, verbose=False, input_names=["wave"], output_names=list(OUTPUTS)
        )


def _any_length(scorer: Scorer) -> bool:
    """Whether the graph can take clips of any length.

    A fusion cuts and resamples for each of its members; the constant-Q transform takes a crop at a time; a classifier
    of torchvision's has a pool whose windows depend on the length; and with AASIST, whose numbers of nodes do,
    recording would take minutes or more.
    """
    model = scorer.knobs.model
    fixed = isinstance(model, FusionKnobs | AASISTKnobs) or getattr(model, "classifier", "") == "torchvision"
    return not fixed and not isinstance(scorer.knobs.frontend, CQTKnobs)


def _least(scorer: Scorer) -> int:
    """Samples of the shortest clip that the graph takes: a quarter of a crop, or more where the parts need it."""
    frontend, model = scorer.knobs.frontend, scorer.knobs.model
    parts = (frontend.least_samples, getattr(model, "least_samples", 1))
    for share in (4, 2):
        samples = max(*parts, frontend.crop_samples // share)
        try:
            scorer.score(torch.zeros(1, samples))
        except RuntimeError:  # pooling leaves nothing of it
            continue
        return min(samples, frontend.crop_samples)
    return frontend.crop_samples


@contextmanager
def _quiet() -> Any:
    """What the exporter prints is for its developers; what matters is raised."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
