"""By what names a corpus is known on disk, to say what lies where another was looked for."""

from __future__ import annotations

import re
from pathlib import Path

from dfad.corpora.listing import look

DEPTH = 3
SIGNS = {
    "asvspoof2019_la": r"ASVspoof2019_LA_\w+",
    "ASVspoof 2019 PA (which dfad does not read)": r"ASVspoof2019_PA_\w+",
    "asvspoof2021_la": r"ASVspoof2021_LA_eval",
    "asvspoof2021_df": r"ASVspoof2021_DF_eval\w*",
    "ASVspoof 2021 PA (which dfad does not read)": r"ASVspoof2021_PA_eval\w*",
    "asvspoof5": r"ASVspoof5_\w+|flac_(T|D|E_eval)",
    "in_the_wild": r"release_in_the_wild",
    "wavefake": r"generated_audio|(ljspeech|jsut)_\w*(gan|GAN|glow)\w*",
    "mlaad": r"MLAAD\w*",
    "for_original": r"for-original",
    "for_norm": r"for-norm",
    "for_2sec": r"for-2sec(onds)?",
    "for_rerec": r"for-rerec(orded)?",
}
_ANY = re.compile("|".join(f"(?:{sign})" for sign in SIGNS.values()))


def recognised(path: Path, but: str) -> str:
    """Say which corpora lie below a path, another than the one that was looked for; nothing if none is known."""
    folders, _ = look(path, DEPTH, closed=lambda name: bool(_ANY.fullmatch(name)), wanted=lambda name: False)
    names = {folder.absolute().name for folder in folders}
    there = [corpus for corpus, sign in SIGNS.items() if any(re.fullmatch(sign, name) for name in names)]
    others = [corpus for corpus in there if corpus != but]
    return f"; what lies there is {' and '.join(others)}" if others else ""
