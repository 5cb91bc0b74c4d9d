"""The words that make `train.py` do a configuration again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dfad.commands.door import CONF, composed, plain_values
from dfad.training.config import TrainConfig

_PLAIN = re.compile(r"[A-Za-z_./][\w./:@+-]*", re.ASCII)  # what Hydra reads as a text without quotes
_OTHERS = ("null", "true", "false", "nan", "inf")  # which it takes for something else
_BEFORE_QUOTE = re.compile(r"(\\+)(?='|$)")  # backslashes mean themselves elsewhere
_GROUPS = ("data", "frontend", "augment", "model", "loss", "trainer", "eval", "logger")


def train_words(config: TrainConfig) -> list[str]:
    """What one types after `train.py`: files of conf/ by the names of what they configure, then all else that differs.

    Args:
        config: to be composed.
    """
    wanted = _values(config)
    chosen = [f"{group}={wanted[group]['name']}" for group in _GROUPS if _is_file(group, wanted[group].get("name"))]
    usual = TrainConfig.read(plain_values(composed("train", [])))
    chosen = [word for word in chosen if word.split("=")[1] != _values(usual)[word.split("=")[0]]["name"]]
    found = plain_values(composed("train", chosen))
    return [*chosen, *(f"{key}={_typed(value)}" for key, value in _differing("", found, wanted))]


def _values(config: TrainConfig) -> dict[str, Any]:
    return {key: value for key, value in config.plain().items() if key != "force"}


def _is_file(group: str, name: Any) -> bool:
    return isinstance(name, str) and (CONF / group / f"{name}.yaml").is_file()


def _differing(at: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in wanted.items():
        name = f"{at}.{key}" if at else key
        before = found.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            yield from _differing(name, before, value)
        elif key not in found or before != value:
            yield name, value


def _typed(value: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_typed(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_typed, value)) + "]"
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.lower() not in _OTHERS):
        return "'" + _BEFORE_QUOTE.sub(r"\1\1", value).replace("'", "\\'") + "'"
    return value if isinstance(value, str) else json.dumps(value)
