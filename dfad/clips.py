"""What a corpus is made of: clips, and the manifest that lists them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfad.columns import joined, numbers, repeated
from dfad.dealing import BY_SPEAKER_OR_NAME, Dealing, deal
from dfad.errors import DataError
from dfad.labels import CLASS_NAMES, Label, parse_labels, parse_splits
from dfad.places import Place
from dfad.roots import Root, placed, plain, seen_from
from dfad.table_files import read_any_csv, read_table
from dfad.wrong_rows import WrongRows

COLUMNS = ("id", "label", "split", "attack", "speaker", "duration_s")  # every manifest has them, in this order


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled utterance; `id` is its path relative to the corpus root, with forward slashes."""

    id: str
    path: Place
    label: Label
    split: str
    attack: str = ""  # the spoofing system; bona fide has none
    speaker: str = ""
    duration_s: float = float("nan")
    extra: Mapping[str, Any] = field(default_factory=dict)


class Manifest:
    """An ordered table of clips below one root folder, or those of the parts of a mix.

    `frame` holds a row per clip: `id`, `label` (int8), `split` (`train`, `val`, `test`), `attack`, `speaker` ("" where
    unknown), `duration_s` (NaN where unknown), and any further columns as they came. Strings lie in Arrow memory, so
    that loader processes share it instead of copying it.

    Args:
        frame: the table.
        root: what the ids are relative to.
        notes: what every result on these clips has to say.
        dealing: how the splits came about if they are not the corpus' own, but dealt just now.
        hint: what to type where a split lacks a class.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        root: Root,
        notes: tuple[str, ...] = (),
        *,
        dealing: Dealing | None = None,
        hint: str = "",
    ) -> None:
        self.frame = frame.reset_index(drop=True)
        self.root = root
        self.dealing = dealing
        self.hint = hint
        self._notes = notes

    @property
    def notes(self) -> tuple[str, ...]:
        """What every result on these clips has to say, how the splits were dealt included."""
        return (*([self.dealing.note] if self.dealing else []), *self._notes)

    def noted(self, *notes: str) -> Manifest:
        """The same clips with more notes."""
        return self._with(notes=(*self._notes, *notes))

    def dealt(self, dealing: Dealing | None) -> Manifest:
        """The same clips, and how their splits were dealt; None: they are not, or nobody shall speak of them."""
        return self._with(dealing=dealing)

    def hinted(self, hint: str) -> Manifest:
        """The same clips, and what to type where a split lacks a class."""
        return self._with(hint=hint)

    def at(self, root: Root) -> Manifest:
        """The same clips at another place."""
        return self._with(root=root)

    def having(self, frame: pd.DataFrame) -> Manifest:
        """The same corpus with another table: some of its clips, or more columns."""
        return self._with(frame=frame)

    def _with(self, **changes: Any) -> Manifest:
        parts: dict[str, Any] = {"frame": self.frame, "root": self.root, "notes": self._notes}
        return Manifest(**{**parts, "dealing": self.dealing, "hint": self.hint, **changes})

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, row: int) -> Clip:
        """Give the clip of one row (slow; hot paths read `ids` and `labels`)."""
        values: dict[Hashable, Any] = self.frame.iloc[row].to_dict()
        known = {name: values.pop(name) for name in COLUMNS}
        known["label"] = Label(known["label"])
        return Clip(**known, path=self.path(row), extra={str(k): v for k, v in values.items()})

    @cached_property
    def ids(self) -> Any:
        """The ids, as an Arrow-backed array."""
        return self.frame["id"].array

    @cached_property
    def labels(self) -> np.ndarray:
        """The labels. Shape: (clips,) int8."""
        return self.frame["label"].to_numpy(np.int8)

    def path(self, row: int) -> Place:
        """Where the audio of one row lies."""
        return self.root / self.ids[row]

    def rows(self, split: str) -> np.ndarray:
        """The row numbers of a split, in manifest order. Shape: (clips of the split,) int64."""
        return np.flatnonzero((self.frame["split"] == split).to_numpy())

    def only(self, rows: np.ndarray) -> Manifest:
        """The clips of some rows."""
        return self._with(frame=self.frame.iloc[rows])

    def without(self, ids: Iterable[str]) -> Manifest:
        """The manifest less the named clips."""
        if not (ids := list(ids)):
            return self
        return self._with(frame=self.frame[~self.frame["id"].isin(ids)])

    def require_both_classes(self, splits: Iterable[str]) -> None:
        """Refuse a split that is empty or has one class only.

        Raises:
            DataError: naming every such split.
        """
        lines = []
        for split in splits:
            counts = np.bincount(self.labels[self.rows(split)], minlength=2)
            if not counts.all():
                lines.append(
                    f"split {split!r} has {counts[Label.BONA_FIDE]} bona-fide and {counts[Label.SPOOF]} spoof clips"
                )
        if lines:
            own = self.hint or "name no splits at all and the clips are dealt at random"
            hint = self.dealing.hint if self.dealing else own
            raise DataError("\n".join(lines) + f"\nevery split needs both classes; {hint}")

    def digest(self) -> str:
        """A hash of everything in the table but the root: the same table, the same digest."""
        sha = hashlib.sha256()
        for name in sorted(self.frame.columns):
            sha.update(f"\x1e{name}\x1e".encode())
            for text in joined(self.frame[name], "\x1f"):
                sha.update(text)
        return sha.hexdigest()

    def write(self, path: Path) -> None:
        """Write as CSV or Parquet, by the suffix; `Manifest.read` gives the same table back.

        Parquet holds the notes and the hint too, how splits were dealt, and where the root is: relative to the file if
        it lies below its folder.
        """
        out = self.frame.rename(columns={"id": "path"})
        root = plain(seen_from(self.root, path.parent))
        stored: dict[str, Any] = {"notes": list(self._notes), "hint": self.hint, "root": root}
        if self.dealing:
            stored["dealing"] = asdict(self.dealing)
        out.attrs = {"dfad": stored}
        out["label"] = [CLASS_NAMES[label] for label in self.labels]
        out.to_parquet(path, index=False) if path.suffix == ".parquet" else out.to_csv(path, index=False)

    @classmethod
    def read(cls, path: Path, *, root: Root | None = None) -> Manifest:
        """Read a CSV or Parquet file with the columns `path` and `label`, and any others.

        Args:
            path: the file.
            root: what the paths in it are relative to; by default what the file says, else its own folder.

        Raises:
            DataError: naming up to 20 wrong rows at once.
        """
        if not path.is_file():
            raise DataError(f"no manifest at {path}; give a CSV or Parquet file as data.path=…")

        def checked(reader: Callable[[Path], pd.DataFrame]) -> Manifest:
            try:
                frame = reader(path)
                stored, frame.attrs = frame.attrs.get("dfad", {}), {}
                place = root or placed(stored.get("root", ""), path.parent)
                notes, hint = map(str, stored.get("notes", ())), str(stored.get("hint", ""))
                dealing = Dealing(**stored["dealing"]) if "dealing" in stored else None
            except (ValueError, OSError, pd.errors.ParserWarning) as error:
                raise DataError(f"{path} is no readable CSV or Parquet table: {error}") from None
            except (TypeError, AttributeError, RecursionError) as error:  # a Parquet file may say anything
                raise DataError(f"{path}: what it says of itself is damaged: {error}; write or copy it anew") from None
            found = cls.check(frame, place, source=str(path)).noted(*notes).hinted(hint)
            return found.dealt(dealing) if dealing else found

        try:
            return checked(read_table)
        except DataError:
            if path.suffix == ".parquet":
                raise
            return checked(read_any_csv)  # which knows the lines of what is wrong

    @classmethod
    def check(cls, frame: pd.DataFrame, root: Root, *, source: str) -> Manifest:
        """Make a manifest of a raw table: words read, columns named, every wrong row told.

        `system` is read as `attack`. Without a column `split` the clips are dealt by speaker, or by id where there is
        none. Rows are numbered by the index of `frame`, plus 2: as the lines of a CSV file with a header.

        Raises:
            DataError: naming up to 20 wrong rows at once.
        """
        if "path" in frame and "id" in frame:
            raise DataError(f"{source}: columns path and id; the path is the id, so rename the column id")
        columns = ", ".join(map(str, frame.columns))
        frame = frame.rename(columns={"path": "id"} | ({"system": "attack"} if "attack" not in frame else {}))
        if missing := [name for name in ("id", "label") if name not in frame]:
            wanted = ", ".join("path" if name == "id" else name for name in missing)
            hint = "; separate them by commas, not semicolons" if ";" in columns else ""
            raise DataError(f"{source}: no column {wanted}; the columns are: {columns}{hint}")
        if "score" in frame:
            raise DataError(f"{source}: a manifest cannot have a column 'score'; rename it")
        if frame.empty:
            raise DataError(f"{source}: no clips in it")
        for name in ("attack", "speaker"):
            frame[name] = frame[name].astype(str).fillna("") if name in frame else ""
        frame["id"] = frame["id"].astype(str).fillna("")
        if frame["id"].str.contains("\\", regex=False).any():
            frame["id"] = frame["id"].str.replace("\\", "/")
        dealing = None
        if "split" not in frame:
            frame["split"] = deal(frame["speaker"].where(frame["speaker"] != "", frame["id"]))
            dealing = BY_SPEAKER_OR_NAME
        errors = WrongRows(frame.index)
        errors.add(frame["id"] == "", lambda row: "empty path")
        errors.add(
            repeated(frame["id"]) & (frame["id"] != ""), lambda row: f"path {frame['id'].iloc[row]!r} stands twice"
        )
        labels = parse_labels(frame["label"], errors)
        splits = parse_splits(frame["split"], errors)
        seconds = parse_seconds(frame["duration_s"], errors) if "duration_s" in frame else np.nan
        errors.raise_from(source)
        frame["label"], frame["split"], frame["duration_s"] = labels.astype(np.int8), splits, seconds
        frame["attack"] = frame["attack"].where(frame["label"] == Label.SPOOF, "")
        extra = [name for name in frame.columns if name not in COLUMNS]
        return cls(frame[[*COLUMNS, *extra]], root, dealing=dealing)


def parse_seconds(cells: pd.Series, errors: WrongRows) -> np.ndarray:
    """Read a column of durations.

    Shape:
        cells -> (clips,) float64, NaN where there is none; `errors` are told of what is no number above 0
    """
    seconds = numbers(cells)
    wrong = (seconds <= 0) | np.isinf(seconds)
    odd = cells[np.isnan(seconds) & cells.notna()]
    wrong[cells.index.get_indexer(odd[odd.astype(str) != ""].index)] = True
    errors.add(wrong, lambda row: f"duration_s {cells.iloc[row : row + 1].tolist()[0]!r} is no number above 0")
    return seconds
