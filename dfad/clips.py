"""What a corpus is made of: labels, clips, and the manifest that lists them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfad.errors import DataError, did_you_mean
from dfad.wrong_rows import WrongRows

SPLITS = ("train", "val", "test")
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
COLUMNS = ("id", "label", "split", "attack", "speaker", "duration_s")  # every manifest has them, in this order


class Label(IntEnum):
    """Bona fide is 1 and spoof 0 wherever a label is a number."""

    SPOOF = 0
    BONA_FIDE = 1

    @classmethod
    def parse(cls, word: str) -> Label:
        """Read a label word of any of the field's corpora.

        Raises:
            DataError: for a word that is not known; none is ever guessed.

        >>> Label.parse("Genuine"), Label.parse("fake")
        (<Label.BONA_FIDE: 1>, <Label.SPOOF: 0>)
        """
        try:
            return LABEL_WORDS[word.strip().lower()]
        except KeyError:
            raise DataError(f"unknown label {word!r}; {did_you_mean(word.lower(), LABEL_WORDS)}") from None

    def __str__(self) -> str:
        return CLASS_NAMES[self]


CLASS_NAMES = ("spoof", "bona-fide")  # indexed by the label
LABEL_WORDS = {
    **dict.fromkeys(("bona-fide", "bonafide", "bona_fide", "real", "genuine", "human", "original"), Label.BONA_FIDE),
    **dict.fromkeys(("spoof", "spoofed", "fake", "synthetic", "deepfake"), Label.SPOOF),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled utterance; `id` is its path relative to the corpus root, with forward slashes."""

    id: str
    path: Path
    label: Label
    split: str
    attack: str = ""  # the spoofing system; bona fide has none
    speaker: str = ""
    duration_s: float = float("nan")
    extra: Mapping[str, Any] = field(default_factory=dict)


