"""What the checks for a masked gradient say together; plain data, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MARKS = {True: "holds", False: "FAILS", None: "cannot be told"}


def verdict(checks: Sequence[Mapping[str, Any]]) -> str:
    """All checks in a sentence; empty without any.

    Args:
        checks: as results hold them: `name`, `passed` (None: cannot be told) and `words`, each.
    """
    named = {mark: ", ".join(one["name"] for one in checks if one["passed"] is mark) for mark in MARKS}
    counts = {mark: sum(one["passed"] is mark for one in checks) for mark in MARKS}
    if counts[False]:
        return (
            f"{counts[False]} of {len(checks)} checks for a masked gradient failed ({named[False]}): attacks may be "
            "weaker than they could be, so read their success as a lower bound"
        )
    if counts[None]:
        return f"{counts[None]} of {len(checks)} checks for a masked gradient cannot be told ({named[None]})"
    return f"all {len(checks)} checks for a masked gradient passed" if checks else ""
