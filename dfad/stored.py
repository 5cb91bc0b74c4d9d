"""What results that were stored say, from their plain data alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def as_trained(results: Mapping[str, Any]) -> float:
    """The threshold of the detector as it was trained: 0, or the middle between two margins.

    >>> as_trained({"raw": {"unit": "cosine", "scale": 20.0, "middle": 0.55}}), as_trained({})
    (0.55, 0.0)
    """
    return float(results.get("raw", {}).get("middle", 0.0))
