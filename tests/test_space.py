"""The space of a search: the grammar of Hydra's sweeps, and back to what one types."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from dfad.commands.again import train_words
from dfad.commands.door import CONF, as_addition, composed, plain_values
from dfad.commands.space import parse_space
from dfad.errors import ConfigError
from dfad.search.space import Choice, Interval, begin_with, words
from dfad.training.config import TrainConfig


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("interval(0, 1)", Interval(0.0, 1.0)),
        ("tag(log, interval(1e-5, 1e-2))", Interval(1e-5, 1e-2, log=True)),
        ("int(interval(1, 8))", Interval(1.0, 8.0, whole=True)),
        ("tag(int, interval(1, 8))", Interval(1.0, 8.0, whole=True)),
        ("tag(int, log, interval(1, 8))", Interval(1.0, 8.0, log=True, whole=True)),
        ("range(1, 5)", Interval(1.0, 4.0, whole=True, step=1.0)),
        ("range(0.0, 0.6, 0.1)", Interval(0.0, 0.5, step=0.1)),
        ("range(0.7, 1.0, 0.1)", Interval(0.7, 0.9, step=0.1)),  # 0.7 + 0.1 + 0.1 + 0.1 is less than 1.0
        ("range(0, 10, 4)", Interval(0.0, 8.0, whole=True, step=4.0)),
        ("[16,32],[32,64]", Choice(("[16,32]", "[32,64]"), ([16, 32], [32, 64]))),
        ("choice(relu, gelu)", Choice(("relu", "gelu"), ("relu", "gelu"))),
        ("null,true,2,0.5", Choice(("null", "True", "2", "0.5"), (None, True, 2, 0.5))),
        ("shuffle(1,2,3)", Choice(("1", "2", "3"), (1, 2, 3))),  # in an order that all workers know
        ("'a b',c", Choice(("'a b'", "c"), ("a b", "c"))),
    ],
)
def test_what_may_vary_is_read(text: str, part: Interval | Choice) -> None:
    assert parse_space({"x": text}) == {"x": part}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3", "that is one value"),
        ("interval(2, 1)", "the first number is the lower one"),
        ("tag(log, interval(0, 1))", "above 0 for log"),
        ("interval(a, 1)", "cannot read space.x=interval(a, 1)"),
        ("interval(1", "cannot read"),
        ("glob(*)", "a search cannot use that"),
        ("1,1", "each of them once"),
        ("range(5, 1)", "the first number is the lower one"),
    ],
)
def test_what_cannot_be_read_is_an_error(text: str, answer: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_space({"x": text})
    assert answer in str(error.value)


def test_a_search_begins_inside_its_space() -> None:
    space = parse_space({"lr": "interval(0, 1)", "n": "range(0, 10, 5)", "kind": "a,null", "flag": "true,1"})
    marks = begin_with(space, {"lr": 1, "n": 5, "kind": None, "flag": True})
    assert marks == {"lr": 1.0, "n": 5, "kind": "null", "flag": "True"}
    assert words(space, marks) == ["lr=1.0", "n=5", "kind=null", "flag=True"]
    with pytest.raises(ConfigError) as error:
        begin_with(space, {"lr": 2, "n": 3, "kind": "b", "flag": False})
    assert str(error.value).count("lies outside of space.") == 4


PRESETS = sorted(path.stem for path in Path(CONF, "sweep").glob("*.yaml"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_what_it_begins_with_and_every_choice_can_be(name: str) -> None:
    values = plain_values(composed("sweep", [f"sweep={name}", "study=x"]))
    space = parse_space(values["space"])
    for key, part in space.items():
        value: Any = values
        for step in key.split("."):
            value = value[step]
        part.mark(value["name"] if isinstance(value, dict) else value)
        for mark in part.typed if isinstance(part, Choice) else (part.low, part.high):
            word = as_addition(f"{key}={part.text(mark)}")
            trial = plain_values(composed("sweep", [f"sweep={name}", "study=x", word]))
            TrainConfig.read({key: value for key, value in trial.items() if key in TrainConfig.model_fields})


@pytest.mark.parametrize(
    "typed",
    [
        [],
        ["model=vgg16", "model.pretrained=none", "model.unfreeze_from=null", "trainer.max_epochs=3"],
        ["experiment=for_2sec_cnn", "data.path=a folder/with 'quotes'", "augment=none", "augment.noise={p: 0.5}"],
        ["data=mix", "data.parts={a: {name: manifest, path: my.csv}, for_rerec: {weight: 2}}", "loss=focal"],
        ["augment=light", "augment.noise=null", "frontend=lfcc", "seed=4", "trainer.patience=3", "model.channels=[4]"],
        ["model=aasist_l", "trainer.extra={limit_train_batches: 3}"],
        ["data=manifest", "data.path=null.csv", "data.hold_out=speaker:größe"],
    ],
)
def test_a_configuration_comes_again_from_its_words(typed: list[str]) -> None:
    config = TrainConfig.read(plain_values(composed("train", [as_addition(_quoted(word)) for word in typed])))
    again = shlex.split(shlex.join(train_words(config)))
    assert TrainConfig.read(plain_values(composed("train", [as_addition(word) for word in again]))) == config


def _quoted(word: str) -> str:
    key, _, value = word.partition("=")
    text = value.replace("'", "\\'")
    return f"{key}='{text}'" if key == "data.path" else word
