"""Launchers: what does the jobs of a sweep in other processes, with `hydra/launcher=<name>`.

They are plugins of Hydra with options of their own. A file of ours under one of their names would hide those, so what
we choose otherwise comes as words, before any that are typed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from dfad.errors import ConfigError, did_you_mean

_JOBLIB, _SUBMITIT = "hydra_plugins.hydra_joblib_launcher", "hydra_plugins.hydra_submitit_launcher"
_LOGS = "stderr_to_stdout=true"  # what a job prints lies in one file, in .sweeps/.submitit/
LAUNCHERS: dict[str, tuple[str, tuple[str, ...]]] = {  # name → package, options that we choose
    "basic": ("hydra", ()),
    "joblib": (_JOBLIB, ("n_jobs=2", "pre_dispatch=n_jobs", "batch_size=1")),  # a job begins when another is done
    "submitit_local": (_SUBMITIT, ("timeout_min=43200", _LOGS)),  # a month
    "submitit_slurm": (_SUBMITIT, ("timeout_min=1440", "max_num_timeout=100", "name=dfad", _LOGS)),
}
_KEY = "hydra/launcher="


def launcher_words(words: Sequence[str]) -> list[str]:
    """The options of the launcher that is asked for, by whose processes this dfad can then be found.

    Raises:
        ConfigError: for one that is unknown or not installed.
    """
    name = _name(words)
    if name not in LAUNCHERS:
        raise ConfigError(f"{_KEY}{name}: there is no such launcher; {did_you_mean(name, LAUNCHERS)}")
    package, options = LAUNCHERS[name]
    if not _installed(package):
        raise ConfigError(f"{_KEY}{name} needs a package: pip install 'dfad[launchers]'")
    if options:
        _be_found()
    return [f"hydra.launcher.{option}" for option in options]


def _name(words: Sequence[str]) -> str:
    return next((word.removeprefix(_KEY) for word in words if word.startswith(_KEY)), "basic")


def _be_found() -> None:
    """See that processes which a launcher starts import this dfad, even if it is not installed."""
    home, before = Path(__file__).parents[2], os.environ.get("PYTHONPATH", "")
    if (home / "pyproject.toml").is_file() and str(home) not in before.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), before]))


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even what it lies in
        return False
