"""A corpus of spoofed copies: bona fide clips of another, each said again by vocoders and written to a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from filelock import FileLock, Timeout

from dfad.audio import Limits, load, probe
from dfad.clips import COLUMNS, Manifest
from dfad.corpora.base import Progress, counts
from dfad.corpora.check import in_threads
from dfad.effects.threads import one_thread
from dfad.effects.vocoders import vocode
from dfad.errors import AudioError, DataError
from dfad.labels import LABEL_WORDS, SPLIT_WORDS, SPLITS, Label

SOURCE = "source_id"  # column with the id of the clip that was copied
_AT_ONCE = 32  # clips begun before a signal is heard


@dataclass(frozen=True)
class Recipe:
    """How copies are made.

    Attributes:
        vocoders: names in `VOCODERS`.
        per_clip: copies of every clip, each by another vocoder.
        seed: of which vocoders a clip gets, and of what they draw.
        seconds: a longer clip is copied so far.
    """

    vocoders: tuple[str, ...]
    per_clip: int
    seed: int
    seconds: float


@dataclass(frozen=True)
class Copies:
    """What came of it.

    Attributes:
        frame: the manifest: a row per copy.
        wanted: copies that there should be.
        skipped: what is wrong with each clip that could not be copied, by id.
    """

    frame: pd.DataFrame
    wanted: int
    skipped: Mapping[str, str]


def plan(manifest: Manifest, recipe: Recipe, splits: Sequence[str] = SPLITS) -> pd.DataFrame:
    """Say which clip is copied by which vocoder; it hangs on the clip's id and the seed alone.

    Returns:
        A row per copy: `row` of the clip in the manifest, `vocoder`, `seed` of its draws, and `path`.

    Raises:
        DataError: if there are no bona fide clips.
    """
    wanted = manifest.frame["split"].isin(list(splits)).to_numpy() & (manifest.labels == Label.BONA_FIDE)
    rows = np.flatnonzero(wanted)
    if not len(rows):
        found = ", ".join(f"{real} in {split}" for split, (real, _) in counts(manifest).items())
        raise DataError(f"no bona fide clips to copy in {' and '.join(splits)}; bona fide clips: {found}; see --split")
    table = []
    for row, split in zip(rows.tolist(), manifest.frame["split"].iloc[rows], strict=True):
        name = str(manifest.ids[row])
        digest = hashlib.sha256(f"{recipe.seed}\0{name}".encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:8], "little")).permutation(len(recipe.vocoders))
        for number in order[: recipe.per_clip].tolist():
            vocoder = recipe.vocoders[number]
            table.append((row, vocoder, int.from_bytes(digest[8:12], "little") >> 1, _path(split, vocoder, name)))
    frame = pd.DataFrame(table, columns=["row", "vocoder", "seed", "path"])
    twice = frame["path"].duplicated(keep=False)  # x/a.wav and /x/a.wav
    tags = [hashlib.sha256(str(manifest.ids[row]).encode()).hexdigest()[:8] for row in frame["row"][twice]]
    frame.loc[twice, "path"] = [
        f"{path.removesuffix('.flac')}-{tag}.flac" for path, tag in zip(frame["path"][twice], tags, strict=True)
    ]
    return frame


def write_copies(
    manifest: Manifest,
    out: Path,
    recipe: Recipe,
    *,
    splits: Sequence[str] = SPLITS,
    limits: Limits,
    progress: Progress | None = None,
) -> Copies:
    """Write `<split>/spoof/<vocoder>/<id>.flac` (mono PCM_16 at the clip's own rate) and, last, `manifest.csv`.

    A file is whole or not there at all, and what is there is not made again: a call that was killed goes on, and ends
    in the same files. Clips that cannot be copied are in `skipped.csv`.

    Args:
        manifest: the clips.
        out: the folder.
        recipe: how copies are made.
        splits: of which splits.
        limits: what is refused unread.
        progress: told after every copy.

    Raises:
        DataError: if `out` holds something else, or cannot be written; if no clip could be copied.
    """
    planned = plan(manifest, recipe, splits)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0.2):
            _claim(out, manifest, recipe, splits)
            made, skipped = _make(manifest, out, planned, recipe, limits, progress)
            if not made:
                name, reason = next(iter(skipped.items()))
                raise DataError(f"none of {len(skipped)} clips could be copied; the first: {name}: {reason}")
            frame = _manifest_of(manifest, planned, made)
            _write(out / "manifest.csv", frame)
            if skipped:
                _write(out / "skipped.csv", pd.DataFrame(skipped.items(), columns=["path", "reason"]))
            else:
                (out / "skipped.csv").unlink(missing_ok=True)
    except Timeout:
        raise DataError(f"{out} is in use by another process; wait for it, or give another --out") from None
    except OSError as error:
        raise DataError(f"cannot write to {out}: {(error.strerror or str(error)).lower()}") from None
    return Copies(frame, len(planned), skipped)


def _path(split: str, vocoder: str, name: str) -> str:
    """Where a copy lies: never outside the folder, and where `data=folder` reads split, label and attack of it."""
    *folders, last = PurePosixPath(name).parts
    kept = [part for part in folders if part not in ("/", "..") and part.lower() not in {**LABEL_WORDS, **SPLIT_WORDS}]
    return "/".join([split, str(Label.SPOOF), vocoder, *(part.replace(":", "_") for part in (*kept, last))]) + ".flac"


def _claim(out: Path, manifest: Manifest, recipe: Recipe, splits: Sequence[str]) -> None:
    """Refuse a folder with other files, or with copies that were made otherwise."""
    path = out / "vocode.json"
    now = {
        **{"vocoders": list(recipe.vocoders), "per_clip": recipe.per_clip, "seed": recipe.seed},
        **{"seconds": recipe.seconds, "splits": list(splits), "clips": manifest.digest()},
    }
    if not path.is_file():
        if any(found.name != ".lock" for found in out.iterdir()):
            raise DataError(f"{out} holds other files; give an empty or a new folder as --out")
        _write_text(path, json.dumps(now, indent=1) + "\n")
        return
    try:
        before: Any = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key, value in now.items() if before.get(key) != value]
    except (ValueError, AttributeError):
        raise DataError(f"{path} is damaged; give another --out, or delete {out}") from None
    if other:
        raise DataError(
            f"{out} holds copies made with other {', '.join(other)}; type the same command as then, "
            "or give another --out"
        )


def _make(
    manifest: Manifest, out: Path, planned: pd.DataFrame, recipe: Recipe, limits: Limits, progress: Progress | None
) -> tuple[dict[int, float], dict[str, str]]:
    """Make what is not there; give the duration of each copy by its row in the plan, and what went wrong by id."""
    seconds = manifest.frame["duration_s"].to_numpy(float)
    rows, vocoders, seeds, paths = (planned[name].tolist() for name in ("row", "vocoder", "seed", "path"))

    def copy(number: int) -> float | str:
        row, path = rows[number], out / paths[number]
        try:
            return probe(path).duration_s
        except AudioError:
            pass  # not there, or damaged
        source, expected = manifest.path(row), seconds[row]
        try:
            rate = probe(source, limits=limits).sample_rate
            promised = None if np.isnan(expected) else float(expected)
            wave = load(source, sample_rate=rate, crop_s=recipe.seconds, expected_s=promised, limits=limits)
        except AudioError as error:
            return str(error).removeprefix(f"{source}: ")
        spoofed = vocode(wave, rate, vocoders[number], seeds[number])
        if not np.isfinite(spoofed).all():
            return f"its copy by {vocoders[number]} is not finite"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        soundfile.write(part, spoofed, rate, format="FLAC", subtype="PCM_16")
        part.replace(path)
        return len(spoofed) / rate

    made: dict[int, float] = {}
    skipped: dict[str, str] = {}
    with one_thread():
        found = in_threads(copy, range(len(planned)), progress, at_once=_AT_ONCE)
        for number, outcome in enumerate(found):
            if isinstance(outcome, str):
                skipped[str(manifest.ids[rows[number]])] = outcome
            else:
                made[number] = outcome
    return made, skipped


def _manifest_of(manifest: Manifest, planned: pd.DataFrame, made: Mapping[int, float]) -> pd.DataFrame:
    """The table of the copies: the clip's own columns, and which clip and vocoder it was."""
    some = planned.iloc[list(made)]
    frame = manifest.frame.iloc[some["row"]].reset_index(drop=True)
    own = {"path": some["path"].to_numpy(), "label": str(Label.SPOOF), "split": frame["split"]}
    own |= {"attack": some["vocoder"].to_numpy(), "speaker": frame["speaker"], "duration_s": list(made.values())}
    own |= {SOURCE: frame["id"]}
    further = frame.drop(columns=[*COLUMNS, *({SOURCE, "path"} & {*frame.columns})])
    return pd.concat([pd.DataFrame(own).round({"duration_s": 6}), further], axis=1)


def _write(path: Path, frame: pd.DataFrame) -> None:
    _write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def _write_text(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)
