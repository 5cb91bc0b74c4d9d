"""The front door of the Hydra commands: command line → typed options, for one job or a sweep of them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dfad.commands.guard import attempt, guarded
from dfad.commands.jobs import Sweep
from dfad.commands.launchers import launcher_words
from dfad.errors import ConfigError, DfadError, did_you_mean

_PACKAGE = Path(__file__).parents[1]
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"  # wheel, or source tree

_VALUE = re.compile(r"(?P<key>[A-Za-z_][\w.]*)=")
_NAMES = re.compile(r"\[[\w.]+(, *[\w.]+)*\]")
_ESCAPED = re.compile(r"\\([:,=()\[\]{} \\])")  # as Hydra writes a value for its own grammar; people wrote it without
_SWEEP = ("-m", "--multirun")
_LAUNCHERS = ("joblib", "submitit")


def enter(job: Callable[[DictConfig], None], config_name: str) -> NoReturn:
    """Run a command on the configuration that Hydra composes from the command line, and exit.

    Args:
        job: calls `do`; launchers send it to other processes by its name.
        config_name: the primary configuration in conf/.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra shall hand us its errors instead of printing them
    typed = sorted(sys.argv[1:], key=lambda word: word not in _SWEEP)  # argparse takes -m at the ends only
    words = [as_addition(word) for word in with_options_in_lists(typed)]
    sweep = Sweep.begin([word for word in typed if word not in _SWEEP])

    def work() -> None:
        flags, launching = [word for word in words if word in _SWEEP], launcher_words(words)
        if flags and launching:
            _our_errors(lambda: sweep.collect_in(_sweep_folder(config_name, words)))
        sys.argv[1:] = [*flags, *launching, *words[len(flags) :]]  # later words win
        _our_errors(hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job))

    code = guarded(work)
    sys.exit(code or sweep.finish())


def do(command: Callable[[dict[str, Any]], Path | None], config: DictConfig) -> None:
    """Do a command's work, or one job of a sweep, in whichever process Hydra has it done.

    Args:
        command: takes the configuration as plain values, and gives the run folder if it trained one.
        config: as Hydra composed it.
    """
    # errors are told in here, as Hydra announces every one that it sees
    here = HydraConfig.get()
    if here.mode != RunMode.MULTIRUN:
        if failure := attempt(lambda: command(plain_values(config))):
            sys.exit(failure.exit_code)
        return
    sweep = Sweep.here()
    count, varied = _swept([as_addition(word) for word in with_options_in_lists(sweep.words)])
    job = [word.removeprefix("++") for word in here.overrides.task]
    shown = [_ESCAPED.sub(r"\1", word) for word in job if word.split("=")[0] in varied]
    sweep.job(lambda: plain_values(config), command, words=shown, count=count, number=here.job.num)


def composed(config_name: str, words: Sequence[str], *, with_hydra: bool = False) -> DictConfig:
    """The configuration that words for Hydra compose."""
    if GlobalHydra.instance().is_initialized():  # while Hydra has a command at work
        return compose(config_name, list(words), return_hydra_config=with_hydra)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(config_name, list(words), return_hydra_config=with_hydra)


def _sweep_folder(config_name: str, words: Sequence[str]) -> Path:
    """Where the jobs of a sweep leave what became of them: one folder, also if they do not share that of runs."""
    given = [word for word in words if not word.startswith("-")]
    same = [word for word in given if not OverridesParser.create().parse_override(word).is_sweep_override()]
    return Path(composed(config_name, same, with_hydra=True).hydra.sweep.dir)


def _our_errors(run: Callable[[], None]) -> None:
    """Say what Hydra finds wrong with the command line as an error of ours."""
    try:
        run()
    except MissingConfigException as error:
        raise ConfigError(_unknown_choice(error)) from error
    except OverrideParseException as error:
        raise ConfigError(_unreadable(error)) from error
    except OSError as error:  # those of the jobs are told already: this is the folder of the sweep
        raise ConfigError(f"cannot write to {error.filename}; choose another folder, runs=…") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error).replace("++", "").split("\nSee https")[0]) from error
    except Exception as error:
        if not type(error).__module__.startswith(_LAUNCHERS):
            raise
        said = str(error).split("\n")[0]
        raise DfadError(
            f"a process of the launcher ended before its job did: {said}\nthe same command does what is missing"
        ) from error


def plain_values(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain values, without the keys that the YAML marks as mandatory and nobody gave."""
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error)) from error
    assert isinstance(plain, dict)
    return _without_missing({str(key): value for key, value in plain.items()})


def _swept(words: list[str]) -> tuple[int | None, set[str]]:
    """How many jobs a sweep has, and which keys it varies, from the words that Hydra was given."""
    params = HydraConfig.get().sweeper.get("params") or {}
    words = [f"{key}={value}" for key, value in params.items()] + [word for word in words if "=" in word]
    values = {
        override.get_key_element().removeprefix("++"): _count(override)
        for override in OverridesParser.create().parse_overrides(words)
        if override.is_sweep_override()
    }
    count = None if None in values.values() else prod(values.values())  # type: ignore[arg-type]
    return count, set(values)


def _count(override: Override) -> int | None:
    """How many values a word sweeps; None for `glob(…)`, which only Hydra itself can count."""
    try:
        return len(list(override.sweep_string_iterator()))
    except HydraException:
        return None


def as_addition(word: str) -> str:
    """Turn `key=value` into Hydra's `++key=value`, which takes any key.

    Whether a key exists is then decided by the typed options alone, which name all wrong ones at once and the
    nearest right one. Group choices such as `model=cnn` and Hydra's own keys stay as they are.
    """
    match = _VALUE.match(word)
    if not match or match["key"].split(".")[0] == "hydra" or (CONF / match["key"]).is_dir():
        return word
    key, value = word.split("=", 1)
    if not value.isascii() and value[0] not in "'\"[{":  # Hydra reads unquoted words in ASCII only
        value = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"++{key}={value}"


def with_options_in_lists(words: list[str]) -> list[str]:
    """Turn a list of names into a mapping where other words give some of them options, which no list can have.

    >>> with_options_in_lists(["data.parts=[a,b]", "data.parts.a.path=x"])
    ['data.parts={a:{},b:{}}', 'data.parts.a.path=x']
    """
    found = []
    for word in words:
        key, _, value = word.partition("=")
        if _NAMES.fullmatch(value) and any(other.startswith(f"{key}.") for other in words):
            word = f"{key}={{{','.join(f'{name.strip()}:{{}}' for name in value[1:-1].split(','))}}}"
        found.append(word)
    return found


def _without_missing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_missing(inner) for key, inner in value.items() if inner != "???"}
    return value


def _unknown_choice(error: MissingConfigException) -> str:
    options = [option.split("/")[-1] for option in error.options or ()]
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    if not options or not group:
        return str(error)
    return f"{group}={choice}: there is no such configuration; {did_you_mean(choice, options)}"


def _unreadable(error: OverrideParseException) -> str:
    found = error.message.split("\nSee https")[0].splitlines()[-1].split(" expecting ")[0].strip(" ^")
    word = error.override.removeprefix("++")
    return f"cannot read {word}: write key=value, a list as 'key=[1,2]', two as 'key=[1,2],[3]'; found: {found}"
