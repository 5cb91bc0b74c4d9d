"""`dfad score --manifest`: the clips of a manifest, each scored once by any number of processes on any hosts.

The clips are cut into parts, and a part is a file that whoever scores it locks, and that goes on growing after any end;
processes need not know of each other. Whoever finds all parts whole makes one table of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock

from dfad.clips import Manifest
from dfad.commands.guard import writing
from dfad.commands.score_file import growing
from dfad.commands.score_rows import row_of, shown
from dfad.errors import BusyError, ConfigError, DataError
from dfad.scores import ScoreTable
from dfad.scoring.options import ScoringKnobs

if TYPE_CHECKING:
    from dfad.scorer import Scorer

_LEAST, _MOST = 64, 1000  # clips of a part, unless there are fewer; parts
_TABLE, _REST = "scores.parquet", "not_scored.csv"
_TOLD = ("raw_score", "p_spoof", "verdict", "warnings")  # columns of the table beside those of the manifest


@dataclass(frozen=True)
class Bulk:
    """The scoring of a manifest into a folder.

    Args:
        manifest: the clips.
        folder: of parts and table.
        scored_by: what scores, and how.
    """

    manifest: Manifest
    folder: Path
    scored_by: str

    @property
    def table(self) -> Path:
        """The scores of all clips, once all are scored."""
        return self.folder / _TABLE

    @property
    def rest(self) -> Path:
        """The clips that could not be scored, and why."""
        return self.folder / _REST

    def open(self) -> None:
        """Make the folder, or see that it is of the same clips and the same detector.

        Raises:
            ConfigError: if it is of others, or cannot be written.
        """
        about = {"clips": len(self.manifest), "manifest": self.manifest.digest(), "scored_by": self.scored_by}
        path = self.folder / "about.json"
        with writing(path):
            (self.folder / "parts").mkdir(parents=True, exist_ok=True)
            with self._alone():
                if not path.is_file():
                    part = path.with_suffix(".part")
                    part.write_text(json.dumps(about, indent=1) + "\n")
                    part.replace(path)
        before = json.loads(path.read_text())
        for name, what in (("manifest", "another manifest"), ("scored_by", "another run or other options")):
            if before.get(name) != about[name]:
                raise ConfigError(f"{self.folder} holds scores of {what}; give another folder as --out, or remove it")

    def score(
        self, scorer: Scorer, options: ScoringKnobs, threads: int | None, watch: Callable[[int, int], None]
    ) -> int:
        """Score what nobody has scored or is scoring now, and give how many clips others are at.

        Args:
            scorer: the detector.
            options: how it scores.
            threads: that decode.
            watch: told of clips that are done, and of all.
        """
        parts = dict(enumerate(np.array_split(np.arange(len(self.manifest)), self._parts)))
        left = -1
        while left != (left := sum(map(len, parts.values()))):  # again, as another process may have been killed
            for number, rows in list(parts.items()):
                done = len(self.manifest) - sum(map(len, parts.values()))
                with suppress(BusyError):
                    for scored in self._part(number, rows, scorer, options, threads):
                        watch(done + scored, len(self.manifest))
                    del parts[number]
                    watch(done + len(rows), len(self.manifest))
        return left

    @property
    def _parts(self) -> int:
        return max(1, min(_MOST, len(self.manifest) // _LEAST))

    def _part(
        self, number: int, rows: np.ndarray, scorer: Scorer, options: ScoringKnobs, threads: int | None
    ) -> Iterator[int]:
        """Score what is missing of a part, and tell how much of it there is.

        Raises:
            BusyError: if another process is at it.
        """
        whole = self._whole(number)
        if whole.is_file():
            return
        part = whole.with_suffix(".part.jsonl")
        with growing(part, self.scored_by) as sink:
            if whole.is_file():  # meanwhile
                part.unlink(missing_ok=True)  # or it is whole now
                return
            left = [row for row in rows.tolist() if shown(self.manifest.ids[row]) not in sink.done]
            found = scorer.each((self.manifest.path(row) for row in left), options, threads=threads)
            for count, (row, (path, result)) in enumerate(zip(left, found, strict=True), 1):
                sink({**row_of(path, result, self.scored_by), "path": shown(self.manifest.ids[row])})
                yield len(rows) - len(left) + count
            os.fsync(sink.descriptor)
            part.replace(whole)

    def _whole(self, number: int) -> Path:
        return self.folder / "parts" / f"{number:04}.jsonl"

    def merge(self) -> tuple[int, int]:
        """Make one table of all parts, unless that was done; give how many clips have a score, and how many none.

        Raises:
            DataError: if a clip is missing, or there twice.
        """
        with self._alone():
            if not self.table.is_file():
                self._merge()
        rest = len(pd.read_csv(self.rest)) if self.rest.is_file() else 0
        return len(self.manifest) - rest, rest

    def _merge(self) -> None:
        rows = pd.concat([_rows(self._whole(number)) for number in range(self._parts)], ignore_index=True)
        if rows["path"].tolist() != [shown(clip) for clip in self.manifest.ids]:
            raise DataError(f"{self.folder}/parts do not hold every clip once; remove the folder and score anew")
        scored = rows["error"].isna()
        if not scored.all():
            rows.loc[~scored, ["path", "error"]].to_csv(self.rest, index=False)
        frame = self.manifest.frame[scored.to_numpy()]
        told = {name: rows.loc[scored, name].to_numpy() for name in ("score", *_TOLD)}
        part = self.table.with_suffix(".part.parquet")
        ScoreTable(frame.assign(**told)).write(part)
        part.replace(self.table)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with FileLock(self.folder / ".lock"):
            yield


def _rows(path: Path) -> pd.DataFrame:
    """What a part holds that the table needs."""
    names = ("path", "error", "score", *_TOLD)
    with path.open(encoding="utf-8") as file:
        found: list[dict[str, Any]] = [json.loads(line) for line in file]
    rows = pd.DataFrame([{name: row[name] for name in names} for row in found], columns=list(names))
    return rows.assign(warnings=rows["warnings"].map("; ".join))
