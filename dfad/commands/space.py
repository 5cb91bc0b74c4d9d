"""The space of a search, from words in the grammar of Hydra's sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from dfad.errors import ConfigError
from dfad.search.space import Choice, Interval, Space

_GRAMMAR = "write a,b,c or interval(1, 2), tag(log, interval(1e-4, 1e-2)), int(interval(1, 8)), range(0, 10, 2)"


def parse_space(typed: Mapping[str, str]) -> Space:
    """Read what may vary.

    Args:
        typed: key → what it may be, as in `model.lr`: `interval(1e-4, 1e-2)`.

    Raises:
        ConfigError: for what cannot be read, or does not vary.
    """
    if not typed:
        raise ConfigError("nothing varies; say what: 'space.model.lr=tag(log, interval(1e-4, 1e-2))', or sweep=cnn")
    return {key: _part(key, text) for key, text in typed.items()}


def _part(key: str, text: str) -> Interval | Choice:
    try:
        override = OverridesParser.create().parse_override(f"{key}={text}")
    except HydraException as error:
        said = str(error).splitlines()[0].removesuffix(".").replace("++", "")
        raise ConfigError(f"cannot read space.{key}={text}: {_GRAMMAR}; found: {said}") from None
    value = override.value()
    if isinstance(value, IntervalSweep):
        part: Interval | Choice = _interval(value)
    elif isinstance(value, RangeSweep) and (value.step or 1) > 0:
        part = _steps(value)
    elif isinstance(value, ChoiceSweep):
        part = _choice(override, value)
    elif not override.is_sweep_override():
        raise ConfigError(f"space.{key}={text}: that is one value; {_GRAMMAR}, or give it as {key}={text}")
    else:
        raise ConfigError(f"space.{key}={text}: a search cannot use that; {_GRAMMAR}")
    if isinstance(part, Interval) and not (part.low < part.high and (part.low > 0 or not part.log)):
        raise ConfigError(f"space.{key}={text}: the first number is the lower one, and above 0 for log")
    if isinstance(part, Choice) and len(set(part.typed)) < max(2, len(part.typed)):
        raise ConfigError(f"space.{key}={text}: needs two choices or more, each of them once")
    return part


def _interval(value: IntervalSweep) -> Interval:
    whole = "int" in value.tags or (isinstance(value.start, int) and isinstance(value.end, int))
    return Interval(float(value.start or 0), float(value.end or 0), log="log" in value.tags, whole=whole)


def _steps(value: RangeSweep) -> Interval:
    """The numbers of a range, whose end is not among them."""
    start, stop, step = value.start or 0, value.stop or 0, value.step or 1
    count = ceil(round((stop - start) / step, 9))  # Hydra's own counting lets some ends in, as 0.7 + 3 * 0.1 < 1
    whole = all(isinstance(number, int) for number in (start, stop, step))
    return Interval(float(start), round(float(start + (count - 1) * step), 12), whole=whole, step=float(step))


def _choice(override: Override, value: ChoiceSweep) -> Choice:
    value.shuffle = False  # every worker has the same order
    typed = tuple(override.sweep_string_iterator())
    parsed: tuple[Any, ...] = tuple(OverridesParser.create().parse_override(f"x={word}").value() for word in typed)
    return Choice(typed, tuple(getattr(item, "text", item) for item in parsed))
