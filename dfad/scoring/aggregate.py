"""One score of many: by the mean of all windows, by the most spoofed one, or by the mean of the most spoofed few.

A file is decided at the threshold that validation chose for single crops. The mean of many windows is as fair as one of
them and steadier; the most spoofed of many finds a short fake in a long recording, but lies lower the longer a real one
is, so that more of those are called spoof.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dfad.errors import did_you_mean

Scores = NDArray[np.floating]


def mean(scores: Scores) -> float:
    """The mean of all windows."""
    return float(np.mean(scores, dtype=np.float64))


def most(scores: Scores) -> float:
    """The score of the most spoofed window."""
    return float(np.min(scores))


def top(scores: Scores, count: int = 3) -> float:
    """The mean of the so many most spoofed windows, or of all if they are fewer.

    >>> top(np.array([4.0, -1.0, 3.0, -2.0]), 2)
    -1.5
    """
    return mean(np.sort(scores)[:count])


AGGREGATIONS: dict[str, Callable[[Scores], float]] = {"mean": mean, "max": most, "top-3": top}  # and any other top-N
_TOP = re.compile(r"top-([1-9]\d{0,5})", re.ASCII)


def aggregation(name: str) -> Callable[[Scores], float]:
    """The function of a name: `mean`, `max`, or `top-` and a number.

    Raises:
        ValueError: for any other.
    """
    if match := _TOP.fullmatch(name):
        return partial(top, count=int(match[1]))
    if name not in AGGREGATIONS:
        raise ValueError(f"no aggregation {name!r}; {did_you_mean(name, AGGREGATIONS)}")
    return AGGREGATIONS[name]
