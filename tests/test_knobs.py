"""Options: every error at once with its key path, strict types, and what counts as a run's identity."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from dfad.errors import ConfigError
from dfad.knobs import Free, Knobs, Named


class Small(Knobs):
    name: Literal["small"] = "small"
    channels: tuple[int, ...] = (8, 16)
    dropout: float = Field(0.1, ge=0, lt=1)
    cache: Annotated[Path, Free] = Path("cache")


class Large(Knobs):
    name: Literal["large"] = "large"
    depth: int = Field(3, ge=1)


class Step(Knobs):
    size: float = 1.0
    workers: Annotated[int, Free] = 2


class Root(Knobs):
    model: Annotated[Knobs, Named({"small": Small, "large": Large})] = Small()
    step: Step = Step()
    seed: int = 0
    force: Annotated[bool, Free] = False


def complaint(values: Any, at: str = "") -> str:
    with pytest.raises(ConfigError) as error:
        Root.read(values, at=at)
    return str(error.value)


def test_all_errors_come_at_once() -> None:
    values = {"model": {"name": "small", "dropout": 2}, "step": {"size": "big"}, "sead": 1}
    lines = complaint(values).splitlines()
    assert len(lines) == 3
    assert {line.split("=")[0] for line in lines[:2]} == {"model.dropout", "step.size"}


def test_unknown_option_names_the_nearest_of_its_own_level() -> None:
    assert complaint({"model": {"name": "small", "chanels": 3}}) == (
        "unknown option 'model.chanels'; did you mean 'model.channels'?"
    )
    assert complaint({"sead": 1}) == "unknown option 'sead'; did you mean 'seed'?"
    assert "choose from: step.size, step.workers" in complaint({"step": {"xyz": 1}})


def test_unknown_name_lists_the_table() -> None:
    assert complaint({"model": {"name": "smal"}}) == "model=smal: unknown name; did you mean 'small'?"
    assert complaint({"model": {"name": None}}).endswith("choose from: large, small")


def test_missing_name_says_what_to_type() -> None:
    assert complaint({"model": {}}) == "model: missing; give it as model=…"


def test_messages_carry_the_path_above() -> None:
    assert complaint({"step": {"size": "1"}}, at="train").startswith('train.step.size="1": ')


@pytest.mark.parametrize("values", [[], None, 3])
def test_no_table_at_all(values: Any) -> None:
    assert complaint(values) == "input should be an object"


def test_what_json_cannot_say_is_refused() -> None:
    assert "date" in complaint({"seed": date(2020, 1, 1)})


@pytest.mark.parametrize(
    "values",
    [
        {"seed": "1"},
        {"seed": 1.0},
        {"seed": True},
        {"step": {"size": "1"}},
        {"step": {"size": True}},
        {"force": 1},
        {"step": {"size": float("nan")}},
        {"step": {"size": float("inf")}},
        {"model": {"name": "small", "channels": 8}},
        {"model": {"name": "small", "channels": [8, "16"]}},
        {"model": {"name": "large", "depth": 0}},
        {"model": "small"},
        {"step": 3},
    ],
)
def test_wrong_types_and_ranges_are_refused(values: dict[str, Any]) -> None:
    (line,) = complaint(values).splitlines()
    assert line.startswith(next(iter(values)))


def test_position_in_a_list_is_named() -> None:
    assert complaint({"model": {"name": "small", "channels": [8, "x"]}}).startswith('model.channels.1="x"')


def test_int_serves_as_float_and_list_as_tuple() -> None:
    root = Root.read({"step": {"size": 2}, "model": {"name": "small", "channels": [4, 5]}})
    assert isinstance(root.step.size, float)
    assert isinstance(root.model, Small)
    assert root.model.channels == (4, 5)


def test_name_selects_the_type() -> None:
    assert Root.read({"model": {"name": "large", "depth": 5}}).model == Large(depth=5)


def test_plain_and_read_are_inverse() -> None:
    root = Root.read({"model": {"name": "small", "channels": [1], "cache": "a/b"}, "seed": 7})
    assert root.plain()["model"] == {"name": "small", "channels": [1], "dropout": 0.1, "cache": "a/b"}
    assert Root.read(root.plain()) == root


def test_identity_leaves_out_free_options_at_every_level() -> None:
    assert Root().identity() == {
        "model": {"name": "small", "channels": [8, 16], "dropout": 0.1},
        "step": {"size": 1.0},
        "seed": 0,
    }


def test_options_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Root().seed = 3  # type: ignore[misc]


def test_rule_over_several_options_has_no_empty_key() -> None:
    from dfad.corpora.folder import FolderKnobs

    with pytest.raises(ConfigError, match=r"^on_error=skip needs scan=true"):
        FolderKnobs.read({"path": "x", "on_error": "skip", "scan": False})
