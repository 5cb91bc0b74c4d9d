"""Metrics of scores against labels, in NumPy and SciPy only.

Scores are log-odds of bona fide (higher = more bona fide), labels 1 = bona fide and 0 = spoof.
"""

from dfad.metrics.decisions import CLASSES, DECISION_KEYS, classification_report, confusion, decisions
from dfad.metrics.det import DetCurve, act_dcf, auroc, det_curve, eer, eer_asvspoof, min_dcf, tie_fraction
from dfad.metrics.llr import cllr, min_cllr, pav
from dfad.metrics.table import SCORE_KEYS, Summary, summary

__all__ = [
    "CLASSES",
    "DECISION_KEYS",
    "SCORE_KEYS",
    "DetCurve",
    "Summary",
    "act_dcf",
    "auroc",
    "classification_report",
    "cllr",
    "confusion",
    "decisions",
    "det_curve",
    "eer",
    "eer_asvspoof",
    "min_cllr",
    "min_dcf",
    "pav",
    "summary",
    "tie_fraction",
]
