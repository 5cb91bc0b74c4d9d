"""The choice that validation makes for a detector."""

from __future__ import annotations

from math import isfinite

import numpy as np

from dfad.calibrate import CALIBRATORS, Calibrator
from dfad.deployed import Deployed, Raw
from dfad.errors import ConfigError, MetricError
from dfad.evaluation.options import EvaluationKnobs
from dfad.evaluation.thresholds import choose_threshold, parse_rule
from dfad.labels import CLASS_NAMES
from dfad.scores import ScoreTable

FEW_CLIPS, LOG_ODDS = 30, Raw()


def require_calibrator(options: EvaluationKnobs, raw: Raw) -> None:
    """Refuse to leave cosines as they are, or to stretch them about 0 where the line between the classes is not there.

    Raises:
        ConfigError: saying which calibrators will do.
    """
    if raw.unit == "cosine" and options.calibrator == "none":
        raise ConfigError(
            "eval.calibrator=none: this loss gives cosines, of which only a calibrator makes log-likelihood ratios; "
            "use eval.calibrator=logistic or isotonic"
        )
    if raw.middle and options.calibrator == "temperature":
        raise ConfigError(
            f"eval.calibrator=temperature keeps the decision at 0, and this loss draws the line at {raw.middle:g}; "
            "use eval.calibrator=logistic or isotonic"
        )


def deploy(validation: ScoreTable | None, options: EvaluationKnobs, raw: Raw = LOG_ODDS) -> Deployed:
    """Choose threshold and calibrator on validation scores; what cannot be chosen is None, and a note says why.

    Args:
        validation: scores; without any, a threshold that is given as a number is all there is.
        options: by which they are chosen.
        raw: what the scores are.
    """
    rule, prior = options.threshold, options.prior
    if validation is None:
        name, number = parse_rule(rule)
        threshold = number if name == "number" else None
        return Deployed(threshold=threshold, rule=rule, prior=prior, notes=tuple(_units(raw, False)), raw=raw)
    threshold = None
    calibrator: Calibrator | None = None
    notes = []
    try:
        threshold = choose_threshold(rule, validation.scores, validation.labels)
    except MetricError as error:
        notes.append(f"no threshold could be chosen on validation: {error}")
    if threshold is not None and not isfinite(threshold):
        threshold = None
        notes.append(
            f"no threshold could be chosen on validation: by {rule}, rejecting or accepting every clip is best"
        )
    if options.calibrator != "none":
        try:
            calibrator = CALIBRATORS[options.calibrator].fit(validation.scores, validation.labels)
        except MetricError as error:
            notes.append(f"no calibrator could be fitted on validation: {error}")
    chosen = {"threshold": threshold, "calibrator": calibrator}
    if what := " and ".join(name for name, choice in chosen.items() if choice is not None):
        counts = np.bincount(validation.labels, minlength=2)
        few = [f"{count} {name}" for name, count in zip(CLASS_NAMES, counts, strict=True) if count < FEW_CLIPS]
        notes += [f"only {' and '.join(few)} clips of validation chose the {what}"] if few else []
    notes = [*_units(raw, calibrator is not None), *notes]
    return Deployed(threshold=threshold, calibrator=calibrator, rule=rule, prior=prior, notes=tuple(notes), raw=raw)


def _units(raw: Raw, calibrated: bool) -> list[str]:
    """What to know of raw scores that are no log-odds."""
    if raw.unit != "cosine":
        return []
    if calibrated:
        return ["scores and thresholds are cosines, as the loss gives them; Cllr, actDCF and P(spoof) are calibrated"]
    return [
        "scores are cosines, not log-odds, and no calibrator comes with them, so Cllr, actDCF and P(spoof) cannot be "
        "told; a finished run brings its calibrator, a bare checkpoint does not"
    ]
