"""What is known of the clips that were scored: labels from a manifest or an ASVspoof protocol, and their join."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dfad.errors import DataError
from dfad.labels import CLASS_NAMES, Label, parse_labels, parse_splits
from dfad.score_files.tables import read_table
from dfad.scores import require_once
from dfad.wrong_rows import WrongRows

PROTOCOLS = {  # the columns of ASVspoof's protocols and keys, by their number
    5: ("speaker", "id", "environment", "attack", "label"),  # 2019
    8: ("speaker", "id", "codec", "transmission", "attack", "label", "trim", "subset"),  # 2021 LA
    10: ("speaker", "id", "gender", "codec", "codec_q", "codec_seed", "attack_tag", "attack", "label", "tmp"),  # 5
    13: (  # 2021 DF
        *("speaker", "id", "codec", "source", "attack", "label", "trim", "subset", "vocoder"),
        *("task", "team", "gender_pair", "language"),
    ),
}
NUMERIC = {"1": "bona-fide", "1.0": "bona-fide", "0": "spoof", "0.0": "spoof"}


def read_labels(path: Path) -> pd.DataFrame:
    """Read a manifest, or the text of an ASVspoof protocol (2019, 2021 LA, 2021 DF, 5).

    Returns:
        `id`, `label` (int8) and all further columns but scores, which would be another system's.

    Raises:
        DataError: for a file that is none of these, wrong rows, or an id that comes twice.
    """
    frame = read_table(path, what="labels", needs=("id", "label"), layouts=PROTOCOLS)
    frame = frame.drop(columns="score", errors="ignore")
    errors = WrongRows(frame.index)
    parse_columns(frame, errors)
    errors.raise_from(str(path))
    require_once(frame["id"], source=str(path))
    return settle_attacks(frame.astype({"label": np.int8}))


def parse_columns(frame: pd.DataFrame, errors: WrongRows) -> None:
    """Read the words of `id`, `label`, `split` and `duration_s`, as far as they are there, in place."""
    if "id" in frame:
        frame["id"] = frame["id"].astype(str).fillna("")
        errors.add(frame["id"] == "", lambda row: "empty id")
    if "label" in frame:
        words = frame["label"].astype(str).str.strip()
        frame["label"] = parse_labels(words.map(NUMERIC) if words.isin([*NUMERIC]).all() else words, errors)
    if "split" in frame:
        frame["split"] = parse_splits(frame["split"], errors)
    if "duration_s" in frame:
        frame["duration_s"] = pd.to_numeric(frame["duration_s"], errors="coerce")


def settle_attacks(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave no attack to bona fide, as in manifests, and none where `-` stands for it."""
    if "attack" not in frame:
        return frame
    attack = frame["attack"].astype(str).fillna("")
    return frame.assign(attack=attack.where((frame["label"] == Label.SPOOF) & (attack != "-"), ""))


def join_labels(frame: pd.DataFrame, labels: pd.DataFrame, *, source: str, labels_source: str) -> pd.DataFrame:
    """Give scored clips their labels and further columns; the rows and ids stay those of `frame`.

    Clips are joined by id; if not one id is in both, but stems (file names without folder and suffix) are, and none
    comes twice, by stem. Labels of splits in which nothing was scored are left aside.

    Raises:
        DataError: if a clip has no label, or no score, or both tables have a column that differs.
    """
    rows = _match(frame["id"].tolist(), labels["id"].tolist())
    if len(lost := frame["id"][rows < 0]):
        raise DataError(
            f"{len(lost)} of {len(frame)} clips of {source} have no label in {labels_source}, the first: {lost.iloc[0]}"
        )
    extra = np.ones(len(labels), bool)
    extra[rows] = False
    if "split" in labels:  # a manifest may list splits that were not scored at all, but none in part
        extra &= labels["split"].isin(set(labels["split"].iloc[rows])).to_numpy()
    if extra.any():
        raise DataError(
            f"{extra.sum()} of {len(labels)} clips of {labels_source} have no score in {source}, "
            f"the first: {', '.join(labels['id'][extra][:3])}\n"
            "score them too, or give the labels of the scored clips only: what is left out could be what is hard"
        )
    found = labels.iloc[rows].set_index(frame.index)
    if "label" not in frame:
        frame = frame.assign(label=found["label"])
    frame = settle_attacks(frame)
    for name in found.columns.drop("id"):
        if name in frame:
            _require_same(frame, found, str(name), source=source, labels_source=labels_source)
    return frame.join(found[found.columns.difference(frame.columns, sort=False)])


def _require_same(frame: pd.DataFrame, found: pd.DataFrame, name: str, *, source: str, labels_source: str) -> None:
    """Refuse a column that both files have if it differs; numbers are compared as the text that they would be."""
    here, there = (table[name].astype(str).fillna("") for table in (frame, found))
    if name == "label":
        here, there = (table[name].map(dict(enumerate(CLASS_NAMES))) for table in (frame, found))
    if len(different := np.flatnonzero((here != there).to_numpy())):
        row = different[0]
        raise DataError(
            f"{source} and {labels_source} differ in {name} at {len(different)} clips, the first: "
            f"{frame['id'].iloc[row]} is {here.iloc[row]!r} and {there.iloc[row]!r}"
        )


def _match(scored: list[str], known: list[str]) -> np.ndarray:
    """Where each scored clip stands among the known ones, by id or else by stem.

    Shape:
        scored: (clips,), known: (labelled,) -> (clips,) int64; -1 where a clip is not known
    """
    rows = _places(scored, known)
    if (rows >= 0).any():
        return rows
    scored, known = [_stem(name) for name in scored], [_stem(name) for name in known]
    unique = len({*scored}) == len(scored) and len({*known}) == len(known)
    return _places(scored, known) if unique else rows


def _places(names: list[str], known: list[str]) -> np.ndarray:
    place = {name: row for row, name in enumerate(known)}
    return np.array([place.get(name, -1) for name in names], np.int64)


def _stem(name: str) -> str:
    """A file's name without folder and suffix.

    >>> _stem("eval/flac/LA_E_1.flac"), _stem("LA_E_1")
    ('LA_E_1', 'LA_E_1')
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name
