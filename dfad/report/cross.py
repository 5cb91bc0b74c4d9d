"""Trained on × tested on, from what runs and their evaluations have stored: no score is computed anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import yaml

from dfad.report.board import read_mapping, read_values

COLUMNS = ("run", "model", "trained_on", "tested_on", "split", "seed", "value", "error")
OLD = "it has no config.yaml, as an older dfad stored it; score anew with force=true"
UNFINISHED = "the run is not finished"  # begins the note of an evaluation of its best checkpoint so far
BY_PATH = ("manifest", "folder")  # corpora that the path alone tells apart


@dataclass(frozen=True)
class Cross:
    """A metric by training set (rows) and test set (columns).

    Attributes:
        rows: names of the training sets, with the network where it differs.
        columns: names of the test sets, with the split where it is not `test`.
        means: over the runs of a cell; NaN where there are none, or one has no value.
        sds: standard deviations, n − 1; NaN for fewer than two runs.
        own: whether the cell is of the corpus that was trained on.
        runs: names of the runs in each row.

    Shape:
        - means, sds, own: (rows, columns).
    """

    rows: list[str]
    columns: list[str]
    means: np.ndarray
    sds: np.ndarray
    own: np.ndarray
    runs: dict[str, list[str]]


@dataclass(frozen=True)
class _Corpus:
    """What tells the corpora of an experiment apart."""

    name: str
    path: str = ""
    held_out: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> _Corpus:
        """The corpus that the options of a run or an evaluation name."""
        name = " + ".join(sorted(data["parts"])) if data["name"] == "mix" else str(data["name"])
        path = os.path.abspath(str(data["path"])) if name in BY_PATH else ""  # noqa: PTH100  (links stay as they are)
        seed = f" (seed {data['seed']})" if data.get("seed") else ""  # of a corpus that is made from one
        return cls(f"{name}{seed}", path, str(data.get("hold_out") or ""))


def read_cross(folders: Iterable[Path], metric: str = "eer") -> pd.DataFrame:
    """Read one metric of finished runs: on their own test clips, and of all evaluations of their best checkpoint.

    Of several evaluations of a run on the same clips the newest counts, and its own result before any of them.

    Args:
        folders: of runs.
        metric: its name without the split, as in `metrics.json`: `eer`, `cllr`, `eer/unseen`.

    Returns:
        A row per run, corpus and split with the columns `COLUMNS`; `value` is NaN where the metric is undefined.
        What cannot be read has nothing but `run` and `error`.
    """
    rows = [row for folder in folders for row in _rows(folder, metric)]
    names = _names(row[key] for row in rows for key in ("trained_on", "tested_on") if key in row)
    for row in rows:
        row |= {key: names[row[key]] for key in ("trained_on", "tested_on") if key in row}
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    table["value"] = pd.to_numeric(table["value"], errors="coerce")
    return table


def cross(table: pd.DataFrame) -> Cross:
    """Put the rows of `read_cross` into a matrix: training sets by name, the same test sets first."""
    known = table[table["error"].isna()]
    models = known["model"].nunique() > 1
    row = known["trained_on"] + (", " + known["model"].astype(str) if models else "")
    column = known["tested_on"].where(known["split"] == "test", known["tested_on"] + " (" + known["split"] + ")")
    trained = set(known["trained_on"])
    order = {
        name: (corpus not in trained, corpus, split != "test", split)
        for name, corpus, split in zip(column, known["tested_on"], known["split"], strict=True)
    }
    rows, columns = sorted(set(row)), sorted(order, key=lambda name: order[name])
    means, sds = np.full((2, len(rows), len(columns)), np.nan)
    own = np.zeros(means.shape, bool)
    for (name, test), part in known.groupby([row, column]):
        cell = rows.index(name), columns.index(test)
        values = part["value"].to_numpy(float)
        means[cell] = values.mean()
        sds[cell] = values.std(ddof=1) if len(values) > 1 else np.nan
        own[cell] = (part["trained_on"] == part["tested_on"]).all()
    runs = {str(name): list(dict.fromkeys(part)) for name, part in known["run"].groupby(row)}
    return Cross(rows, columns, means, sds, own, runs)


def _rows(folder: Path, metric: str) -> Iterator[dict[str, Any]]:
    """The rows of one run; those that count come before others of the same clips, and these are left out."""
    if not (folder / "metrics.json").is_file():
        return
    try:
        config, values = read_mapping(folder / "config.yaml"), read_values(folder / "metrics.json")
        trained_on = _Corpus.of(config["data"])
        about = {"run": folder.name, "model": config["model"]["name"], "seed": config["seed"], "trained_on": trained_on}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        yield {"run": folder.name, "error": _said(error)}
        return
    yield {**about, "tested_on": trained_on, "split": "test", "value": values.get(f"test/{metric}")}
    seen = {(trained_on, "test")}
    for path in sorted(folder.glob("evals/*/metrics.json"), key=lambda path: -path.stat().st_mtime):
        try:
            if not path.with_name("config.yaml").is_file():
                raise ValueError(OLD)
            evaluation, notes = read_mapping(path.with_name("config.yaml")), read_mapping(path)["notes"]
            tested_on, split = _Corpus.of(evaluation["data"]), str(evaluation["split"])
            best = PurePath(evaluation["checkpoint"]).name == "best.ckpt"
            early = any(note.startswith(UNFINISHED) for note in notes)
            if best and not early and (tested_on, split) not in seen:
                value = read_values(path).get(f"{split}/{metric}")
                seen.add((tested_on, split))
                yield {**about, "tested_on": tested_on, "split": split, "value": value}
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            yield {"run": folder.name, "error": f"{path.parent.relative_to(folder)}: {_said(error)}"}


def _names(corpora: Iterable[_Corpus]) -> dict[_Corpus, str]:
    """What people call each corpus: its name, or as much of the end of its path as tells it from the others."""
    known = set(corpora)
    named = {corpus.name for corpus in known if not corpus.path}
    paths = {corpus.path: PurePath(corpus.path) for corpus in known if corpus.path}
    folders = {corpus.path for corpus in known if corpus.name == "folder"}

    def end(path: str, parts: int) -> str:
        whole = paths[path] if path in folders else paths[path].with_suffix("")
        return "/".join(whole.parts[-parts:])

    def short(path: str) -> str:
        for parts in range(1, len(paths[path].parts)):
            word = end(path, parts)
            if word not in named and all(end(other, parts) != word for other in paths if other != path):
                return word
        return path

    names = {path: short(path) for path in paths}
    return {
        corpus: (names[corpus.path] if corpus.path else corpus.name)
        + (f", held out {corpus.held_out}" if corpus.held_out else "")
        for corpus in known
    }


def _said(error: Exception) -> str:
    return f"no {error} in it" if isinstance(error, KeyError) else " ".join(str(error).split())
