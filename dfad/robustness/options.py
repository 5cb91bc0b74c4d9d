"""Which conditions a suite has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dfad.errors import ConfigError, did_you_mean
from dfad.knobs import Knobs
from dfad.robustness.adversaries import ADVERSARIES, Adversary
from dfad.robustness.conditions import CLEAN, Condition
from dfad.robustness.perturbations import LAUNDERING, Perturbation


class RobustnessKnobs(Knobs):
    """Options of the suite: what becomes of the scores when clips are laundered or attacked."""

    name: str = Field("none", description="of the preset; it has no effect by itself")
    families: tuple[Literal["laundering", "adversarial"], ...] = Field((), description="which kinds; none: no suite")
    only: tuple[str, ...] | None = Field(
        None, min_length=1, description=f"by name; null: all of these kinds: {', '.join([*LAUNDERING, *ADVERSARIES])}"
    )
    strengths: dict[str, Annotated[tuple[float, ...], Field(min_length=1)]] | None = Field(
        None, description="other strengths of some perturbations, the mildest first; null: the usual ones"
    )
    surrogate: Path | None = Field(
        None, description="run folder or checkpoint whose gradients the adversary transfer has"
    )
    clips: int | None = Field(
        None,
        ge=2,
        description="at most so many clips, as many of each class as there are, chosen by their ids; null: all",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of noises, rooms, starts and all else that is drawn for a clip")

    def conditions(self) -> tuple[Condition, ...]:
        """All conditions that are asked for, clean clips first; none if no kind is.

        Raises:
            ConfigError: for a name that there is not or that is not asked for, or a strength that it cannot have.
        """
        table = self.table()
        if not table:
            for option in ("only", "strengths"):
                if getattr(self, option) is not None:
                    raise ConfigError(f"robustness.{option} chooses from a suite, and none is asked for; add "
                                      "robustness=laundering, adversarial or full")  # fmt: skip
            return ()
        for name in [*(self.only or ()), *(self.strengths or {})]:
            if name not in table:
                raise ConfigError(f"robustness: no perturbation {name!r} in {' and '.join(self.families)}; "
                                  f"{did_you_mean(name, table)}")  # fmt: skip
        if self.only is not None and (others := [name for name in self.strengths or {} if name not in self.only]):
            raise ConfigError(f"robustness.strengths.{others[0]}: {others[0]} is not among robustness.only="
                              f"[{','.join(self.only)}]; add it there")  # fmt: skip
        chosen = [each for name, each in table.items() if self.only is None or name in self.only]
        return (CLEAN, *(condition for each in chosen for condition in self._of(each)))

    def table(self) -> Mapping[str, Perturbation | Adversary]:
        """The perturbations of the kinds that are asked for."""
        kinds: dict[str, Mapping[str, Perturbation | Adversary]] = {
            "laundering": LAUNDERING,
            "adversarial": ADVERSARIES,
        }
        return {name: each for kind, table in kinds.items() if kind in self.families for name, each in table.items()}

    def _of(self, perturbation: Perturbation | Adversary) -> tuple[Condition, ...]:
        """A perturbation at the strengths that are asked for."""
        asked = (self.strengths or {}).get(perturbation.name)
        if asked is None:
            return perturbation.conditions
        for strength in asked:
            if wrong := perturbation.takes(strength):
                raise ConfigError(f"robustness.strengths.{perturbation.name}={strength:g}: {wrong}")
        found = tuple(perturbation.condition(strength) for strength in asked)
        keys = [condition.key for condition in found]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ConfigError(
                f"robustness.strengths.{perturbation.name}: two strengths would both be called {twice[0]}"
            )
        return found


def rows(table: Mapping[str, Perturbation | Adversary]) -> list[tuple[str, str, str, str]]:
    """What is in a table, for people: name, usual strengths, those that can be asked for, what it does."""
    found = []
    for name, each in table.items():
        usual = ", ".join(f"{strength:g}" for strength in each.strengths if strength is not None)
        seen = f"{each.box} box: " if isinstance(each, Adversary) else ""
        found.append((name, f"{usual} {each.unit}".strip(), each.range, f"{seen}{each.about}"))
    return found
