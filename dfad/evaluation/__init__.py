"""What ScoreTables say about detectors: nothing in here knows a network, a run or a corpus."""

from dfad.evaluation.attacks import attack_names, mixed
from dfad.evaluation.breakdown import Slice, breakdown
from dfad.evaluation.deploy import deploy, require_calibrator
from dfad.evaluation.options import EvaluationKnobs
from dfad.evaluation.results import results_of
from dfad.evaluation.thresholds import choose_threshold
from dfad.evaluation.units import Unit, unit_of
from dfad.evaluation.whole import Evaluation, evaluate
from dfad.evaluation.worst import worst

__all__ = [
    "Evaluation",
    "EvaluationKnobs",
    "Slice",
    "Unit",
    "attack_names",
    "breakdown",
    "choose_threshold",
    "deploy",
    "evaluate",
    "mixed",
    "require_calibrator",
    "results_of",
    "unit_of",
    "worst",
]
