"""A corpus of one's own in folders: `<split>/<label>/…` or `<label>/…`; the folder names say it all.

A folder directly below a spoof label names the attack: `test/spoof/WaveNet/a.wav`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from dfad.audio import SUFFIXES
from dfad.clips import Manifest
from dfad.corpora.base import CorpusKnobs, Progress
from dfad.corpora.listing import files_below
from dfad.errors import DataError
from dfad.knobs import Free
from dfad.labels import LABEL_WORDS, SPLIT_WORDS
from dfad.packs.format import LIST


class FolderKnobs(CorpusKnobs):
    """Options of a folder corpus."""

    name: Literal["folder"] = "folder"
    path: Annotated[Path, Free] = Field(description="root folder: <split>/<label>/… or <label>/…")

    def read_clips(self, progress: Progress | None = None) -> Manifest:
        """List the audio files below the root; every one must lie in a folder named as a label."""
        if self.path.is_file():
            raise DataError(f"{self.path} is a file; use data=manifest, or give a folder")
        if not self.path.is_dir():
            raise DataError(f"no folder at {self.path}; give one as data.path=…")
        if (self.path / LIST).is_file():
            raise DataError(f"{self.path} is a pack; use data=packed data.path={self.path}")
        frame = read_folders(self.path)
        if (frame["split"] == "").all():
            del frame["split"]
        return Manifest.check(frame, self.path, source=str(self.path))


def read_folders(root: Path) -> pd.DataFrame:
    """List the audio files below a folder with what the folders say of them.

    Returns:
        A row per file: `path` relative to the root, `label` and `split` (the words of the folders; "" where there are
        no split folders at all), `attack` (the folder below the label).

    Raises:
        DataError: if there are none, or some lie in no folder named as a label, or only some in split folders.
    """
    names = files_below(root)
    if not names:
        raise DataError(f"no audio below {root}; known suffixes: {', '.join(sorted(SUFFIXES))}")
    rows, strange = [], []
    for name in names:
        parts = Path(name).parts[:-1]
        split = SPLIT_WORDS.get(parts[0].lower(), "") if parts else ""
        label, *below = (parts[1:] if split else parts) or ("",)
        if label.lower() in LABEL_WORDS:
            rows.append({"path": name, "label": label, "split": split, "attack": below[0] if below else ""})
        else:
            strange.append(name)
    if strange:
        raise DataError(
            f"{len(strange)} of {len(names)} audio files below {root} lie in no folder named as a label, "
            f"the first: {strange[0]}\nexpected <split>/<label>/… or <label>/…, the label one of: "
            + ", ".join(sorted(LABEL_WORDS))
        )
    frame = pd.DataFrame(rows)
    without = frame["split"] == ""
    if without.any() and not without.all():
        raise DataError(
            f"{without.sum()} of {len(frame)} files below {root} lie in no split folder while others do, "
            f"the first: {frame['path'][without].iloc[0]}"
        )
    return frame