class Manifest:
    """An ordered table of clips below one root folder.

    `frame` holds a row per clip: `id`, `label` (int8), `split` (`train`, `val`, `test`), `attack`, `speaker` ("" where
    unknown), `duration_s` (NaN where unknown), and any further columns as they came. Strings lie in Arrow memory, so
    that loader processes share it instead of copying it. `notes` are what every result on these clips has to say.
    """

    def __init__(self, frame: pd.DataFrame, root: Path, notes: tuple[str, ...] = ()) -> None:
        self.frame = frame.reset_index(drop=True)
        self.root = root
        self.notes = notes

    def noted(self, note: str) -> Manifest:
        """The same clips with one more note."""
        return Manifest(self.frame, self.root, (*self.notes, note))

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

    def path(self, row: int) -> Path:
        """Where the audio of one row lies."""
        return self.root / self.ids[row]

    def rows(self, split: str) -> np.ndarray:
        """The row numbers of a split, in manifest order. Shape: (clips of the split,) int64."""
        return np.flatnonzero((self.frame["split"] == split).to_numpy())

    def only(self, rows: np.ndarray) -> Manifest:
        """The clips of some rows."""
        return Manifest(self.frame.iloc[rows], self.root, self.notes)

    def without(self, ids: Iterable[str]) -> Manifest:
        """The manifest less the named clips."""
        return Manifest(self.frame[~self.frame["id"].isin(list(ids))], self.root, self.notes)

    def assign(self, columns: Mapping[str, Any]) -> Manifest:
        """The same clips with some columns added, or replaced."""
        return Manifest(self.frame.assign(**columns), self.root, self.notes)

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
            hint = (
                "name no splits at all and the clips are dealt at random"
                if not self.notes
                else "clips are dealt by speaker, or by name: more of these are needed, or a column split"
            )
            raise DataError("\n".join(lines) + f"\nevery split needs both classes; {hint}")

    def digest(self) -> str:
        """A hash of everything in the table but the root: the same table, the same digest."""
        sha = hashlib.sha256()
        for name in sorted(self.frame.columns):
            sha.update(f"\x1e{name}\x1e".encode())
            sha.update("\x1f".join(self.frame[name].astype(str).fillna("")).encode())
        return sha.hexdigest()

    def write(self, path: Path) -> None:
        """Write as CSV or Parquet, by the suffix; `Manifest.read` gives the same table back.

        Parquet holds the notes too, and where the root is: relative to the file if it lies below its folder.
        """
        out = self.frame.rename(columns={"id": "path"})
        root, own = self.root.resolve(), path.parent.resolve()
        place = root.relative_to(own) if root.is_relative_to(own) else root
        out.attrs = {"notes": list(self.notes), "root": place.as_posix()}
        out["label"] = [CLASS_NAMES[label] for label in self.labels]
        out.to_parquet(path, index=False) if path.suffix == ".parquet" else out.to_csv(path, index=False)

    @classmethod
    def read(cls, path: Path, *, root: Path | None = None) -> Manifest:
        """Read a CSV or Parquet file with the columns `path` and `label`, and any others.

        Args:
            path: the file.
            root: what the paths in it are relative to; by default what the file says, else its own folder.

        Raises:
            DataError: naming up to 20 wrong rows at once.
        """
        if not path.is_file():
            raise DataError(f"no manifest at {path}; give a CSV or Parquet file as data.path=…")
        try:
            frame = _read_table(path)
        except (ValueError, OSError, pd.errors.ParserWarning) as error:
            raise DataError(f"{path} is no readable CSV or Parquet table: {error}") from None
        stored, frame.attrs = frame.attrs, {}
        manifest = cls.check(frame, root or path.parent / stored.get("root", ""), source=str(path))
        return cls(manifest.frame, manifest.root, (*manifest.notes, *stored.get("notes", ())))

    @classmethod
    def check(cls, frame: pd.DataFrame, root: Path, *, source: str) -> Manifest:
        """Make a manifest of a raw table: words read, columns named, every wrong row told.

        `system` is read as `attack`. Without a column `split` the clips are dealt by `split_by_group`, and the notes
        say so. Rows are numbered by the index of `frame`, plus 2: as the lines of a CSV file with a header.

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
        frame["id"] = frame["id"].astype(str).fillna("").str.replace("\\", "/")
        notes: tuple[str, ...] = ()
        if "split" not in frame:
            frame["split"] = split_by_group(frame)
            notes = (SPLIT_NOTE,)
        errors = WrongRows(frame.index)
        errors.add(frame["id"] == "", lambda row: "empty path")
        errors.add(
            frame["id"].duplicated() & (frame["id"] != ""), lambda row: f"path {frame['id'].iloc[row]!r} stands twice"
        )
        labels = parse_labels(frame["label"], errors)
        splits = parse_splits(frame["split"], errors)
        raw = frame["duration_s"] if "duration_s" in frame else pd.Series(np.nan, index=frame.index)
        seconds = pd.to_numeric(raw.replace("", np.nan), errors="coerce")
        wrong = (seconds.isna() & raw.notna() & (raw.astype(str) != "")) | (seconds <= 0) | np.isinf(seconds)
        errors.add(wrong, lambda row: f"duration_s {raw.iloc[row]!r} is no number above 0")
        errors.raise_from(source)
        frame["label"], frame["split"], frame["duration_s"] = labels.astype(np.int8), splits, seconds.astype(float)
        frame["attack"] = frame["attack"].where(frame["label"] == Label.SPOOF, "")
        extra = [name for name in frame.columns if name not in COLUMNS]
        return cls(frame[[*COLUMNS, *extra]], root, notes)


def parse_labels(words: pd.Series, errors: WrongRows) -> pd.Series:
    """Read a column as `Label.parse` reads one word.

    Shape:
        words -> (clips,) of 1 and 0; NaN where a word is not known, which `errors` are told
    """
    words = words.astype(str).fillna("")
    labels = words.map({word: LABEL_WORDS.get(word.strip().lower()) for word in words.unique()})
    errors.add(
        labels.isna(),
        lambda row: f"unknown label {words.iloc[row]!r}; {did_you_mean(words.iloc[row].strip().lower(), LABEL_WORDS)}",
    )
    return labels


def parse_splits(words: pd.Series, errors: WrongRows) -> pd.Series:
    """Read a column of split names, such as `dev` for `val`.

    Shape:
        words -> (clips,) of "train", "val", "test"; NaN where a word is not known, which `errors` are told
    """
    splits = words.astype(str).str.strip().str.lower().map(SPLIT_WORDS)
    errors.add(splits.isna(), lambda row: f"unknown split {words.iloc[row]!r}; choose from: train, val, test")
    return splits


def split_by_group(frame: pd.DataFrame) -> np.ndarray:
    """Deal clips to 80 % train, 10 % val and 10 % test by a hash of the speaker, or of the id where there is none.

    The rule depends on nothing but the name, so a clip stays where it is when others are added. It keeps speakers
    apart but not texts, channels or generators: results on it say little about unseen ones.

    Shape:
        frame: clips × (id, speaker, …) -> (clips,) of "train", "val", "test"
    """
    groups = frame["speaker"].where(frame["speaker"] != "", frame["id"])
    place = groups.map({group: _place(group) for group in groups.unique()}).to_numpy(float)
    return np.array(SPLITS)[np.searchsorted([0.8, 0.9], place, side="right")]


SPLIT_NOTE = (
    "the corpus has no split of its own: clips were dealt at random by a hash of speaker or name, "
    "so this says little about unseen generators, texts and channels"
)


def _place(group: str) -> float:
    """A number in [0, 1) for a name."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table; the index counts lines, so that empty ones, which are left out, do not shift it."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path).reset_index(drop=True)
    # as strings: a speaker '0012' is no number, an attack 'NA' no gap
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut
        frame = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False, skip_blank_lines=False
        )
    empty = frame.index[frame.iloc[:, 0].fillna("") == ""]
    return frame.drop(empty[(frame.loc[empty].fillna("") == "").all(axis=1)])
