"""What of a clip speaks for spoof: attribution over time and frequency. No Lightning, no Hydra."""

from dfad.explain.explanation import POLARITY, Explanation, Map
from dfad.explain.methods import METHODS
from dfad.explain.whole import explain

__all__ = ["METHODS", "POLARITY", "Explanation", "Map", "explain"]
