"""ASVspoof 2019, logical access: VCTK speakers against 19 systems of speech synthesis and voice conversion.

Wang et al., "ASVspoof 2019: A large-scale public database of synthesized, converted and replayed speech", Computer
Speech & Language 64, 2020. Attacks A01 to A06 are in training and development, A07 to A19 in evaluation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dfad.corpora.asvspoof import PATH, AsvspoofKnobs, Layout
from dfad.corpora.protocol import RESERVED
from dfad.knobs import Free


class Asvspoof2019LaKnobs(AsvspoofKnobs):
    """Options of ASVspoof 2019 LA."""

    home: ClassVar[str] = "https://datashare.ed.ac.uk/handle/10283/3336"
    layout: ClassVar[Layout] = Layout(
        columns=("speaker", "utterance", RESERVED, "attack", "label"),
        protocols={
            "train": "ASVspoof2019.LA.cm.train.trn.txt",
            "val": "ASVspoof2019.LA.cm.dev.trl.txt",
            "test": "ASVspoof2019.LA.cm.eval.trl.txt",
        },
        published={"train": (2_580, 22_800), "val": (2_548, 22_296), "test": (7_355, 63_882)},
        audio="ASVspoof2019_LA_{train,dev,eval}/flac",
        folders=frozenset({"flac"}),
        inside=r"ASVspoof2019_LA(_\w+)?",
        enrolled=r"ASVspoof2019\.LA\.asv\.\w+\.\w+\.trn\.txt",
    )
    name: Literal["asvspoof2019_la"] = "asvspoof2019_la"
    path: Annotated[Path, Free] = Field(Path("data/asvspoof2019_la"), description=PATH)
