"""What a search may vary: numbers in an interval, or choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dfad.errors import ConfigError


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both among them.

    Attributes:
        low: the least.
        high: the largest.
        log: whether their logarithm is drawn evenly.
        whole: whether they are integers.
        step: between them; None: any number, or every integer.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None

    def __str__(self) -> str:
        words = [*(["log"] if self.log else []), *(["int"] if self.whole else []), f"{self.low:g} … {self.high:g}"]
        return " ".join([*words, *([f"by {self.step:g}"] if self.step else [])])

    def mark(self, value: Any) -> Any:
        """How a trial writes a value down.

        Raises:
            ValueError: if it is not in here.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValueError
        steps = (value - self.low) / self.step if self.step else 0.0
        if abs(steps - round(steps)) > 1e-9 or (self.whole and value != int(value)):
            raise ValueError
        return int(value) if self.whole else self._round(value)

    def text(self, mark: Any) -> str:
        """What one types for a value that a trial wrote down."""
        return str(int(mark)) if self.whole else repr(self._round(mark))

    def _round(self, value: float) -> float:
        """A number without what adding up steps leaves in its last digits: 0.3, not 0.30000000000000004."""
        return round(float(value), 12) if self.step else float(value)


@dataclass(frozen=True)
class Choice:
    """Any of some values, written down as they are typed.

    Attributes:
        typed: the words.
        values: what they mean.
    """

    typed: tuple[str, ...]
    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ", ".join(self.typed)

    def mark(self, value: Any) -> str:
        """How a trial writes a value down.

        Raises:
            ValueError: if it is not in here.
        """
        kinds = [(isinstance(known, bool), known) for known in self.values]  # True is no 1
        return self.typed[kinds.index((isinstance(value, bool), value))]

    def text(self, mark: Any) -> str:
        """What one types for a value that a trial wrote down."""
        return str(mark)


Space = Mapping[str, Interval | Choice]
Marks = Mapping[str, Any]  # key → value of one trial, as it is written down


def words(space: Space, marks: Marks) -> list[str]:
    """The values of a trial as one types them."""
    return [f"{key}={space[key].text(mark)}" for key, mark in marks.items()]


def begin_with(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """A trial of given values.

    Raises:
        ConfigError: naming those that lie outside of the space.
    """
    marks, outside = {}, []
    for key, part in space.items():
        try:
            marks[key] = part.mark(values[key])
        except ValueError:
            outside.append(f"{key}={_typed(values[key])} lies outside of space.{key}: {part}")
    if outside:
        raise ConfigError(
            "\n".join(outside)
            + "\nthe search begins with the configuration as it stands: widen the space, give another "
            "value, or default=false"
        )
    return marks


def _typed(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value).replace(" ", "")
