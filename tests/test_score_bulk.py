"""`dfad score --manifest`: every clip once, whatever the processes, and however they end."""

from __future__ import annotations

import errno
import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dfad.clips import Manifest
from dfad.commands import score_bulk, score_file
from dfad.commands.score_bulk import Bulk
from dfad.commands.score_file import growing
from dfad.scorer import Scorer
from dfad.scoring.options import ScoringKnobs
from tests.conftest import ROOT, Called, environment
from tests.test_scorer import content

SMALL_PARTS = "from dfad.commands import score, score_bulk; score_bulk._LEAST = 5; score.main()"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_bulk, "_LEAST", 5)


@pytest.fixture
def words(tmp_path: Path, manifest_csv: Path) -> tuple[object, ...]:
    torch.save(content(), tmp_path / "model.ckpt")
    return ("score", "--manifest", manifest_csv, "--run", "model.ckpt", "--out", "out")


def require_whole(manifest: Path, folder: Path = Path("out")) -> pd.DataFrame:
    """The table, which has every clip once and in order."""
    table = pd.read_parquet(folder / "scores.parquet")
    whole = Manifest.read(manifest).frame
    assert table["id"].tolist() == whole["id"].tolist()
    assert table["speaker"].tolist() == whole["speaker"].tolist()
    lines = [line for path in sorted((folder / "parts").iterdir()) for line in path.read_text().splitlines()]
    assert [json.loads(line)["path"] for line in lines] == whole["id"].tolist()
    return table


def test_processes_that_know_nothing_of_each_other(
    words: tuple[object, ...], command: Called, manifest_csv: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SMALL_PARTS, *map(str, words[1:])],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment(), "PYTHONPATH": str(ROOT), "LOCAL_RANK": str(local), "LOCAL_WORLD_SIZE": "2"},
        )
        for local in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert any("48 of 48 clips scored: dfad evaluate out/scores.parquet" in out for out, _ in said)
    table = require_whole(manifest_csv)
    assert len(list(Path("out/parts").iterdir())) == 9
    code, out, _ = command("score", *(manifest_csv.parent / clip for clip in table["id"][:3]), *words[3:5], "--json")
    alone = [json.loads(line)["score"] for line in out.splitlines()]
    np.testing.assert_allclose(table["score"][:3], alone, atol=1e-5)
    code, out, _ = command("evaluate", "out/scores.parquet")
    assert (code, "24 bona fide + 24 spoof" in out) == (0, True)


def test_after_a_kill_the_rest_is_done_once(
    words: tuple[object, ...], command: Called, manifest_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Scorer.each
    left = [17]

    def killed(self: Scorer, *args: Any, **more: Any) -> Iterator[Any]:
        for found in real(self, *args, **more):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "each", killed)
        code, _, err = command(*words)
    assert (code, "the same command goes on" in err) == (130, True)
    torn = next(path for path in Path("out/parts").glob("*.part.jsonl"))
    torn.write_bytes(torn.read_bytes()[:-9])
    assert not Path("out/scores.parquet").exists()
    code, out, _ = command(*words)
    assert (code, "48 of 48 clips scored" in out) == (0, True)
    require_whole(manifest_csv)
    before = Path("out/scores.parquet").stat().st_mtime_ns
    assert command(*words)[0] == 0
    assert Path("out/scores.parquet").stat().st_mtime_ns == before


def test_what_another_process_is_at_is_left_to_it(
    words: tuple[object, ...], command: Called, manifest_csv: Path
) -> None:
    scorer = Scorer.__new__(Scorer)  # it is not asked
    bulk = Bulk(Manifest.read(manifest_csv), Path("out"), "me")
    bulk.open()
    for number in range(9):
        bulk._whole(number).touch()
    bulk._whole(3).unlink()
    with growing(bulk._whole(3).with_suffix(".part.jsonl"), "me"):
        assert bulk.score(scorer, ScoringKnobs(), 1, lambda done, total: None) == 5


def test_a_file_system_without_locks_is_refused(
    words: tuple[object, ...], command: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(score_file, "fcntl", SimpleNamespace(flock=none, LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB))
    code, _, err = command(*words)
    assert (code, "no locks available" in err) == (2, True)
    assert "option flock" in err


def test_clips_that_cannot_be_scored_are_named(
    words: tuple[object, ...], command: Called, manifest_csv: Path, tmp_path: Path
) -> None:
    frame = pd.read_csv(manifest_csv, dtype=str, keep_default_na=False)
    frame["path"] = [str(manifest_csv.parent / path) for path in frame["path"]]
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    frame.loc[4, "path"] = str(tmp_path / "broken.wav")
    frame.loc[9, "path"] = str(tmp_path / "missing.wav")
    frame.to_csv("some.csv", index=False)
    for _ in range(2):
        code, out, err = command("score", "--manifest", "some.csv", *words[3:])
        assert (code, "46 of 48 clips scored" in out) == (3, True)
        assert "2 of 48 clips could not be scored; out/not_scored.csv says why" in err
    rest = pd.read_csv("out/not_scored.csv")
    assert rest["path"].tolist() == [str(tmp_path / "broken.wav"), str(tmp_path / "missing.wav")]
    assert len(pd.read_parquet("out/scores.parquet")) == 46


def test_a_folder_of_something_else_is_left_alone(
    words: tuple[object, ...], command: Called, manifest_csv: Path
) -> None:
    assert command(*words)[0] == 0
    code, _, err = command(*words, "--first")
    assert (code, "another run or other options" in err) == (2, True)
    frame = pd.read_csv(manifest_csv).iloc[:9]
    frame.to_csv(manifest_csv.with_name("nine.csv"), index=False)
    code, _, err = command("score", "--manifest", manifest_csv.with_name("nine.csv"), *words[3:])
    assert (code, "another manifest" in err) == (2, True)
    for more in (("x.wav",), ("--json",), ("--fail-above", "0.5")):
        assert command(*words, *more)[0] == 2
    assert command(*words[:5])[0] == 2  # no folder


def test_a_pack_has_the_scores_of_its_files(words: tuple[object, ...], command: Called, manifest_csv: Path) -> None:
    assert command("pack", manifest_csv, "--out", "pack", "--chunk-mb", 1)[0] == 0
    assert command(*words)[0] == 0
    assert command("score", "--manifest", "pack", *words[3:5], "--out", "of_pack")[0] == 0
    files, pack = require_whole(manifest_csv), require_whole(manifest_csv, Path("of_pack"))
    assert pack["score"].tolist() == files["score"].tolist()
