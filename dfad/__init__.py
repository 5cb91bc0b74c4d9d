"""dfad: train detectors of AI-generated speech, attack them, and find out honestly whether they work."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfad.clips import Manifest
    from dfad.scorer import Scorer
    from dfad.scorer import load_scorer as load
    from dfad.scoring.result import Result

__version__ = version("dfad")
__all__ = ["Manifest", "Result", "Scorer", "__version__", "load"]

_HOMES = {  # imported when first asked for: torch takes seconds, and not every command needs it
    "Manifest": ("dfad.clips", "Manifest"),
    "Result": ("dfad.scoring.result", "Result"),
    "Scorer": ("dfad.scorer", "Scorer"),
    "load": ("dfad.scorer", "load_scorer"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dfad' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
