"""Columns of many cells, and CSV files read in two ways: each against what pandas or Python says of every cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfad import columns
from dfad.columns import joined, numbers, repeated, translated
from dfad.table_files import read_any_csv, read_regular_csv

WORDS = st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=30)


@pytest.fixture(params=[3, 1 << 16], ids=["many slices", "one slice"])
def sliced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_SLICE", request.param)


ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # none keeps anything


@ANY
@given(words=WORDS)
def test_repeated_words_are_those_that_came_before(words: list[str], sliced: None) -> None:
    found = repeated(pd.Series(words, dtype="str"))
    assert found.tolist() == [word in words[:row] for row, word in enumerate(words)]


def test_words_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_BASE", 1)  # the hash is the sum of the bytes
    assert repeated(pd.Series(["ab", "ba", "ab", "c", "ba"])).tolist() == [False, False, True, False, True]


def test_hashes_of_a_million_alike_words_differ() -> None:
    words = pd.Series([f"train/spoof/utterance-{number:07}.wav" for number in range(1_000_000)])
    hashes = np.concatenate([columns._hashes(part) for part in columns._slices(words)])
    assert len(np.unique(hashes)) == len(words)


@ANY
@given(words=WORDS)
def test_translating_asks_once_per_word(words: list[str], sliced: None) -> None:
    asked: list[str] = []
    index = [f"row {row}" for row in range(len(words))]
    found = translated(pd.Series(words, index, dtype="str"), lambda word: asked.append(word) or len(word))
    assert found.tolist() == [len(word) for word in words]
    assert list(found.index) == index
    assert len(asked) == len(set(words))


TEXTS = st.one_of(
    st.floats().map(repr),
    st.text("+-.0123456789eE_xinfaNF ", max_size=8),
    st.sampled_from(["", "1e400", " 7 ", "0012", "infinity", "１"]),
)


@ANY
@given(texts=st.lists(TEXTS, max_size=12))
def test_numbers_are_those_that_pandas_reads(texts: list[str], sliced: None) -> None:
    expected = pd.to_numeric(pd.Series(texts, dtype=object).replace("", np.nan), errors="coerce")
    np.testing.assert_array_equal(numbers(pd.Series(texts, dtype="str")), expected.to_numpy(float))


CELLS = {
    "str": ["a", None, "", "ü", "x"],
    "float": [1.5, None, -0.0, 1e-20, 1 / 3],
    "int": [1, -2, 3, 4, 5],
    "bool": [True, False, True, True, False],
    "category": pd.Categorical(["a", None, "b", "a", "b"]),
    "object": pd.Series([1, "a", None, 2.5, True], dtype=object),
    "dates": pd.to_datetime(["2020-01-01", None, "2020-01-02 10:00", "2020-01-03", "2020-01-04"], format="mixed"),
}


@pytest.mark.parametrize("kind", CELLS)
def test_joined_is_the_text_of_all_cells(kind: str, sliced: None) -> None:
    cells = pd.Series(CELLS[kind])
    assert b"".join(joined(cells, "|")).decode() == "|".join(cells.astype(str).fillna(""))
    assert list(joined(cells[:0], "|")) == []


@ANY
@given(body=st.text('ab,,"\n\r \x00é;', max_size=16), head=st.sampled_from(["path,label\n", '"path",label\r\n']))
def test_both_readers_of_csv_give_the_same_table(body: str, head: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes((head + body).encode())
    fast = read_regular_csv(path)
    if fast is not None:
        pd.testing.assert_frame_equal(fast.reset_index(drop=True), read_any_csv(path).reset_index(drop=True))


@ANY
@given(rows=st.lists(st.tuples(*[st.text('ab,"\n\r é', max_size=5)] * 3), min_size=1, max_size=8))
def test_what_a_table_was_written_from_comes_back(rows: list[tuple[str, ...]], tmp_path: Path) -> None:
    written = pd.DataFrame(rows, columns=["path", "label", "x"], dtype="str")
    written.to_csv(tmp_path / "m.csv", index=False, lineterminator="\n")
    found = read_regular_csv(tmp_path / "m.csv")
    if found is not None:  # pandas leaves a lone carriage return without quotes
        there = written[(written != "").any(axis=1)].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True), read_any_csv(tmp_path / "m.csv").reset_index(drop=True)
        )
        if "\r" not in "".join(map("".join, rows)):
            pd.testing.assert_frame_equal(found.reset_index(drop=True), there)
