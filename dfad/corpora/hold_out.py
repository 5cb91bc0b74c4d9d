"""Leave one group out: the clips of a group are the test set, and all others are trained and validated on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np
import pandas as pd

from dfad.clips import Manifest
from dfad.errors import ConfigError, DataError, did_you_mean
from dfad.labels import CLASS_NAMES, Label

FORM = "write it as column:value, such as speaker:anna"
MOST_LISTED = 40
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./:-]*")  # what a shell and Hydra read as it stands
_TYPED = {"path": "id", "system": "attack"}  # names of columns as people write them


def leave_out(manifest: Manifest, group: str) -> Manifest:
    """Make a group of clips the test set.

    The other clips stay in train and val; those that were test clips are trained on.

    Args:
        manifest: with its own splits.
        group: `column:value`.

    Raises:
        ConfigError: if there is no such column, or no such value in it.
        DataError: if the group has one class only, or too little is left to train or validate on.
    """
    name, column, value = _parse(group, manifest.frame)
    if column == "attack":
        raise DataError(
            f"data.hold_out={group}: an attack has no bona fide clips of its own, so nothing can be told apart\n"
            "the EER of attacks that training had not seen stands in test/eer/unseen of every run"
        )
    words = _words(manifest.frame, column)
    test = (manifest.frame["split"] == "test").to_numpy()
    codes, values = pd.factorize(words)
    counts = _counts(codes, manifest)
    spoken = {str(word): row for row, word in enumerate(values) if word}
    if value not in spoken:
        close = get_close_matches(value, spoken, n=1)
        near = f"; did you mean {name}:{close[0]}?" if close else ""
        raise ConfigError(f"data.hold_out={group}: no clip has {name} = {value}{near}\n{_list(name, spoken, counts)}")
    own, left = counts[spoken[value]].sum(axis=0), counts.sum(axis=0) - counts[spoken[value]]
    if not own.all():
        raise DataError(
            f"data.hold_out={group}: the group has {_said(own)}: nothing can be told apart\n"
            f"{_list(name, spoken, counts)}"
        )
    parts = zip(("train", "val"), left, strict=True)
    lacking = [f"{split} with {_said(part)}" for split, part in parts if not part.all()]
    if lacking:
        raise DataError(
            f"data.hold_out={group}: this leaves {' and '.join(lacking)}, and both need both classes\n"
            f"{_list(name, spoken, counts)}"
        )
    inside = (words == value).to_numpy()
    split = manifest.frame["split"].replace("test", "train").mask(inside, "test")
    dealing = manifest.dealing
    trained_on = 0 if dealing else int((test & ~inside).sum())
    also = f"; {trained_on} clips of the corpus' own test split are in train" if trained_on else ""
    dealt = (dealing.note_without_test,) if dealing else ()
    note = f"leave one group out: the test clips are those with {name} = {value}, train and val are all others{also}"
    own = manifest.dealt(None)
    frame = manifest.frame.assign(split=split)
    return Manifest(frame, manifest.root, (*dealt, *own.notes, note), hint=manifest.hint)


def sweep_words(groups: Iterable[str]) -> str:
    r"""The words that make `train.py` hold out each of the groups in turn, as a shell takes them.

    >>> sweep_words(["speaker:anna", "speaker:ben"])
    '-m data.hold_out=speaker:anna,speaker:ben'
    >>> print(sweep_words(["room:a, b", "room:c"]))
    -m 'data.hold_out="room:a, b","room:c"'
    """
    groups = list(groups)
    quoted = groups if all(map(_PLAIN.fullmatch, groups)) else [quoted_for_hydra(group) for group in groups]
    return "-m " + shlex.quote("data.hold_out=" + ",".join(quoted))


def _parse(group: str, frame: pd.DataFrame) -> tuple[str, str, str]:
    """The column as typed, as the table names it, and the value."""
    name, colon, value = group.partition(":")
    if not colon:
        raise ConfigError(f"data.hold_out={group}: {FORM}")
    column = name if name in frame else _TYPED.get(name, name)
    if column not in frame:
        columns = ["path" if known == "id" else str(known) for known in frame.columns]
        raise ConfigError(f"data.hold_out={group}: the clips have no column {name!r}; {did_you_mean(name, columns)}")
    return name, column, value


def _words(frame: pd.DataFrame, column: str) -> pd.Series:
    """The values of a column as one types them; "" where there is none."""
    if column == "label":
        return frame["label"].map(dict(enumerate(CLASS_NAMES)))
    return frame[column].astype(str).where(frame[column].notna(), "")


def _counts(codes: np.ndarray, manifest: Manifest) -> np.ndarray:
    """Clips of each value that train and val have if another group is held out. Shape: (values, 2 splits, 2 labels)."""
    val = (manifest.frame["split"] == "val").to_numpy(int)
    return np.bincount((codes * 2 + val) * 2 + manifest.labels, minlength=4 * (codes.max() + 1)).reshape(-1, 2, 2)


def _list(name: str, rows: dict[str, int], counts: np.ndarray) -> str:
    """The values that can be held out, if they are not too many, and the words that do so one after another."""
    if len(rows) > MOST_LISTED:
        return f"the column {name} has {len(rows)} values, such as {', '.join(sorted(rows)[:5])}"
    left = counts.sum(axis=0) - counts
    can = counts.sum(axis=1).all(axis=-1) & left.all(axis=(-2, -1))
    values = sorted(value for value, row in rows.items() if can[row])
    if not values:
        return (
            f"none of the {len(rows)} values of {name} can be held out: each has one class only, or leaves train or "
            "val without both; a column split of your own decides what is val"
        )
    return (
        f"{len(values)} of the {len(rows)} values of {name} can be held out: {', '.join(values)}\n"
        f"one after another: {sweep_words(f'{name}:{value}' for value in values)}"
    )


def _said(counts: np.ndarray) -> str:
    return f"{counts[Label.BONA_FIDE]} bona-fide and {counts[Label.SPOOF]} spoof clips"


def quoted_for_hydra(text: str) -> str:
    """Text in Hydra's double quotes, where only a backslash before a quote is a special one."""
    return '"' + re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ("\\" + found[2] if found[2] else ""), text) + '"'
