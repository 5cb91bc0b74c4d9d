"""The table of all runs, from the files in their folders; needs pandas and YAML, so that it is there at once.

A row per run, a column per fact: `run`, `status`, `error`, `when`, `epochs`, `clips`, every option under the key that
one types (`model`, `model.lr`, `seed`) and every metric under its name in `metrics.json` (`val/eer`). An option or
metric that a run does not have is NaN; only names of metrics hold a slash.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

STATUSES = ("finished", "running", "failed", "imported", "unfinished", "damaged")
METRICS = ("val/cllr", "val/eer", "test/eer")  # those that are shown first; validation is what one may choose by
FACTS = ("run", "status", "error", "when", "epochs", "clips")
COUNTS = ("seeds", "groups")  # columns of the tables of means
FREE = (  # options that cannot change a run's numbers, as the typed options mark them
    *("runs", "force", "logger", "eval", "augment"),  # `augment` is the name of a preset, not what it does
    *("data.path", "data.root", "data.workers", "data.scan", "data.max_bad_fraction", "data.cache", "data.cache_gb"),
    *("trainer.keep_frozen", "trainer.checkpoint_steps"),
    *("model.architecture", "model.members.model.architecture"),  # follow from the backbone
)
_PART = re.compile(r"^data\.parts\..+\.")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there


def read_board(folders: Iterable[Path]) -> pd.DataFrame:
    """Read run folders, each of them once; one that cannot be read has the status `damaged` and the reason."""
    rows = [_row(folder) for folder in folders]
    frame = pd.DataFrame(rows, dtype=object)  # numbers stay as they are written, whatever other runs have
    for name in (*FACTS, *METRICS):
        if name not in frame:
            frame[name] = None
    metrics = [name for name in frame.columns if "/" in name]
    options = [name for name in frame.columns if name not in (*FACTS, *metrics)]
    frame[metrics] = frame[metrics].apply(pd.to_numeric, errors="coerce")
    return frame[["run", "status", *options, *metrics, *FACTS[2:]]]


def run_folders(home: Path) -> list[Path]:
    """The folders of runs in the folder of all runs; hidden ones are none."""
    return sorted(path for path in home.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_mapping(path: Path) -> dict[str, Any]:
    """What a JSON or YAML file of a run holds.

    Raises:
        OSError, ValueError, yaml.YAMLError: if it cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    content = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is damaged")
    return content


def read_values(path: Path) -> dict[str, Any]:
    """The metrics of a `metrics.json`, by name; raises what `read_mapping` does."""
    values = read_mapping(path).get("values")
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} is damaged")
    return values


def option_names(frame: pd.DataFrame) -> list[str]:
    """The columns that are options."""
    return [name for name in frame.columns if "/" not in name and name not in (*FACTS, *COUNTS)]


def is_free(name: str) -> bool:
    """Whether an option cannot change a run's numbers."""
    return of_corpus(name) in FREE or name.startswith(("logger.", "eval."))


def of_corpus(name: str) -> str:
    """What an option of a part of a mix is called where its corpus stands alone.

    >>> of_corpus("data.parts.mine.path"), of_corpus("data.path")
    ('data.path', 'data.path')
    """
    return _PART.sub("data.", name)


def differing(frame: pd.DataFrame) -> list[str]:
    """The options in which runs differ, the most telling first: choices, then what differs without them.

    What cannot change numbers tells nothing, but for the place of the data and the name of an augmentation. What
    follows from another choice of its group, as the width of a CNN does from `model`, tells nothing either.
    """
    known = frame[frame["model"].notna()] if "model" in frame else frame  # of a damaged run nothing is
    telling = [name for name in option_names(known) if not is_free(name) or of_corpus(name) in ("augment", "data.path")]
    values = {name: known[name].map(repr) for name in telling}
    choice = [
        name for name in ("model", "frontend", "data", "augment") if name in values and values[name].nunique() > 1
    ]
    below = {name for name in telling if "." in name and name.split(".")[0] in choice}

    def varies(name: str) -> bool:
        alike = values[name.split(".")[0]] if name in below else pd.Series("", known.index)
        return bool((values[name].groupby(alike).nunique() > 1).any())

    varied = [name for name in telling if varies(name)]
    rest = sorted(set(varied) - set(choice), key=lambda name: (name in below, varied.index(name)))
    return [*choice, *rest]


