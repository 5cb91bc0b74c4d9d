"""Every YAML composes and says no other thing than the typed options; every typo is told with the right word."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dfad.augment import AugmentKnobs
from dfad.corpora import CORPORA
from dfad.errors import ConfigError
from dfad.frontends import FRONTENDS
from dfad.knobs import Knobs
from dfad.losses import LOSSES
from dfad.networks import NETWORKS
from dfad.training.config import EvalConfig, TrainConfig, TrainerKnobs
from dfad.training.loggers import LOGGERS
from tests.conftest import ROOT

CONF = ROOT / "conf"
PRESETS = sorted(path for path in CONF.rglob("*.yaml"))
GROUPS: dict[str, dict[str, type[Knobs]]] = {
    "data": dict(CORPORA),
    "frontend": dict(FRONTENDS),
    "model": dict(NETWORKS),
    "loss": dict(LOSSES),
    "trainer": {"default": TrainerKnobs},
    "logger": dict(LOGGERS),
}


OTHERS = {
    "model": {"aasist_l": "aasist", "hubert": "ssl", "wavlm": "ssl", "xlsr": "ssl"}
}  # presets beside those of the defaults, and whose options they set
NEEDED = {"parts": ["demo", "for_2sec"]}  # any value will do for a path, but not for all options


def composed(name: str, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = OmegaConf.to_container(compose(name, list(overrides)), resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items() if value != "???"}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.relative_to(CONF).as_posix())
def test_every_yaml_begins_with_the_command_that_uses_it(path: Path) -> None:
    assert path.read_text().removeprefix("# @package _global_\n").startswith("# python ")


def preset(group: str, name: str) -> dict[str, Any]:
    """The values of a preset for its own group; one that also sets others says so in its first line."""
    text = (CONF / group / f"{name}.yaml").read_text()
    values = yaml.safe_load(text)
    return dict(values[group] if text.startswith("# @package _global_\n") else values)


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, table in GROUPS.items() for name in table])
def test_a_preset_shows_every_option_with_its_default(group: str, name: str) -> None:
    values = preset(group, name)
    given = {key: value for key, value in values.items() if value != "???"}
    needed = {key: NEEDED.get(key, "x") for key, value in values.items() if value == "???"}
    knobs = GROUPS[group][name]
    assert knobs.read({**given, **needed}).plain() == knobs.read(needed).plain()
    assert set(values) == set(knobs.model_fields)


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in OTHERS.items() for name in names])
def test_another_preset_shows_every_option_too(group: str, name: str) -> None:
    values, knobs = composed("train", f"{group}={name}")[group], GROUPS[group][OTHERS[group][name]]
    assert set(values) == set(knobs.model_fields)
    assert values["name"] == OTHERS[group][name]
    assert knobs.read(values).plain() != knobs.read({"name": values["name"]}).plain()


def test_every_choice_has_its_yaml() -> None:
    for group, table in GROUPS.items():
        assert {path.stem for path in (CONF / group).glob("*.yaml")} == set(table) | set(OTHERS.get(group, ()))
    for path in (CONF / "augment").glob("*.yaml"):
        assert AugmentKnobs.read(yaml.safe_load(path.read_text())).name == path.stem


@pytest.mark.parametrize("frontend", sorted(set(FRONTENDS) - {"raw"}))
@pytest.mark.parametrize("augment", sorted(path.stem for path in (CONF / "augment").glob("*.yaml")))
def test_every_combination_builds(frontend: str, augment: str) -> None:
    config = TrainConfig.read(composed("train", f"frontend={frontend}", f"augment={augment}"))
    config.model.build(config.frontend)


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_composes_as_its_name_says(path: Path) -> None:
    assert f"experiment={path.stem}\n" in path.read_text()
    config = TrainConfig.read(composed("train", f"experiment={path.stem}"))
    words = path.stem.removesuffix("_frozen").removesuffix("_finetuned").split("_to_")[0]
    data, model = words.rsplit("_", 1) if words not in CORPORA else (words, "cnn")
    assert (config.data.name, config.model.name) == (data, model)
    usual = TrainConfig.read(composed("train", f"model={model}"))
    assert (config.model, config.trainer) != (usual.model, usual.trainer)
    given = {group: values for group, values in yaml.safe_load(path.read_text()).items() if group != "defaults"}
    assert written(given, config.plain()) == given  # its values reach the options
    over = composed("train", f"experiment={path.stem}", "model.lr=0.5", "trainer.max_epochs=7", "data=demo", "seed=3")
    again = TrainConfig.read(over)  # and the command line's go before them
    assert (again.model.plain()["lr"], again.trainer.max_epochs, again.data.name, again.seed) == (0.5, 7, "demo", 3)


def written(given: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """What became of values that a YAML gives."""
    return {
        key: written(value, options[key])
        if isinstance(value, dict) and isinstance(options[key], dict)
        else options[key]
        for key, value in given.items()
    }


def test_every_experiment_is_there() -> None:
    models = ("cnn", "vgg16_frozen", "vgg16_finetuned", "lcnn", "aasist", "ssl")
    wanted = {f"{data}_{model}" for data in ("for_2sec", "for_rerec") for model in models}
    assert {path.stem for path in (CONF / "experiment").glob("*.yaml")} == wanted | {
        "for_2sec_to_for_rerec",
        "asvspoof2019_la_aasist",
    }


def test_the_eval_configuration_composes() -> None:
    assert EvalConfig.read(composed("eval", "run=x")).data is None
    assert EvalConfig.read(composed("eval", "run=x", "data=folder", "data.path=y")).data


def test_the_help_names_every_group(dfad: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    for script in ("train", "eval"):
        shown = dfad(script, "--help", cwd=tmp_path).stdout
        assert shown.count("\n") < 30
    groups = [path.name for path in CONF.iterdir() if path.is_dir()]
    assert all(f"{group}: " in dfad("train", "--help", cwd=tmp_path).stdout for group in groups)


TYPOS = [
    ("model.chanels=[4]", "unknown option 'model.chanels'; did you mean 'model.channels'?"),
    ("modle=cnn", "unknown option 'modle'; did you mean 'model'?"),
    ("trainer.max_epoch=3", "did you mean 'trainer.max_epochs'?"),
    ("augment.noise.pp=1", "unknown option 'augment.noise.pp'; did you mean 'augment.noise.p'?"),
    ("model=cn", "model=cn: there is no such configuration; did you mean 'cnn'?"),
    ("frontend=mel", "did you mean 'logmel'?"),
    ("trainer.max_epochs=many", 'trainer.max_epochs="many": input should be a valid integer'),
    ("trainer.max_epochs=0", "trainer.max_epochs=0: input should be greater than or equal to 1"),
    ("model.lr=-1", "model.lr=-1: input should be greater than 0"),
    ("model.activation=rel", "input should be 'relu', 'leaky_relu', 'gelu' or 'silu'"),
    ("model.channels=[]", "model.channels=[]"),
    ("trainer.extra.max_stepz=3", "did you mean 'max_steps'?"),
    ("trainer.extra.max_epochs=3", "max_epochs is set by dfad itself"),
    ("trainer.extra.strategy=foo", "strategy is set by dfad itself"),
    ("trainer.precision=16-mixed", "needs a GPU"),
    ("trainer.devices=3", "use data.batch_size=63 or 66"),
    ("trainer.devices=64", "use trainer.devices="),
    ("runs=/proc/nope", "cannot write to /proc/nope"),
    ("frontend=raw", "model=cnn needs a map of bands over frames"),
    ("trainer.accelerator=gpu", "trainer.accelerator=gpu: there is none here; use trainer.accelerator=cpu"),
    ("data=manifest", "data.path: missing; give it as data.path=…"),
    ("channels", "missing EQUAL"),
]


@pytest.mark.parametrize(("word", "answer"), TYPOS)
def test_a_wrong_word_is_answered_with_the_right_one(
    word: str,
    answer: str,
    manifest_csv: Path,
    tmp_path: Path,
    refusal: Callable[..., tuple[int, str]],
) -> None:
    if word == "trainer.accelerator=gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    corpus = [] if word == "data=manifest" else ["data=manifest", f"data.path={manifest_csv}"]
    code, said = refusal("train", *corpus, "augment=none", word, cwd=tmp_path)
    assert code == 2, said
    assert answer in said
    assert "Traceback" not in said
    assert "Error executing" not in said


def test_all_wrong_words_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.read(composed("train", "++model.chanels=3", "++sed=1", "trainer.max_epochs=x"))
    assert len(str(caught.value).splitlines()) == 3


def test_paths_workers_and_dashboards_do_not_change_the_identity_of_a_run() -> None:
    def identity(*words: str) -> dict[str, Any]:
        return TrainConfig.read(composed("train", "data=manifest", "data.path=a.csv", *words)).identity()

    same = identity()
    assert identity("data.path=b.csv", "data.workers=4", "runs=elsewhere", "force=true") == same
    assert identity("logger=wandb", "logger.project=elsewhere") == identity("logger=tensorboard") == same
    assert "logger" not in same
    assert identity("seed=1") != same
    assert identity("data.batch_size=8") != same
