"""Run folders of networks that others trained: a checkpoint of ours around their weights, and where these came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.errors import ConfigError, RunError
from dfad.frontends import RawKnobs
from dfad.networks.aasist import AASISTKnobs
from dfad.networks.pretrained import read_weights, sha256
from dfad.networks.published import PUBLISHED, RATE, SAMPLES, options_of, translated
from dfad.training.runs import IMPORTED, Run, environment


@dataclass(frozen=True)
class Imported:
    """A run folder of such a network.

    Attributes:
        run: its folder.
        about: what `imported.json` says.
        before: whether it was there.
    """

    run: Run
    about: Mapping[str, Any]
    before: bool


def import_weights(name: str, weights: Path, config: Path | None, out: Path | None) -> Imported:
    """Make a run folder of published weights, or of others of the same architecture.

    Args:
        name: of the system in `PUBLISHED`.
        weights: its file.
        config: the authors' JSON of the network; None: the published one.
        out: the folder; None: one in runs/, named by weights and options.

    Raises:
        DfadError: for a file that is missing, damaged or does not fit, or a folder that holds something else.
    """
    digest = sha256(weights)
    options, samples = (dict(PUBLISHED[name].options), SAMPLES) if config is None else _configured(config)
    knobs = DetectorKnobs(
        frontend=RawKnobs(sample_rate=RATE, crop_s=samples / RATE),
        model=AASISTKnobs.read({**options, "name": "aasist"}),
    )
    given = read_weights(weights, said="")
    network = knobs.network()
    try:
        tensors = translated(given, network)
    except RunError as error:
        other = f"; {config or name} says how large the network is, --config JSON says it otherwise"
        raise RunError(f"{weights} does not fit{other}\n{error}") from None
    known = next((system for system, one in PUBLISHED.items() if one.sha256 == digest), None)
    about = {
        "system": name,
        "weights": str(weights),
        "sha256": digest,
        "published": known,
        "trained_on": PUBLISHED[known].trained_on if known else None,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    text = json.dumps({"weights": digest, **knobs.plain()}, sort_keys=True)
    hash8 = hashlib.sha256(text.encode()).hexdigest()[:8]
    run = Run(out or Path("runs") / f"{name}-raw-imported-{hash8}")
    with run.locked():
        if before := _same(run, digest, knobs):
            return Imported(run, about, before)
        run.write_checkpoint(knobs.plain(), tensors)
        run.write_config({"frontend": knobs.frontend.plain(), "model": knobs.model.plain()})
        run.write_json("environment.json", environment(0, "cpu"))
        run.write_json(IMPORTED, about)  # last: what is cut off before is made anew
    return Imported(run, about, before=False)


def _configured(path: Path) -> tuple[dict[str, Any], int]:
    """The options of a JSON file."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"--config {path}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise ConfigError(f"--config {path} is no JSON: {error}") from None
    try:
        return options_of(content)
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None


def _same(run: Run, digest: str, knobs: DetectorKnobs) -> bool:
    """Whether a folder holds this very network already.

    Raises:
        RunError: if it holds something else.
    """
    if not run.imported and not (run.folder / "config.yaml").exists():
        return False
    same = run.imported and run.best.is_file() and run.read_json(IMPORTED)["sha256"] == digest
    if same and Checkpoint.read(run.best).knobs == knobs:
        return True
    raise RunError(f"{run.folder} holds another run; choose another folder with --out DIR")
