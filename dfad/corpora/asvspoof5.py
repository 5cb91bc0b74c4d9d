"""ASVspoof 5, track 1: crowd-sourced speakers of Multilingual LibriSpeech against 32 attacks, some of them adversarial.

Wang et al., "ASVspoof 5: crowdsourced speech data, deepfakes, and adversarial attacks at scale", ASVspoof workshop
2024. Columns, as its README names them: `codec` and its quality `codec_q` (evaluation has 0 where the others have
nothing), `codec_seed` is the utterance that was coded, `attack` is ATTACK_LABEL and `attack_tag` the condition under
which the attacker adapted. The protocols are called .tsv, but spaces separate their columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dfad.corpora.asvspoof import PATH, AsvspoofKnobs, Layout
from dfad.corpora.protocol import RESERVED
from dfad.knobs import Free


class Asvspoof5Knobs(AsvspoofKnobs):
    """Options of ASVspoof 5."""

    home: ClassVar[str] = "https://zenodo.org/records/14498691"
    layout: ClassVar[Layout] = Layout(
        columns=(
            *("speaker", "utterance", "gender", "codec", "codec_q", "codec_seed"),
            *("attack_tag", "attack", "label", RESERVED),
        ),
        protocols={
            "train": "ASVspoof5.train.tsv",
            "val": "ASVspoof5.dev.track_1.tsv",
            "test": "ASVspoof5.eval.track_1.tsv",
        },
        published={"train": (18_797, 163_560), "val": (31_334, 109_616), "test": (138_688, 542_086)},
        audio="flac_T, flac_D, flac_E_eval",
        folders=frozenset({"flac_T", "flac_D", "flac_E_eval"}),
        enrolled=r"ASVspoof5\.\w+\.(track_2\.)?enroll\.\w+",
    )
    name: Literal["asvspoof5"] = "asvspoof5"
    path: Annotated[Path, Free] = Field(Path("data/asvspoof5"), description=PATH)
