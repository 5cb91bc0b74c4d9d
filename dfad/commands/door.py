"""The front door of the Hydra commands: command line → typed options, errors → one clear line and an exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from dfad.errors import DfadError, did_you_mean

_PACKAGE = Path(__file__).parents[1]
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"  # wheel, or source tree

STOPPED = "the same command goes on after the last whole epoch"
_VALUE = re.compile(r"(?P<key>[A-Za-z_][\w.]*)=")
_TRACEBACK = "DFAD_TRACEBACK"  # environment variable: 1 shows where an error came from


def enter(command: Callable[[dict[str, Any]], None], config_name: str) -> NoReturn:
    """Run a command on the configuration that Hydra composes from the command line, and exit.

    Args:
        command: takes the configuration as plain values.
        config_name: the primary configuration in conf/.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra shall hand us its errors instead of printing them
    codes: list[int] = []

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)
    def compose(config: DictConfig) -> None:
        def work() -> None:
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
            assert isinstance(plain, dict)
            command(_without_missing({str(key): value for key, value in plain.items()}))

        codes.append(guarded(work))  # in here, as Hydra announces every error that it sees

    sys.argv[1:] = [_as_addition(word) for word in sys.argv[1:]]
    sys.exit(guarded(compose) or max(codes, default=0))


def guarded(work: Callable[[], object]) -> int:
    """Do the work; print what a user can act on without a traceback, and give the exit code."""
    if os.environ.get(_TRACEBACK) == "1":
        work()
        return 0
    try:
        work()
    except DfadError as error:
        code, text = error.exit_code, str(error)
    except MissingConfigException as error:
        code, text = 2, _unknown_choice(error)
    except (HydraException, OmegaConfBaseException) as error:
        code, text = 2, str(error).replace("++", "").split("\nSee https")[0]
    except KeyboardInterrupt:
        code, text = 130, STOPPED
    except SystemExit as leave:
        if isinstance(leave.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into a plain exit
            code, text = 130, STOPPED
        elif leave.code == 143:
            code, text = 143, STOPPED
        else:
            raise
    else:
        return 0
    console = Console(stderr=True, highlight=False)
    console.print("[yellow]stopped[/]" if text is STOPPED else "[bold red]error[/]", end=" ")
    console.print(text, markup=False, soft_wrap=True)
    return code


def _as_addition(word: str) -> str:
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


def _without_missing(value: Any) -> Any:
    """Drop the keys that the YAML marks as mandatory and nobody gave: the options then name them."""
    if isinstance(value, dict):
        return {key: _without_missing(inner) for key, inner in value.items() if inner != "???"}
    return value


def _unknown_choice(error: MissingConfigException) -> str:
    options = [option.split("/")[-1] for option in error.options or ()]
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    if not options or not group:
        return str(error)
    return f"{group}={choice}: there is no such configuration; {did_you_mean(choice, options)}"
