"""`dfad sweep`: search for good options, with any number of processes and hosts on one study."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dfad.commands.door import as_addition, composed, do, enter, plain_values
from dfad.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from dfad.search.options import SweepKnobs
    from dfad.search.space import Space
    from dfad.training.config import TrainConfig

_SPACE = "space."
_typed: dict[str, str] = {}  # what may vary, which Hydra would take for a sweep of its own


def main() -> NoReturn:
    """Run the command on `sys.argv`."""
    words = sys.argv[1:]
    _typed.clear()
    for word in words:
        if word.startswith(_SPACE):
            key, _, text = word.removeprefix(_SPACE).partition("=")
            _typed[key] = text
    sys.argv[1:] = [word for word in words if not word.startswith(_SPACE)]
    if {"-m", "--multirun"} & set(words):
        print("error dfad sweep takes no -m; a grid is: python train.py -m model.lr=1e-3,3e-3", file=sys.stderr)
        raise SystemExit(2)
    enter(job, "sweep")


def job(config: DictConfig) -> None:
    """Do what Hydra composed."""
    do(run, config)


def run(values: dict[str, Any]) -> None:
    """Work on the study until it is finished, then show what it found."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise ConfigError("dfad sweep needs a package: pip install 'dfad[sweep]'") from None
    from dfad.commands.screen import screen
    from dfad.commands.searched import Searcher
    from dfad.commands.space import parse_space

    knobs, typed, base = _read(values)
    space = parse_space({**typed, **_typed})
    stands = _first(space, values)
    searcher = Searcher(knobs, space, base, _configs(knobs, space), screen())
    try:
        searcher.search(stands() if knobs.default else None)
    except optuna.exceptions.StorageInternalError as error:
        raise ConfigError(f"the storage does not answer: {str(error).splitlines()[0]}") from None


def _read(values: dict[str, Any]) -> tuple[SweepKnobs, dict[str, str], TrainConfig]:
    """Part the options of the search, its space and the configuration that it begins with.

    Raises:
        ConfigError: for anything wrong in any of them.
    """
    from dfad.search.options import SweepKnobs
    from dfad.training.config import TrainConfig

    known = {*SweepKnobs.model_fields, *TrainConfig.model_fields}
    own = {key: value for key, value in values.items() if key in SweepKnobs.model_fields}
    space = values.get("space") or {}
    base = {key: value for key, value in values.items() if key not in own and key != "space"}
    if unknown := set(base) - known:
        raise ConfigError("\n".join(f"unknown option {key!r}; {did_you_mean(key, known)}" for key in sorted(unknown)))
    knobs, config = SweepKnobs.read(own), TrainConfig.read(base)
    if config.force:
        raise ConfigError("force=true: a study trains nothing twice; give another name, study=…")
    if config.logger.name != "none":
        raise ConfigError(
            f"logger={config.logger.name} does not follow a study; optuna-dashboard does, and train.py its best trial"
        )
    if "seed" in {**space, **_typed}:
        raise ConfigError("space.seed: a seed is no option to search for; seeds=3 averages over three")
    return knobs, {str(key): str(value) for key, value in space.items()}, config


def _first(space: Space, values: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
    """What gives the trial of the configuration as it stands, or an error for a value outside of the space.

    Raises:
        ConfigError: for a key that the configuration does not have.
    """
    from dfad.search.space import begin_with

    stands = {**_flat("", values), **HydraConfig.get().runtime.choices}
    if unknown := [key for key in space if key not in stands]:
        raise ConfigError(
            "\n".join(f"unknown option '{_SPACE}{key}'; {did_you_mean(key, stands, prefix=_SPACE)}" for key in unknown)
        )
    return lambda: begin_with(space, stands)


def _configs(knobs: SweepKnobs, space: Space) -> Any:
    """What makes the configurations of a trial, one per seed; each option of the space is tried by itself now.

    Raises:
        ConfigError: for an option that cannot be.
    """
    from dfad.search.space import Choice, words
    from dfad.training.config import TrainConfig

    given = [word for word in HydraConfig.get().overrides.task if word.lstrip("+").split("=")[0] not in space]

    def configs(marks: Mapping[str, Any]) -> list[TrainConfig]:
        values = plain_values(composed("sweep", [*given, *map(as_addition, words(space, marks))]))
        base = TrainConfig.read({key: value for key, value in values.items() if key in TrainConfig.model_fields})
        return [base.model_copy(update={"seed": base.seed + number}) for number in range(knobs.seeds)]

    for key, part in space.items():
        for mark in part.typed if isinstance(part, Choice) else (part.low, part.high):
            try:
                configs({key: mark})
            except ConfigError as error:
                raise ConfigError(f"{_SPACE}{key}: {error}") from None
    return configs


def _flat(at: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{at}.{key}" if at else key
        found |= {name: value} | (_flat(name, value) if isinstance(value, Mapping) else {})
    return found
