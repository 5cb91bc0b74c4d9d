"""Score tables: the join to a manifest, exact round trips, slices, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfad.clips import Manifest
from dfad.errors import DataError
from dfad.scores import ScoreTable


@pytest.fixture
def manifest() -> Manifest:
    """Six clips: two bona fide, two of A01, one each of A02 and A03."""
    frame = pd.DataFrame(
        {
            "path": [f"{letter}, ü.wav" for letter in "abcdef"],
            "label": ["real", "fake", "real", "fake", "fake", "fake"],
            "attack": ["", "A01", "", "A02", "A01", "A03"],
            "split": "test",
            "speaker": ["0012", "7", "NA", "", "7", "8"],
            "duration_s": [1.5, 2, np.nan, 1, 1, 1],
            "codec": ["", "mp3", "opus", "", "a\nb", '"'],
        }
    )
    return Manifest.check(frame, Path(), source="")


SCORES = np.array([1.0, -1 / 3, np.pi, 1e-20, -3e38, 0.1], np.float32)


@pytest.fixture
def table(manifest: Manifest) -> ScoreTable:
    return ScoreTable.of(manifest, np.arange(6), SCORES)


def test_rows_come_in_manifest_order(manifest: Manifest) -> None:
    table = ScoreTable.of(manifest, np.array([4, 0, 3]), np.array([0.4, 0.0, 0.3]))
    assert table.frame["id"].tolist() == ["a, ü.wav", "d, ü.wav", "e, ü.wav"]
    np.testing.assert_array_equal(table.scores, np.float32([0.0, 0.3, 0.4]))
    assert table.labels.tolist() == [1, 0, 0]
    assert list(table.frame)[:5] == ["id", "score", "label", "attack", "split"]
    assert {"speaker", "duration_s", "codec"} < set(table.frame)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_round_trip_is_exact(table: ScoreTable, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"test{suffix}"
    table.write(path)
    again = ScoreTable.read(path)
    pd.testing.assert_frame_equal(again.frame, table.frame)
    assert again.frame["score"].to_numpy().tobytes() == SCORES.tobytes()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_any_float32_survives(tmp_path: Path, suffix: str) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 5000, dtype=np.uint32).view(np.float32)
    scores = np.append(bits[np.isfinite(bits)], [np.float32(np.nan), np.float32(np.inf)])
    rows = {"id": [str(row) for row in range(len(scores))], "score": scores, "label": np.int8(0)}
    ScoreTable(pd.DataFrame(rows).assign(attack="x", split="test")).write(tmp_path / f"s{suffix}")
    np.testing.assert_array_equal(ScoreTable.read(tmp_path / f"s{suffix}").scores, scores.astype(float))


def test_labels_are_words_in_the_file(table: ScoreTable, tmp_path: Path) -> None:
    table.write(tmp_path / "s.csv")
    assert pd.read_csv(tmp_path / "s.csv")["label"].tolist()[:2] == ["bona-fide", "spoof"]


def test_a_clip_scored_twice_is_named(manifest: Manifest) -> None:
    with pytest.raises(DataError, match=r"1 clips were scored twice, the first: c, ü\.wav"):
        ScoreTable.of(manifest, np.array([2, 0, 2]), np.zeros(3))


def test_require_names_what_is_lost_or_extra(manifest: Manifest) -> None:
    ids = manifest.frame["id"]
    some = ScoreTable.of(manifest, np.array([0, 1, 5]), np.zeros(3))
    some.require(ids.iloc[[5, 0, 1]])
    with pytest.raises(DataError, match=r"3 of 6 clips have no score, the first: c, ü\.wav"):
        some.require(ids)
    with pytest.raises(DataError, match=r"1 scored clips are not in the manifest, the first: f, ü\.wav"):
        some.require(ids.iloc[:2])


def test_where(table: ScoreTable) -> None:
    assert len(table.where(table.scores > 0)) == 4
    assert len(table.where(table.frame["codec"] == "mp3")) == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no readable"),
        ("a,b\n1,2\n", "no column id, score, label, attack, split"),
        ("id,score,label,attack,split\na,1,spoof,,test\na,2,spoof,,test\n", "1 ids stand twice, the first: a"),
        ("id,score,label,attack,split\na,high,spoof,,test\n", "row 2: score 'high' is no number"),
        ("id,score,label,attack,split\na,1,0,,test\n", "unknown label '0'"),
    ],
)
def test_files_that_are_no_scores(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "s.csv").write_text(content)
    with pytest.raises(DataError, match=what):
        ScoreTable.read(tmp_path / "s.csv")


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_missing_and_binary_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no scores at"):
        ScoreTable.read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff\0" * 99)
    with pytest.raises(DataError, match="no readable"):
        ScoreTable.read(tmp_path / name)
