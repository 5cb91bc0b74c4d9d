"""What a run ships beside its checkpoint: a threshold and a calibrator, both chosen on validation; plain JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from dfad.calibrate import CALIBRATORS, Calibrator
from dfad.errors import ConfigError, RunError
from dfad.knobs import Knobs, Named

FILE = "deployed.json"


class Deployed(Knobs):
    """What validation chose, and nothing changes afterwards.

    Attributes:
        threshold: in the units of the raw scores; None if there is none.
        calibrator: None if there is none.
        rule: that chose the threshold.
        prior: share of spoof that P(spoof) expects beforehand.
        notes: why something is missing.
    """

    threshold: float | None = None
    calibrator: Annotated[Calibrator | None, Named(CALIBRATORS)] = None
    rule: str | float = "eer"
    prior: float = Field(0.5, gt=0, lt=1)
    notes: tuple[str, ...] = ()

    @classmethod
    def of_run(cls, folder: Path) -> Self | None:
        """What a finished run has stored; None if it is not finished.

        Raises:
            RunError: if the file is damaged, or missing beside results.
        """
        path = folder / FILE
        if not path.is_file() and not (folder / "metrics.json").is_file():
            return None
        try:
            return cls.read(json.loads(path.read_text()))
        except (OSError, ValueError, ConfigError):
            raise RunError(
                f"{path} is damaged or missing; type the command that made the folder again and it is written anew, "
                "or give a bare checkpoint"
            ) from None
