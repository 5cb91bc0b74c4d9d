"""`dfad options [GROUP]`: every option with its values and what it means, from the typed options themselves."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfad.commands.guard import guarded
from dfad.errors import ConfigError, did_you_mean
from dfad.knobs import Knobs, Named, knobs_in
from dfad.networks.fusion import FusionKnobs


def main() -> None:
    """Run the command on `sys.argv`."""
    sys.exit(guarded(lambda: show(sys.argv[1:])))


def show(words: list[str]) -> None:
    """Print the options of a group, or of all.

    Raises:
        ConfigError: for a group that there is not.
    """
    from dfad.robustness.adversaries import ADVERSARIES
    from dfad.robustness.options import RobustnessKnobs, rows
    from dfad.robustness.perturbations import LAUNDERING
    from dfad.search.options import SweepKnobs
    from dfad.training.config import TrainConfig

    tables = dict([*_tables("", TrainConfig), *_tables("robustness", RobustnessKnobs)])
    tables["sweep"] = dict(_tables("", SweepKnobs))[""]  # typed at the top too, by `dfad sweep` only
    more = {
        "laundering": ("what may happen to any clip", rows(LAUNDERING)),
        "adversarial": ("attacks", rows(ADVERSARIES)),
    }
    if words and words[0] in ("-h", "--help"):
        print(f"dfad options [group]: explain every option; groups: {', '.join(_groups(tables))}")
        return
    chosen = [name for name in tables if not words or name.split("=")[0].split(".")[0] == words[0]]
    if not chosen:
        raise ConfigError(f"no group {words[0]!r}; {did_you_mean(words[0], _groups(tables))}")
    console = Console(width=None if sys.stdout.isatty() else 160)
    for name in chosen:
        _print(console, name or "top level", ("option", "default", "takes", "meaning"), *tables[name])
    if "robustness" in chosen:
        for family, (about, lines) in more.items():
            _print(console, f"robustness={family}", ("name", "strengths", "takes", "meaning"), about, lines)


def _print(console: Console, name: str, headings: Sequence[str], about: str, rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=escape(f"{name}: {about}"), title_justify="left", box=None)
    table.add_column(headings[0], min_width=max(len(row[0]) for row in rows))  # a name cut short is no name
    for heading in headings[1:]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table, "")


def _groups(tables: Mapping[str, Any]) -> list[str]:
    return sorted({name.split("=")[0].split(".")[0] for name in tables if name})


def _tables(at: str, knobs: type[Knobs]) -> Iterator[tuple[str, tuple[str, list[tuple[str, ...]]]]]:
    """What a class is and its options, then those of the classes inside it."""
    properties = knobs.model_json_schema()["properties"]
    rows: list[tuple[str, ...]] = []
    inner: list[tuple[str, type[Knobs]]] = []
    for name, field in knobs.model_fields.items():
        key = f"{at.split('=')[0]}.{name}" if at else name
        marks = [mark for mark in field.metadata if isinstance(mark, Named)]
        below = [kind for kind in knobs_in(field.annotation) if not marks]
        if marks:
            inner += [
                (f"{key}={choice}", kind) for choice, kind in marks[0].table.items() if kind is not FusionKnobs
            ]  # made, not typed
        elif below:
            inner += [(key, kind) for kind in below]
        elif name != "name":
            default = "" if field.is_required() else _yaml(field.get_default(call_default_factory=True))
            rows.append((key, default, _takes(properties[name]), field.description or ""))
    if rows:
        yield at, ((inspect.getdoc(knobs) or "").splitlines()[0], rows)
    for key, kind in inner:
        yield from _tables(key, kind)


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(_yaml, value))}]" if isinstance(value, tuple) else str(value)


def _takes(schema: Mapping[str, Any]) -> str:
    """What an option takes, in words, from its JSON schema."""
    if "anyOf" in schema:
        return " | ".join(_takes(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(schema.get("enum", [schema.get("const")]))
    bounds = [
        f"{sign} {schema[name]:g}"
        for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if name in schema
    ]
    kind = {"array": "list", "object": "mapping", "boolean": "true | false"}.get(schema.get("type", ""))
    return " ".join([kind or schema.get("type", ""), *bounds])
