"""How scores are judged; none of it changes a score."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator

from dfad.errors import ConfigError, MetricError, did_you_mean
from dfad.evaluation.thresholds import parse_rule
from dfad.knobs import Knobs
from dfad.metrics.bootstrap import RESAMPLES


class EvaluationKnobs(Knobs):
    """Options of an evaluation."""

    threshold: str | float = Field(
        "eer",
        description="the deployed one, by validation: eer, min_dcf, fa@0.01 (at most 1 % of spoof passes); or a number",
    )
    calibrator: Literal["logistic", "temperature", "isotonic", "none"] = Field(
        "logistic", description="map from scores to log-likelihood ratios, fitted on validation"
    )
    prior: float = Field(0.5, gt=0, lt=1, description="share of spoof that P(spoof) expects beforehand")
    resamples: int = Field(RESAMPLES, ge=0, description="bootstrap resamples for 95 % intervals; 0: none")
    cluster: str | None = Field(
        None, description="column whose values are drawn as a whole, or clip; null: speaker, else source, else clip"
    )
    by: tuple[str, ...] | None = Field(
        None, description="columns to break results down by; null: attack, and language, codec, source where known"
    )
    worst: int = Field(20, ge=0, description="misses, and false alarms, that the report shows and plays")

    @field_validator("threshold")
    @classmethod
    def _is_a_rule(cls, rule: str | float) -> str | float:
        try:
            parse_rule(rule)
        except MetricError as error:
            raise ValueError(str(error)) from None
        return rule

    def require(self, columns: Iterable[str]) -> None:
        """Refuse columns that score tables will not have; to be asked before clips are scored.

        Raises:
            ConfigError: naming the first such column.
        """
        known = [*columns]
        asked = [*(("by", name) for name in self.by or ()), *([("cluster", self.cluster)] if self.cluster else [])]
        for option, name in asked:
            there = [*known, "clip"] if option == "cluster" else known
            if name not in there:
                raise ConfigError(f"eval.{option}: there is no column {name!r}; {did_you_mean(name, there)}")
