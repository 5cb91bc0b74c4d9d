"""Protocols joined to audio on disk: whose file is missing, which files nobody names, what differs from published."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from dfad.corpora.rows import read_rows
from dfad.errors import DataError
from dfad.labels import Label, parse_labels
from dfad.wrong_rows import WrongRows

Counts = Mapping[str, tuple[int, int]]  # split → (bona fide, spoof)

SHOWN = 3  # names in a note or an error
RESERVED = "-"  # name of a column that holds nothing but this


def read_protocol(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a protocol whose columns are separated by spaces.

    Args:
        path: the file.
        columns: their names, `utterance` and `label` among them; `-` for one that is reserved.

    Returns:
        A row per utterance; `-`, which is nothing, is read as empty. The index counts lines.

    Raises:
        DataError: naming up to 20 wrong lines at once: too many or few columns, an unknown key, an utterance twice.
    """
    names = [f"{RESERVED}{number}" if name == RESERVED else name for number, name in enumerate(columns, 1)]
    frame = read_rows(path, delimiter=" ", columns=names)
    errors = WrongRows(frame.index)
    parse_labels(frame["label"], errors)
    say_twice(frame, "utterance", errors)
    for number, name in enumerate(columns, 1):
        if name == RESERVED:
            _say_used(frame.pop(f"{RESERVED}{number}"), number, errors)
    errors.raise_from(str(path))
    return frame.mask(frame == "-", "")


def _say_used(column: pd.Series, number: int, errors: WrongRows) -> None:
    """Tell the rows that have something in a reserved column."""
    errors.add(column != RESERVED, lambda row: f"column {number} is {column.iloc[row]!r}, expected {RESERVED!r}")


def say_twice(frame: pd.DataFrame, column: str, errors: WrongRows) -> None:
    """Tell the rows whose value has stood before."""
    twice = frame[column].duplicated()
    if twice.any():
        lines = {value: line for line, value in reversed(list(frame[column].items()))}
        errors.add(twice, lambda row: f"{(it := frame[column].iloc[row])} stands twice, first in line {lines[it]}")


def by_utterance(files: Sequence[str], where: Path) -> dict[str, str]:
    """Paths of audio files by their names without suffix.

    Raises:
        DataError: if one name comes twice.
    """
    found = {file.rpartition("/")[2].rpartition(".")[0]: file for file in files}
    if len(found) < len(files):
        twice = sorted(file for file in files if found[PurePosixPath(file).stem] != file)
        name = PurePosixPath(twice[0]).stem
        raise DataError(
            f"{len(twice):,} clips lie more than once below {where}, the first: {twice[0]} and {found[name]}\n"
            "remove one of the copies, or say which to take: data.path=…"
        )
    return found


def join(
    protocols: Mapping[str, pd.DataFrame], files: Mapping[str, str], *, where: Path, keep: bool, hint: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Give every utterance its file.

    Args:
        protocols: the rows of each split; "" where there are none.
        files: path of each utterance, relative to `where`.
        where: the root.
        keep: give an utterance without a file the path that it would have, for the scan to tell, instead of refusing.
        hint: how to get what is missing.

    Returns:
        The rows with `path` in place of `utterance`, and `split`; and how many clips each split has of which not one
        file is there. Their rows are left out.

    Raises:
        DataError: counting the utterances without a file, and naming the first.
    """
    joined, absent, lines = [], {}, []
    for split, rows in protocols.items():
        path = rows["utterance"].map(files).astype("str")
        gone = path.isna()
        if gone.all():
            absent[split] = len(rows)
            continue
        if gone.any():
            names = rows["utterance"][gone]
            of = f" of split {split}" if split else ""
            lines.append(f"{gone.sum():,} of {len(rows):,} clips{of} have no file, {first(names)}")
            like = rows["utterance"][~gone].iloc[0]
            before = files[like][: files[like].rfind("/") + 1] if "/" not in like else ""
            after = files[like][len(before) + len(like) :]
            path = path.where(~gone, before + rows["utterance"] + after)
        joined.append(rows.drop(columns="utterance").assign(path=path, split=split))
    if lines and not keep:
        told = "\n".join(lines)
        raise DataError(
            f"{where} is not whole\n{told}\n{hint}\nor leave them out: data.on_error=skip, and data.max_bad_fraction=…"
        )
    return pd.concat(joined, ignore_index=True) if joined else pd.DataFrame(), absent


def first(names: Sequence[str] | pd.Series) -> str:
    """Name the first few."""
    shown = ", ".join(list(names[:SHOWN]))
    return f"the first: {shown}" if len(names) > 1 else f"namely {shown}"


def unnamed(files: Mapping[str, str], known: Collection[str], what: str = "protocol") -> list[str]:
    """A note on the audio files that no protocol names, if there are any."""
    extra = sorted(file for utterance, file in files.items() if utterance not in known)
    if not extra:
        return []
    return [f"audio files that no {what} names are left out: {len(extra):,}, {first(extra)}"]


def differs(name: str, found: Counts, published: Counts) -> list[str]:
    """A note on counts that are not the published ones, if there are any."""
    splits = [
        f"{split} {found[split][0]:,} + {found[split][1]:,} instead of {real:,} + {fake:,}".strip()
        for split, (real, fake) in published.items()
        if split in found and found[split] != (real, fake)
    ]
    if not splits:
        return []
    return [
        f"{name} is not the published corpus: bona fide + spoof: {', '.join(splits)}, "
        "so do not compare these results with published ones"
    ]


def counted(words: pd.Series) -> tuple[int, int]:
    """How many of some label words are bona fide, and how many spoof."""
    labels = words.map({word: Label.parse(word) for word in words.unique()})
    return int((labels == Label.BONA_FIDE).sum()), int((labels == Label.SPOOF).sum())
