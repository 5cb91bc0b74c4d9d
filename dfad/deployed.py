"""What a run ships beside its checkpoint: a threshold and a calibrator, both chosen on validation; plain JSON."""

from __future__ import annotations

import json
from math import nan
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from dfad.calibrate import CALIBRATORS, Calibrator, p_spoof
from dfad.errors import ConfigError, RunError
from dfad.knobs import Knobs, Named
from dfad.metrics.pairs import Floats
from dfad.scoring.familiar import Familiar

FILE = "deployed.json"
_RULES = {"eer": "EER on validation", "min_dcf": "minDCF on validation"}


class Raw(Knobs):
    """What the raw scores of a detector are, by the loss that it learnt by.

    Attributes:
        unit: log-odds of bona fide; or cosines, of which only a calibrator makes such.
        scale: by which the loss reads them as log-odds.
        middle: the score at which it draws the line between the classes.
    """

    unit: Literal["log-odds", "cosine"] = "log-odds"
    scale: float = Field(1.0, gt=0)
    middle: float = 0.0


class Deployed(Knobs):
    """What validation chose, and nothing changes afterwards.

    Attributes:
        threshold: in the units of the raw scores; None if there is none.
        calibrator: None if there is none.
        rule: that chose the threshold.
        prior: share of spoof that P(spoof) expects beforehand.
        notes: why something is missing.
        raw: what the raw scores are.
        familiar: what the training clips sounded like; None of a run that does not tell.
    """

    threshold: float | None = None
    calibrator: Annotated[Calibrator | None, Named(CALIBRATORS)] = None
    rule: str | float = "eer"
    prior: float = Field(0.5, gt=0, lt=1)
    notes: tuple[str, ...] = ()
    raw: Raw = Raw()
    familiar: Familiar | None = None

    @property
    def threshold_from(self) -> str:
        """Where the threshold comes from, in a few words."""
        if self.threshold is None:
            return "none: validation chose none, as trained" if self.notes else "none: raw checkpoint, as trained"
        return _RULES.get(str(self.rule), f"{self.rule} on validation") if _is_name(self.rule) else "given as a number"

    @property
    def decides_at(self) -> float:
        """The threshold, in the units of the raw scores; where there is none, the one of the loss."""
        return self.raw.middle if self.threshold is None else self.threshold

    def p_spoof(self, raw_score: float) -> float:
        """The probability that a clip is synthetic; NaN for a cosine without a calibrator."""
        return float(self.p_spoofs(raw_score))

    def p_spoofs(self, raw_scores: ArrayLike) -> Floats:
        """The same of many scores. Shape: any."""
        if self.calibrator:
            return p_spoof(self.calibrator(raw_scores), self.prior)
        found = p_spoof(raw_scores, self.prior)
        return np.full_like(found, nan) if self.raw.unit == "cosine" else found

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


def _is_name(rule: str | float) -> bool:
    """Whether a rule is no plain number.

    >>> _is_name("fa@0.01"), _is_name("1.5"), _is_name(0)
    (True, False, False)
    """
    try:
        float(rule)
    except ValueError:
        return True
    return False
