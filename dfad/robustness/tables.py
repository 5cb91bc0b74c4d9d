"""The score tables of a suite: one file per condition, there whole or not at all, so that a killed suite goes on.

    evals/<data>-<hash8>/robustness/suite.json           how each of them was made
    evals/<data>-<hash8>/robustness/clean.csv            the clips as they are
    evals/<data>-<hash8>/robustness/noise-white@10.csv   a condition, by its key

Beside the columns of every score table stand `snr_db`, of the clip to what was changed of it (inf: nothing), and what
an adversary tells of its work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dfad.errors import DataError
from dfad.robustness.conditions import Condition
from dfad.scores import ScoreTable

FOLDER, ABOUT = "robustness", "suite.json"
SNR = "snr_db"


@dataclass(frozen=True)
class Tables:
    """The stored tables of a suite.

    Attributes:
        folder: that holds them.
    """

    folder: Path

    def path(self, condition: Condition) -> Path:
        """The file of a condition."""
        return self.folder / f"{condition.key}.csv"

    def begin(self, wanted: Mapping[Condition, Mapping[str, Any]]) -> list[str]:
        """Make the folder for a suite; those of its tables go that were made in another way.

        Args:
            wanted: how the table of each condition is made, as plain data.

        Returns:
            Keys of the conditions whose tables went.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        stored = self.made
        gone = []
        for condition, about in wanted.items():
            if stored.get(condition.key) != about and self.path(condition).is_file():
                self.path(condition).unlink()
                gone.append(condition.key)
        _write(
            self.folder / ABOUT,
            json.dumps(stored | {condition.key: about for condition, about in wanted.items()}, indent=1) + "\n",
        )
        return gone

    @property
    def made(self) -> dict[str, Any]:
        """How each table was made, by the key of its condition; empty where that file is missing or damaged."""
        try:
            return dict(json.loads((self.folder / ABOUT).read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    @property
    def seeds(self) -> dict[str, int]:
        """By what each table's draws were made, by the key of its condition."""
        return {key: about["seed"] for key, about in self.made.items()}

    def lacking(self, conditions: Iterable[Condition]) -> tuple[Condition, ...]:
        """Those of the conditions that have no table."""
        return tuple(condition for condition in conditions if not self.path(condition).is_file())

    def write(self, condition: Condition, table: ScoreTable) -> None:
        """Store the table of a condition."""
        path = self.path(condition)
        part = path.with_name(path.name + ".part")
        table.write(part)
        part.replace(path)

    def read(self, conditions: Iterable[Condition]) -> dict[Condition, ScoreTable]:
        """Read those tables that there are.

        Raises:
            DataError: for a damaged one.
        """
        return {condition: read(path) for condition in conditions if (path := self.path(condition)).is_file()}


def read(path: Path) -> ScoreTable:
    """Read the table of a condition, with numbers in the columns that are added to it.

    Raises:
        DataError: for a file that is missing or damaged.
    """
    table = ScoreTable.read(path)
    try:
        table.frame[SNR] = pd.to_numeric(table.frame[SNR])
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: no numbers in the column {SNR}: {error}; delete the file to score it again") from None
    return table


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)
