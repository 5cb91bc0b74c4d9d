"""What was judged before, so that it can be judged again from the stored tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dfad.robustness.conditions import Condition, counted
from dfad.robustness.results import FORMAT


@dataclass(frozen=True)
class Before:
    """What was judged before.

    Attributes:
        results: as they are stored; None if there are none.
        conditions: that were wanted, whether they were left out or not.
        skipped: as in the results.
        drawn: `seed` and `clips` of the suite.
    """

    results: dict[str, Any] | None = None
    conditions: tuple[Condition, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    drawn: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Any) -> Self:
        """Read what `robustness.json` holds; None gives nothing.

        Raises:
            ValueError: for results that are damaged or of another format.
        """
        if stored is None:
            return cls()
        try:
            if stored["format"] != FORMAT:
                raise ValueError(f"its format is {stored['format']}, not {FORMAT}")
            by = stored["by"]
            drawn = {name: by[name] for name in ("seed", "clips")}
            return cls(stored, tuple(Condition(**one) for one in by["conditions"]), dict(stored["skipped"]), drawn)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None


def left_out(stale: Mapping[Condition, str]) -> list[str]:
    """What is to be said of stored tables that do not count, each with the reason."""
    found: dict[tuple[str, str], int] = {}
    for one, why in stale.items():
        found[one.family, why] = found.get((one.family, why), 0) + 1
    words = {"laundering": "laundering condition", "adversarial": "attack"}
    return [
        f"{counted(number, words[family])} {'was' if number == 1 else 'were'} {why}: left out; "
        f"type robustness={family} for new ones"
        for (family, why), number in found.items()
    ]
