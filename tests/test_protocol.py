"""Tables and protocols read line by line, joined to files on disk; what is listed, and what is recognised."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from dfad.audio import is_audio
from dfad.corpora.listing import above, files_below, files_in, look
from dfad.corpora.protocol import by_utterance, counted, differs, join, read_protocol, unnamed
from dfad.corpora.rows import read_rows, read_texts
from dfad.corpora.signs import recognised
from dfad.errors import DataError

COLUMNS = ("speaker", "utterance", "-", "attack", "label")
PROTOCOL = b"""S1 U_1 - - bonafide
S1 U_2 - A01 spoof
S2 U_3 - A02 spoof
"""


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    path = tmp_path / "protocol.txt"
    path.write_bytes(PROTOCOL)
    return path


def complaint(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_protocol(path, COLUMNS)
    assert str(error.value).startswith(str(path))
    return str(error.value)


# protocols


@pytest.mark.parametrize(
    "content",
    [
        PROTOCOL,
        PROTOCOL.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + PROTOCOL,
        PROTOCOL.replace(b" ", b"\t"),
        PROTOCOL.replace(b" ", b"  "),
        PROTOCOL.replace(b"\n", b" \n"),
        PROTOCOL.replace(b"\n", b" \r\n"),
        b"  " + PROTOCOL.rstrip() + b"  ",
        PROTOCOL.rstrip(),
        PROTOCOL + b"\n\n",
    ],
)
def test_a_protocol_is_read_whatever_its_white_space(content: bytes, protocol: Path) -> None:
    protocol.write_bytes(content)
    frame = read_protocol(protocol, COLUMNS)
    assert frame.to_dict("list") == {
        "speaker": ["S1", "S1", "S2"],
        "utterance": ["U_1", "U_2", "U_3"],
        "attack": ["", "A01", "A02"],  # '-' is nothing; the reserved column is gone
        "label": ["bonafide", "spoof", "spoof"],
    }
    assert frame.index.tolist() == [1, 2, 3]
    assert all(str(kind) == "str" for kind in frame.dtypes)


def test_quotes_and_words_for_nothing_are_values_like_others(protocol: Path) -> None:
    protocol.write_text('NA U_1 - "A nan\n'.replace("nan", "spoof") + "'S U_2 - NULL spoof\n")
    assert read_protocol(protocol, COLUMNS)["attack"].tolist() == ['"A', "NULL"]
    assert read_protocol(protocol, COLUMNS)["speaker"].tolist() == ["NA", "'S"]


@pytest.mark.parametrize("blank", [b"", b"\n", b"\r\n", b"\n\n  \n"])
def test_wrong_lines_are_all_told_by_their_numbers_in_the_file(blank: bytes, protocol: Path) -> None:
    shift = blank.count(b"\n")
    text = complaint(protocol, blank + PROTOCOL + b"S3 U_4 - A01\nS3 U_5 - A01 spoof too\nS3 U_6 - A01 spoof\n")
    assert "2 wrong rows" in text
    assert f"line {4 + shift}: 4 columns, expected 5" in text
    assert f"line {5 + shift}: 6 columns, expected 5" in text
    text = complaint(protocol, blank + PROTOCOL + b"S3 U_4 - A01 spof\nS3 U_2 - A01 spoof\nS3 U_6 x A01 spoof\n")
    assert "3 wrong rows" in text
    assert f"line {4 + shift}: unknown label 'spof'; did you mean 'spoof'?" in text
    assert f"line {5 + shift}: U_2 stands twice, first in line {2 + shift}" in text
    assert f"line {6 + shift}: column 3 is 'x', expected '-'" in text


def test_many_wrong_lines_are_counted(protocol: Path) -> None:
    text = complaint(protocol, b"S1 U_1\n" * 1000)
    assert "1000 wrong rows" in text
    assert text.count("\n") == 21
    assert text.endswith("… and 980 more")


@pytest.mark.parametrize(
    ("content", "answer"),
    [(b"", "is empty"), (b"\n\r\n", "is empty"), (b"S1 U\xff - - spoof\n", "is no readable table: ")],
)
def test_what_is_no_table_is_told(content: bytes, answer: str, protocol: Path) -> None:
    assert answer in complaint(protocol, content)


def test_a_file_that_is_gone_is_told(protocol: Path) -> None:
    protocol.unlink()
    with pytest.raises(DataError, match="no such file"):
        read_protocol(protocol, COLUMNS)


# tables with a header, and texts


def test_bars_separate_and_a_lone_quote_is_a_character(tmp_path: Path) -> None:
    path = tmp_path / "meta.csv"
    path.write_bytes(b'\xef\xbb\xbfpath|text|n\r\na.wav|He said "no|1\r\n\r\nb.wav||2\r\n')
    frame = read_rows(path, delimiter="|", needed=("path",))
    assert frame.to_dict("list") == {"path": ["a.wav", "b.wav"], "text": ['He said "no', ""], "n": ["1", "2"]}
    assert frame.index.tolist() == [2, 4]
    path.write_text("path|text|n\na|b|c\na|b\n")
    with pytest.raises(DataError, match="line 3: 2 columns, expected 3"):
        read_rows(path, delimiter="|")
    with pytest.raises(DataError, match=r"no column 'pth' in its first line, 'path\|text\|n'; did you mean 'path'?"):
        read_rows(path, delimiter="|", needed=("pth",))


def test_commas_separate_and_quotes_embrace(tmp_path: Path) -> None:
    path = tmp_path / "meta.csv"
    path.write_text('"file","speaker"\n1.wav,"Queen Elizabeth, II"\n')
    frame = read_rows(path, delimiter=",", needed=("file", "speaker"), quoted=True)
    assert frame.to_dict("list") == {"file": ["1.wav"], "speaker": ["Queen Elizabeth, II"]}


def test_texts_are_read_in_their_first_version(tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes('\ufeffa|"Eins|eins\r\n\r\nb|Zwei\r\nc|x|y|z\n'.encode())
    assert read_texts(path, "|") == {"a": '"Eins', "b": "Zwei", "c": "x"}
    path.write_text("a|b\n\nc\n")
    with pytest.raises(DataError, match=r"line 3: no '\|' in it"):
        read_texts(path, "|")
    path.write_bytes(b"a|\xff\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_texts(path, "|")


# rows and files


def rows(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"utterance": pd.Series(names, dtype="str"), "label": "spoof"})


def test_every_utterance_gets_its_file() -> None:
    files = by_utterance(["x/a.flac", "y/b.FLAC", "z.z/c.d.wav"], Path("root"))
    assert files == {"a": "x/a.flac", "b": "y/b.FLAC", "c.d": "z.z/c.d.wav"}
    frame, absent = join({"val": rows("b"), "test": rows("a", "c.d")}, files, where=Path(), keep=False, hint="")
    assert frame.to_dict("list") == {
        "label": ["spoof"] * 3,
        "path": ["y/b.FLAC", "x/a.flac", "z.z/c.d.wav"],
        "split": ["val", "test", "test"],
    }
    assert absent == {}


def test_files_that_are_missing_are_counted_and_the_first_are_named() -> None:
    files = {"a": "x/a.flac"}
    parts = {"train": rows("a"), "val": rows("v1", "v2"), "test": rows("a", "b", "c", "d", "e")}
    with pytest.raises(DataError) as error:
        join(parts, files, where=Path("root"), keep=False, hint="get the rest")
    text = str(error.value)
    assert "4 of 5 clips of split test have no file, the first: b, c, d\nget the rest" in text
    assert "split val" not in text  # it is not there at all, which is another thing
    assert "data.on_error=skip" in text
    frame, absent = join(parts, files, where=Path("root"), keep=True, hint="")
    assert frame["path"].tolist() == ["x/a.flac", "x/a.flac", "x/b.flac", "x/c.flac", "x/d.flac", "x/e.flac"]
    assert absent == {"val": 2}


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 clips lie more than once below root, the first: x/a\.flac and y/a\.wav"):
        by_utterance(["x/a.flac", "y/a.wav", "z.wav"], Path("root"))


def test_files_that_nobody_names_are_counted_and_the_first_are_named() -> None:
    files = {name: f"x/{name}.wav" for name in "edcba"}
    assert unnamed(files, set("abcde")) == []
    assert unnamed(files, set("abcd")) == ["audio files that no protocol names are left out: 1, namely x/e.wav"]
    (note,) = unnamed(files, {"b"}, "meta.csv")
    assert note == "audio files that no meta.csv names are left out: 4, the first: x/a.wav, x/c.wav, x/d.wav"


def test_counts_are_held_against_published_ones() -> None:
    words = pd.Series(["bonafide", "spoof", "spoof", "bona-fide", "fake"])
    assert counted(words) == (2, 3)
    published = {"train": (2, 3), "test": (2000, 4)}
    assert differs("it", {"train": (2, 3)}, published) == []  # a split that is not there is another note's matter
    (note,) = differs("it", {"train": (2, 3), "test": (1, 4)}, published)
    assert "it is not the published corpus: bona fide + spoof: test 1 + 4 instead of 2,000 + 4, so do not" in note


# listing


def test_audio_is_found_and_what_macos_leaves_is_not(tmp_path: Path) -> None:
    for name in ("b/x.WAV", "a.flac", "b/._x.WAV", ".c/y.wav", "b/notes.txt", "b/wav", "b/größe.opus", "b/.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_below(tmp_path) == ["a.flac", "b/größe.opus", "b/x.WAV"]
    assert files_in([tmp_path / "b"], tmp_path) == ["b/größe.opus", "b/x.WAV"]
    assert files_below(tmp_path, lambda name: name == "notes.txt") == ["b/notes.txt"]
    assert not is_audio("wav.")


def test_each_folder_is_listed_once_and_no_file_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (tmp_path / f"f{number % 3}").mkdir(exist_ok=True)
        (tmp_path / f"f{number % 3}" / f"{number}.wav").touch()
    listed: list[str] = []
    scandir, stat = os.scandir, os.stat
    monkeypatch.setattr(os, "scandir", lambda path: [listed.append(str(path)), scandir(path)][1])
    monkeypatch.setattr(
        os,
        "stat",
        lambda path, **more: [pytest.fail("stat") if str(path).endswith(".wav") else 0, stat(path, **more)][1],
    )
    assert len(files_below(tmp_path)) == 300
    assert sorted(listed) == sorted({str(tmp_path), *(str(tmp_path / f"f{number}") for number in range(3))})


def test_a_search_does_not_go_into_closed_folders_nor_too_deep(tmp_path: Path) -> None:
    for name in ("a/flac/flac/x", "a/b/keys.txt", "a/b/c/d/keys.txt", ".h/flac/x", "keys.txt", "flac/keys.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folders, files = look(tmp_path, 2, closed="flac".__eq__, wanted="keys.txt".__eq__)
    assert folders == [tmp_path / "flac", tmp_path / "a" / "flac"]
    assert files == [tmp_path / "keys.txt", tmp_path / "a" / "b" / "keys.txt"]
    assert look(tmp_path / "flac", 2, closed="flac".__eq__, wanted="keys.txt".__eq__) == ([tmp_path / "flac"], [])
    assert look(tmp_path / "none", 2, closed="flac".__eq__, wanted="keys.txt".__eq__) == ([], [])
    assert above(folders) == tmp_path


def test_other_corpora_are_recognised_by_their_folders(tmp_path: Path) -> None:
    for name in ("LA/ASVspoof2019_LA_dev", "x/y/ASVspoof2021_DF_eval_part00", "for-2seconds", "music"):
        (tmp_path / name).mkdir(parents=True)
    said = "; what lies there is asvspoof2019_la and asvspoof2021_df and for_2sec"
    assert recognised(tmp_path, "asvspoof5") == said
    assert "asvspoof2019_la" not in recognised(tmp_path, "asvspoof2019_la")
    assert recognised(tmp_path / "music", "asvspoof5") == recognised(tmp_path / "none", "asvspoof5") == ""
