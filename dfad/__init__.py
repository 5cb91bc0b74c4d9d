"""dfad: train detectors of AI-generated speech, attack them, and find out honestly whether they work."""

from importlib.metadata import version

from dfad.clips import Manifest
from dfad.scorer import Result, Scorer
from dfad.scorer import load_scorer as load

__version__ = version("dfad")
__all__ = ["Manifest", "Result", "Scorer", "__version__", "load"]