def ordered(frame: pd.DataFrame, key: str, *, descending: bool = False) -> pd.DataFrame:
    """The rows in the order of a column: by number where it has any, else by text; those without it last."""
    numbers = pd.to_numeric(frame[key], errors="coerce")
    values = numbers if numbers.notna().any() else frame[key].astype(str).where(frame[key].notna())
    order = values.sort_values(ascending=not descending, na_position="last", kind="stable").index
    return frame.loc[order]


def cell(value: Any) -> str:
    """A value of the board as people read it.

    >>> [cell(value) for value in (0.25, 1e-05, 3, True, None, float("nan"), "[4,8]")]
    ['0.25', '1e-05', '3', 'true', 'null', '', '[4,8]']
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return str(value)


def metric_cell(mean: float, sd: float = float("nan")) -> str:
    """A metric as people read it, with its spread if it has one.

    >>> metric_cell(0.25), metric_cell(0.25, 0.125), metric_cell(float("nan"))
    ('0.2500', '0.2500 ± 0.1250', '')
    """
    if mean != mean:
        return ""
    return f"{mean:.4f}" + (f" ± {sd:.4f}" if sd == sd else "")


def text_table(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The columns as people read them: a metric with its spread, its interval or its place in one."""
    shown = {}
    for name in columns:
        number = "/" in name and not name.endswith((" sd", " at"))
        shown[name] = _metric_texts(frame, name) if number else [cell(value) for value in frame[name]]
    return pd.DataFrame(shown, dtype=object)


def _metric_texts(frame: pd.DataFrame, name: str) -> list[str]:
    missing = pd.Series(float("nan"), frame.index)
    beside = [frame.get(f"{name} {part}", missing) for part in ("sd", "low", "high", "at")]
    return [
        metric_cell(value, sd)
        + (f" [{low:.4f}, {high:.4f}]" if low == low else "")
        + (f" ({cell(at)})" if at == at else "")
        for value, sd, low, high, at in zip(frame[name], *beside, strict=True)
    ]


def _row(folder: Path) -> dict[str, Any]:
    """All that is known of one run."""
    row: dict[str, Any] = {"run": folder.name}
    try:
        finished = (folder / "metrics.json").is_file()
        failed, imported = ((folder / name).is_file() for name in ("error.txt", "imported.json"))
        running = not finished and _locked(folder / ".lock")
        row["status"] = next(
            name for name, holds in zip(STATUSES, (finished, running, failed, imported, True), strict=False) if holds
        )
        if (folder / "config.yaml").is_file():
            row |= _flat("", read_mapping(folder / "config.yaml"))
        elif not failed and not running:
            raise ValueError("no config.yaml: not a run, or one that was cut off as it began")
        if finished:
            row |= read_values(folder / "metrics.json")
        if failed and not finished:
            row["error"] = (folder / "error.txt").read_text(encoding="utf-8").strip().split("\n")[0]
        if (folder / "manifest.json").is_file():
            row["clips"] = str(read_mapping(folder / "manifest.json").get("digest"))[:8]
        if (folder / "curves.csv").is_file():
            row["epochs"] = max(0, (folder / "curves.csv").read_bytes().count(b"\n") - 1)
        newest = "metrics.json" if finished else "."
        row["when"] = datetime.fromtimestamp((folder / newest).stat().st_mtime).isoformat(" ", "seconds")
    except (OSError, ValueError, yaml.YAMLError) as error:
        row |= {"status": "damaged", "error": " ".join(str(error).split())}
    return row


def _flat(at: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested options under the keys that one types; the name of a choice under that of its group."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = at if name == "name" and at else f"{at}.{name}" if at else str(name)
        if isinstance(value, dict) and value:
            flat |= _flat(key, value)
        else:
            flat[key] = json.dumps(value, separators=(",", ":")) if isinstance(value, list | dict) else value
    return flat


def _locked(path: Path) -> bool:
    """Whether a process works in the folder. The question is asked of the system, and writes nothing."""
    try:
        import fcntl
    except ImportError:  # Windows: not known
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
