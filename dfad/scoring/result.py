"""What a detector says of one clip."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan


@dataclass(frozen=True)
class Window:
    """What a detector says of a part of a clip.

    Attributes:
        start_s, end_s: seconds from the clip's start; of a clip that was repeated, its own end.
        score: as that of the clip.
        p_spoof: likewise.
    """

    start_s: float
    end_s: float
    score: float
    p_spoof: float


@dataclass(frozen=True)
class Result:
    """What a detector says of one clip.

    Attributes:
        score: log-odds of bona fide; higher = more likely real. Calibrated, it is a log-likelihood ratio.
        p_spoof: the probability that the clip is synthetic, at `prior`; NaN if `score` is a cosine, which tells none.
        verdict: `bona-fide` or `spoof`, at the threshold.
        threshold: the run's own, chosen on validation, in the units of `score`; for a bare checkpoint the one that it
            was trained at, 0 unless by a loss with a margin.
        calibrated: whether the score went through a calibrator; if not, read `p_spoof` with care.
        prior: the share of spoof that is expected beforehand.
        raw_score: what the network says, as it stands in score tables; of several windows what `aggregation` makes of
            theirs.
        raw_threshold: the threshold in its units, by which the verdict goes: a calibrator with steps can give a
            score below the threshold and one above it the same ratio.
        unit: what `score` is: `log-likelihood ratio`; of a bare checkpoint `log-odds`, or `cosine` where the loss has a
            margin.
        threshold_from: where the threshold comes from, such as `EER on validation`; `none: raw checkpoint`.
        duration_s: of the whole clip, seconds; NaN of a score that came without one.
        aggregation: what made one score of the windows': `mean`, `max`, `top-3`; `first` if only the first was heard.
        windows: the parts that were heard, in order.
        warnings: what to know before believing it, each as `name: what`, such as `clipped: …`; see
            `dfad.scoring.warnings.CHECKS`.
    """

    score: float
    p_spoof: float
    verdict: str
    threshold: float
    calibrated: bool
    prior: float
    raw_score: float
    raw_threshold: float
    unit: str = "log-odds"
    threshold_from: str = ""
    duration_s: float = nan
    aggregation: str = ""
    windows: tuple[Window, ...] = ()
    warnings: tuple[str, ...] = ()
