"""All metrics of one set of scores at once, with the reasons where one is missing or doubtful."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan, sqrt

from numpy.typing import ArrayLike

from dfad.errors import MetricError
from dfad.metrics.decisions import DECISION_KEYS, decisions
from dfad.metrics.det import act_dcf, auroc, eer, eer_asvspoof, min_dcf, tie_fraction
from dfad.metrics.llr import cllr, min_cllr
from dfad.metrics.pairs import Bools, Floats, any_pairs, as_labels, pairs

SCORE_KEYS = ("eer", "eer_threshold", "eer_asvspoof", "auroc", "min_dcf", "act_dcf", "cllr", "min_cllr")
MAX_TIES = 0.01


@dataclass(frozen=True)
class Summary:
    """Metrics by name, and what a reader should know about them.

    Attributes:
        values: by key; NaN where a metric is not defined, never 0.

            - `eer`, `eer_threshold`: tie-aware equal error rate, in [0, 1], and its threshold *on these labels*
              (an oracle: choose thresholds on validation).
            - `eer_asvspoof`: the ASVspoof definition, for comparison with published figures.
            - `auroc`: area under the ROC, ties counting one half.
            - `min_dcf`, `act_dcf`: normalised detection cost of ASVspoof 5, least and at the Bayes threshold.
            - `cllr`, `min_cllr`: bits.
            - `n_bona_fide`, `n_spoof`: clips.
            - `accuracy`, `balanced_accuracy`, `f1_spoof`, `f1_bona_fide`, `miss`, `false_alarm`: at `trained_at`.
            - the same six with suffix `_at_val`: at the threshold chosen on validation, if one was given.
            - the same six with suffix `_at_oracle`: at `eer_threshold`, which these very labels chose.
        notes: reasons and warnings in plain words.
    """

    values: dict[str, float]
    notes: tuple[str, ...] = ()


def summary(
    scores: ArrayLike, labels: ArrayLike, *, threshold: float | None = None, trained_at: float = 0.0
) -> Summary:
    """Every metric of these scores; what is not defined is NaN with a note, never an error.

    Shape:
        - scores: (clips,) log-odds of bona fide, higher = more bona fide.
        - labels: (clips,) 1 = bona fide, 0 = spoof.

    Args:
        scores: the scores.
        labels: the labels.
        threshold: the one chosen on validation, in the units of the scores.
        trained_at: the one of the detector as it was trained, 0 for log-odds.

    >>> report = summary([2.0, 1.0, -1.0], [1, 1, 1])
    >>> report.values["eer"], report.values["n_bona_fide"], report.notes
    (nan, 3.0, ('one class only: every clip is bona fide, so nothing can be told apart; add spoof clips',))
    """
    keys = [*SCORE_KEYS, "n_bona_fide", "n_spoof", *DECISION_KEYS, *(f"{key}_at_oracle" for key in DECISION_KEYS)]
    if threshold is not None:
        keys += [f"{key}_at_val" for key in DECISION_KEYS]
    values = dict.fromkeys(keys, nan)
    values |= _class_counts(labels)
    try:
        s, bona_fide = any_pairs(scores, labels)
    except MetricError as error:
        return Summary(values, (str(error),))
    values |= decisions(s, bona_fide, trained_at)
    notes = []
    if threshold is not None and isnan(threshold):
        notes.append("the threshold chosen on validation is NaN: nothing is decided at it")
    elif threshold is not None:
        values |= {f"{key}_at_val": value for key, value in decisions(s, bona_fide, threshold).items()}
    try:
        pairs(s, bona_fide)
    except MetricError as error:
        return Summary(values, (str(error), *notes))
    values |= _score_metrics(s, bona_fide)
    oracle = decisions(s, bona_fide, values["eer_threshold"])
    values |= {f"{key}_at_oracle": value for key, value in oracle.items()}
    return Summary(values, (*notes, *_warnings(s, bona_fide, values["auroc"])))


def _class_counts(labels: ArrayLike) -> dict[str, float]:
    try:
        bona_fide = as_labels(labels)
    except MetricError:
        return {}  # said once, by the check of both
    real = int(bona_fide.sum())
    return {"n_bona_fide": float(real), "n_spoof": float(bona_fide.size - real)}


def _score_metrics(scores: Floats, bona_fide: Bools) -> dict[str, float]:
    rate, threshold = eer(scores, bona_fide)
    return {
        "eer": rate,
        "eer_threshold": threshold,
        "eer_asvspoof": eer_asvspoof(scores, bona_fide)[0],
        "auroc": auroc(scores, bona_fide),
        "min_dcf": min_dcf(scores, bona_fide)[0],
        "act_dcf": act_dcf(scores, bona_fide),
        "cllr": cllr(scores, bona_fide),
        "min_cllr": min_cllr(scores, bona_fide),
    }


def _warnings(scores: Floats, bona_fide: Bools, area: float) -> list[str]:
    notes = []
    ties = tie_fraction(scores)
    if ties > MAX_TIES:
        notes.append(
            f"{ties:.1%} of the scores are tied: eer_asvspoof counts ties against the detector; "
            "keep scores in float32 and unrounded"
        )
    spread = 1.96 * sqrt((scores.size + 1) / (12 * bona_fide.sum() * (~bona_fide).sum()))  # of a rank sum by chance
    if area < 0.5 - spread:
        notes.append(
            f"AUROC is {area:.3f}, below chance: scores may be the other way round; higher must mean more bona fide"
        )
    elif area < 0.5 + spread:
        notes.append(f"AUROC is {area:.3f}: on these {scores.size} clips chance alone could give that")
    return notes
