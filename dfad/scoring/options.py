"""How files are scored."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field, field_validator

from dfad.audio import LIMITS, Limits
from dfad.knobs import Knobs
from dfad.scoring.aggregate import aggregation


class ScoringKnobs(Knobs):
    """Options of scoring.

    Attributes:
        first: hear only what evaluation hears, the first crop; scores are then those of `eval.py`.
        hop_s: seconds from the start of a window to that of the next; None: half of what the detector hears.
        aggregate: what makes one score of the windows': see `dfad.scoring.aggregate`.
        max_hours: a longer file is refused before it is decoded.
    """

    first: bool = False
    hop_s: float | None = Field(None, gt=0)
    aggregate: str = "mean"
    max_hours: float = Field(12.0, gt=0)

    @field_validator("aggregate")
    @classmethod
    def _known(cls, name: str) -> str:
        aggregation(name)
        return name

    @property
    def limits(self) -> Limits:
        """What is refused unread."""
        return replace(LIMITS, max_duration_s=3600 * self.max_hours)
