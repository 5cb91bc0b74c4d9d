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
        None, description="columns to break results down by; null: corpus, attack, language, codec, source where known"
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
        for option, lacking in self.lacking(columns).items():
            there = [*columns, *(["clip"] if option == "cluster" else [])]
            raise ConfigError(f"eval.{option}: there is no column {lacking[0]!r}; {did_you_mean(lacking[0], there)}")

    def lacking(self, columns: Iterable[str]) -> dict[str, list[str]]:
        """Which columns are asked for and not there, by option."""
        there = {*columns}
        asked = {"by": self.by or (), "cluster": (self.cluster,) if self.cluster not in (None, "clip") else ()}
        missing = {option: [str(name) for name in names if name not in there] for option, names in asked.items()}
        return {option: names for option, names in missing.items() if names}
