"""Options: small frozen dataclass-like models that check names, types and ranges, all errors at once.

A component's options stand beside it as a `Knobs` subclass; a plain table maps the option `name` to the subclass
(`NETWORKS = {"cnn": CNNKnobs}`), and a field annotated `Annotated[NetworkKnobs, Named(NETWORKS)]` takes whichever one
the key `name` selects. What a checkpoint stores is `knobs.plain()`, and `Knobs.read` is the only way back: YAML,
command line and checkpoint pass through the same door, and none of them can name code to run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from dfad.errors import ConfigError, did_you_mean


class _Free:
    """Marks an option that cannot change a run's numbers: a path, a number of workers."""


Free = _Free()


class _Later:
    """Marks an option that came when runs had been trained: at its default it is no part of a run's name."""


Later = _Later()


class Knobs(BaseModel):
    """Base of all options: frozen, strictly typed, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def read(cls, values: Mapping[str, Any], *, at: str = "") -> Self:
        """Make the options from plain values.

        Args:
            values: nested dict, list, str, number, bool or None, as YAML gives them.
            at: key path of `values`, put before the key in messages.

        Raises:
            ConfigError: naming every wrong key, type and range at once.
        """
        try:
            text = json.dumps(values)
        except TypeError as error:
            raise ConfigError(f"{at or 'options'}: {error}") from None
        try:  # through JSON: strict, yet lists become tuples and strings paths
            return cls.model_validate_json(text)
        except ValidationError as error:
            lines = [_line(detail, cls, values, at) for detail in error.errors()]
            raise ConfigError("\n".join(lines)) from None

    def plain(self) -> dict[str, Any]:
        """Give the options as dict, list, str, number, bool and None, ready for YAML or a checkpoint."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """Give the options that can change a run's numbers: all but those marked `Free`, and `Later` ones at rest."""
        values = self.plain()
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if Free in field.metadata or (Later in field.metadata and value == field.default):
                values.pop(name, None)
            elif isinstance(value, Knobs):
                values[name] = value.identity()
            elif isinstance(value, dict):
                values[name] |= {key: inner.identity() for key, inner in value.items() if isinstance(inner, Knobs)}
        return values


@dataclass(frozen=True)
class Named:
    """Annotation of a field whose key `name` selects its type in a table."""

    table: Mapping[str, type[Knobs]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Build the union of the table's types, told apart by `name`; or None, where the annotation takes that."""
        union = core_schema.tagged_union_schema(
            {name: handler.generate_schema(knobs) for name, knobs in self.table.items()}, discriminator="name"
        )
        return core_schema.nullable_schema(union) if type(None) in get_args(source) else union


def knobs_in(annotation: Any) -> list[type[Knobs]]:
    """The options classes that an annotation names, itself or in a union such as `Noise | None`."""
    return [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, Knobs)]


def _line(detail: ErrorDetails, root: type[Knobs], values: Any, at: str) -> str:
    """Say one pydantic error as `key: what is wrong; what to type`."""
    path, owner, found = _locate(detail["loc"], root, values)
    key = ".".join([at, *path] if at else path)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown option {key!r}; {did_you_mean(path[-1], owner.model_fields, prefix=key[: -len(path[-1])])}"
    if kind == "union_tag_invalid":
        known = [tag.strip().strip("'") for tag in context["expected_tags"].split(",")]
        return f"{key}={context['tag']}: unknown name; {did_you_mean(str(context['tag']), known)}"
    if kind in ("missing", "union_tag_not_found"):
        return f"{key}: missing; give it as {key}=…"
    shown = f"={json.dumps(found)}" if path and not isinstance(found, dict) else ""
    if kind == "tuple_type":
        return f"{key}{shown}: should be a list, such as {path[-1]}=[1,2]"
    if kind == "too_short":
        return f"{key}{shown}: needs at least {context['min_length']}"
    message = detail["msg"].removeprefix("Value error, ").rstrip(".")
    where = f"{key}{shown}: " if key else ""
    return f"{where}{message[0].lower()}{message[1:]}"


def _at(values: Any, part: int | str) -> Any:
    """What lies below a key or an index; a value that has nothing below stays."""
    if isinstance(values, dict):
        return values.get(part)
    return values[part] if isinstance(values, list) and isinstance(part, int) else values


def _locate(loc: tuple[int | str, ...], owner: type[Knobs], values: Any) -> tuple[list[str], type[Knobs], Any]:
    """Follow a pydantic location, which holds union tags beside keys.

    Returns:
        The key path without the tags, the options class that holds its last key, and the value found there.
    """
    path: list[str] = []
    table: Mapping[str, type[Knobs]] | None = None  # of the field just entered
    keyed = False  # whether a key of the user's own comes next, as in a mapping of names to options
    inner: type[Knobs] = owner
    for part in loc:
        if table is not None and not keyed and part in table:
            inner, table = table[str(part)], None
            continue
        path.append(str(part))
        values = _at(values, part)
        if keyed:
            keyed = False
            continue
        owner, table = inner, None
        if field := owner.model_fields.get(str(part)):
            table, keyed = _table_of(field)
            inner = next(iter(knobs_in(field.annotation)), inner)
    return path, owner, values


def _table_of(field: FieldInfo) -> tuple[Mapping[str, type[Knobs]] | None, bool]:
    """The table by which a field, or each value of a mapping, takes its type; and whether it is such a mapping."""
    keyed = get_origin(field.annotation) is dict
    marks = get_args(get_args(field.annotation)[1]) if keyed else field.metadata
    table = next((mark.table for mark in marks if isinstance(mark, Named)), None)
    return table, keyed and table is not None
