"""Several corpora as one: they train together, each with its share of an epoch, and results tell them apart.

Ids begin with the name of a part, which also stands in the column `corpus`: `mine/a.wav` is the clip `a.wav` of `mine`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, create_model, field_validator, model_serializer, model_validator

from dfad.clips import COLUMNS, Manifest
from dfad.columns import repeated
from dfad.corpora.base import CorpusKnobs, Progress
from dfad.errors import DataError, DfadError
from dfad.knobs import Named
from dfad.places import Store
from dfad.roots import Roots, address, places

_NAME = re.compile(r"\w[\w.-]*")
_OF_ALL = set(CorpusKnobs.model_fields) - {"name"}  # how clips are loaded is one thing for all parts
_FORM = "write data.parts='[for_2sec,for_rerec]' or data.parts='{for_2sec: {path: …}, mine: {name: manifest, path: …}}'"


class PartKnobs(CorpusKnobs):
    """What a part of a mix has beside the options of its corpus, of which those of loading are the mix's."""

    weight: float = Field(1.0, gt=0, description="how much of an epoch it gets, against other parts")

    @model_validator(mode="before")
    @classmethod
    def _leaves_loading_to_the_mix(cls, values: Any) -> Any:
        if wrong := sorted(_OF_ALL & set(values)):
            raise ValueError(f"{wrong[0]} is one for all parts: data.{wrong[0]}=…")
        return values

    @model_serializer(mode="wrap")
    def _own(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name not in _OF_ALL}


class MixKnobs(CorpusKnobs):
    """Options of a mix of corpora; `mix_of` says which."""

    name: Literal["mix"] = "mix"
    parts: dict[str, Any]
    weigh: Literal["clips", "corpora"] = Field(
        "clips", description="a weight of 2 makes each clip of a part come twice as often, or the part as a whole"
    )

    @field_validator("parts", mode="before")
    @classmethod
    def _are_named(cls, parts: Any) -> dict[str, dict[str, Any]]:
        """The parts by name: from a list of corpora, or a mapping of names to options, weights or nothing."""
        if isinstance(parts, list):
            if twice := {str(part) for part in parts if parts.count(part) > 1}:
                raise ValueError(f"{min(twice)} stands twice; name its parts: {{one: {{name: {min(twice)}, …}}, …}}")
            if not all(isinstance(part, str) for part in parts):
                raise ValueError(f"a list holds names of corpora alone: {_FORM}")
            parts = dict.fromkeys(parts)
        if not isinstance(parts, dict):
            raise ValueError(f"should be a list or a mapping: {_FORM}")
        if len(parts) < 2:
            raise ValueError(f"a mix has two parts or more: {_FORM}")
        named = {}
        for part, options in parts.items():
            if not _NAME.fullmatch(part):
                raise ValueError(f"{part!r} cannot name a part: use letters, digits, '_', '-' and '.'; {_FORM}")
            if isinstance(options, int | float) and not isinstance(options, bool):
                options = {"weight": options}
            if not isinstance(options, dict | None):
                raise ValueError(f"{part}: should be options in {{…}}, or a weight")
            named[part] = {"name": part, **(options or {})}
            if named[part]["name"] == "mix":
                raise ValueError(f"{part}: a mix cannot be a part of a mix; name its parts here")
        return named

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """Read all parts, in the order of their names."""
        return united({part: self._read(part, progress) for part in sorted(self.parts)})

    def amounts(self, clips: Mapping[str, int]) -> dict[str, float]:
        """How much of an epoch each part gets, against the others, from its clips of training."""
        by_clips = self.weigh == "clips"
        return {part: self.parts[part].weight * (count if by_clips else 1) for part, count in clips.items()}

    def _read(self, part: str, progress: Progress | None) -> Manifest:
        try:
            return self.parts[part].read_clips(progress)
        except DfadError as error:
            said = str(error).replace("data.path=", f"data.parts.{part}.path=")
            raise type(error)(f"data.parts.{part}: {said}") from None


def mix_of(corpora: Mapping[str, type[CorpusKnobs]]) -> type[MixKnobs]:
    """The options of a mix whose parts may be any of some corpora."""
    parts = {name: create_model(f"{kind.__name__}OfPart", __base__=(kind, PartKnobs)) for name, kind in corpora.items()}
    about = Field(description="two corpora or more: a list of names, or name: options (name, path, weight, …)")
    return create_model("MixKnobs", __base__=MixKnobs, parts=(dict[str, Annotated[CorpusKnobs, Named(parts)]], about))


def united(parts: Mapping[str, Manifest]) -> Manifest:
    """Put manifests together: ids begin with the part's name, which is the column `corpus`; other columns are united.

    Cells of a column that a part does not have are empty. A column of numbers stays one if all parts have it, or if its
    numbers are not whole: else all of it is text. A column `corpus` of a part's own becomes `subcorpus`.

    Raises:
        DataError: if a part has both `corpus` and `subcorpus`, or if two have a file in common.
    """
    frames = {}
    for part, manifest in parts.items():
        frame = manifest.frame
        if {"corpus", "subcorpus"} <= set(frame.columns):
            raise DataError(f"data.parts.{part}: it has the columns corpus and subcorpus; in a mix corpus is its name")
        frame = frame.rename(columns={"corpus": "subcorpus"})
        frames[part] = frame.assign(id=f"{part}/" + frame["id"], corpus=part)
    further = dict.fromkeys(name for frame in frames.values() for name in frame.columns if name not in COLUMNS)
    for name in [name for name in further if not _is_one_number(name, frames.values())]:
        frames = {part: frame.assign(**{name: _texts(frame, name)}) for part, frame in frames.items()}
    whole = pd.concat(list(frames.values()), ignore_index=True)
    roots = Roots({part: _below(manifest) for part, manifest in parts.items()})
    _require_once(whole["id"], roots)
    notes = tuple(f"{part}: {note}" for part, manifest in parts.items() for note in manifest.notes)
    names = [*COLUMNS, "corpus", *(name for name in further if name != "corpus")]
    return Manifest(whole[names], roots, notes)


def _require_once(ids: pd.Series, roots: Roots) -> None:
    """Refuse a file that is in two parts: it would count twice, and could be trained on and tested on.

    Raises:
        DataError: with the number of them and the first.
    """
    if not any(one.startswith(other) for one, other in permutations(map(address, roots.parts.values()), 2)):
        return
    if len(twice := ids[repeated(places(ids, roots))]):
        raise DataError(
            f"data.parts: {len(twice)} files are in two parts, the first: {roots / twice.iloc[0]}\n"
            "leave them out of one: such a clip would count twice, and may be trained on and tested on"
        )


def _below(manifest: Manifest) -> Path | Store:
    assert isinstance(manifest.root, Path | Store), "a mix has no mix for a part"
    return manifest.root


def _is_one_number(name: str, frames: Collection[pd.DataFrame]) -> bool:
    """Whether a column can stay a number in a table of all frames."""
    kinds = [frame[name].dtype for frame in frames if name in frame]
    if not pd.api.types.is_numeric_dtype(kinds[0]) or any(kind != kinds[0] for kind in kinds):
        return False
    return len(kinds) == len(frames) or pd.api.types.is_float_dtype(kinds[0])


def _texts(frame: pd.DataFrame, name: str) -> pd.Series:
    """A column as text; empty where a cell is missing, or all of it."""
    return frame[name].astype(str).fillna("") if name in frame else pd.Series("", frame.index, dtype="str")
