"""ASVspoof 2021, logical access and deepfakes: evaluation clips only, in three phases that must be kept apart.

Liu et al., "ASVspoof 2021: Towards Spoofed and Deepfake Speech Detection in the Wild", IEEE/ACM TASLP 31, 2023. Phases
are `eval`, on which results are published; `progress`, which participants were scored on before; and `hidden`, clips
without their silence (`trim`). One is read at a time, and is the split test; column `phase` says which. The last four
columns of DF, `task`, `team`, `gender_pair` and `language`, are known for clips of the Voice Conversion Challenge 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pandas as pd
from pydantic import Field

from dfad.corpora.asvspoof import PATH, AsvspoofKnobs, Layout
from dfad.corpora.rows import first_line
from dfad.errors import DataError
from dfad.knobs import Free
from dfad.wrong_rows import WrongRows

PHASES = {"eval": "eval", "progress": "progress", "hidden": "hidden", "hidden_track": "hidden"}
FIRST = ("speaker", "utterance", "codec")
LAST = ("attack", "label", "trim", "phase")


class Asvspoof2021Knobs(AsvspoofKnobs):
    """Options of a task of ASVspoof 2021."""

    utterances: ClassVar[str]  # what a line of this task's keys has in it
    phase: Literal["eval", "progress", "hidden"] = Field("eval", description="which evaluation clips are meant")

    @property
    def published(self) -> dict[str, tuple[int, int]]:
        """Nothing: what is known of all phases together is told by a note where it differs."""
        return {}

    def choose(self, rows: pd.DataFrame, source: Path) -> pd.DataFrame:
        """The rows of the phase."""
        phases = rows["phase"].map({word: PHASES.get(word) for word in rows["phase"].unique()})
        errors = WrongRows(rows.index)
        errors.add(phases.isna(), lambda row: f"unknown phase {rows['phase'].iloc[row]!r}; one of {', '.join(PHASES)}")
        errors.raise_from(str(source))
        if not (chosen := rows[phases == self.phase]).empty:
            return chosen
        there = ", ".join(f"data.phase={phase}" for phase in phases.unique())
        raise DataError(f"{source} has no clips of data.phase={self.phase}; it has some of {there}")

    def lacking(self, gaps: list[str]) -> str:
        """Say what to train on instead."""
        return (
            f"{self.name} has evaluation clips only: train on data=asvspoof2019_la, "
            f"then: python eval.py run=runs/… data={self.name}"
        )

    def split_of(self, file: Path) -> str | None:
        """The split test for this task's keys; other tasks', and those of speakers, have the same name."""
        return "test" if file.parent.name == "CM" and self.utterances in first_line(file) else None


class Asvspoof2021LaKnobs(Asvspoof2021Knobs):
    """Options of ASVspoof 2021 LA: the attacks of 2019 through telephone codecs and real transmissions."""

    utterances: ClassVar[str] = "LA_E_"
    home: ClassVar[str] = "https://zenodo.org/records/4837263, keys: https://www.asvspoof.org/index2021.html"
    layout: ClassVar[Layout] = Layout(
        columns=(*FIRST, "transmission", *LAST),
        protocols={"test": "LA/CM/trial_metadata.txt"},
        published={"test": (18_452, 163_114)},
        audio="ASVspoof2021_LA_eval/flac",
        folders=frozenset({"flac"}),
        inside=r"ASVspoof2021_LA(_eval)?",
    )
    name: Literal["asvspoof2021_la"] = "asvspoof2021_la"
    path: Annotated[Path, Free] = Field(Path("data/asvspoof2021_la"), description=PATH)


class Asvspoof2021DfKnobs(Asvspoof2021Knobs):
    """Options of ASVspoof 2021 DF: over a hundred attacks through the codecs of media files."""

    utterances: ClassVar[str] = "DF_E_"
    home: ClassVar[str] = "https://zenodo.org/records/4835108, keys: https://www.asvspoof.org/index2021.html"
    layout: ClassVar[Layout] = Layout(
        columns=(*FIRST, "source", *LAST, "vocoder", "task", "team", "gender_pair", "language"),
        protocols={"test": "DF/CM/trial_metadata.txt"},
        published={"test": (22_617, 589_212)},
        audio="ASVspoof2021_DF_eval/flac",
        folders=frozenset({"flac"}),
        inside=r"ASVspoof2021_DF(_eval\w*)?",
    )
    name: Literal["asvspoof2021_df"] = "asvspoof2021_df"
    path: Annotated[Path, Free] = Field(Path("data/asvspoof2021_df"), description=PATH)
