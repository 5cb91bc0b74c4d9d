"""MLAAD with M-AILABS: bars and lone quotes, a recording beside what was made of it, languages without bona fide."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.corpora.m_ailabs import places
from dfad.corpora.mlaad import BY_READER
from dfad.dealing import AT_RANDOM
from dfad.errors import DataError
from dfad.training.runs import Run
from dfad.training.scoring import SILENT, usable_clips
from tests import stand_ins
from tests.stand_ins import META, READERS, fill, write

META_FILE = "fake/de/vits/meta.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return stand_ins.mlaad(tmp_path / "data")


def read(path: Path, **options: Any) -> Manifest:
    return CORPORA["mlaad"].read({"name": "mlaad", "path": str(path), **options}).manifest()


def complaint(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(path, **options)
    return str(error.value)


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def test_both_classes_are_read_with_all_columns(root: Path) -> None:
    frame = read(root).frame.set_index("id")
    assert frame["label"].value_counts().to_dict() == {0: 32, 1: 16}
    original = "de_DE/by_book/female/ramona/a_book/wavs/a_book_0_f000001.wav"
    row = frame.loc["fake/de/vits/ramona_1.wav"].to_dict()
    assert {**row, "duration_s": 0, "split": ""} == {
        **{"label": 0, "split": "", "attack": "tts/vits", "speaker": "", "duration_s": 0, "original": original},
        **{"language": "de", "is_original_language": "True", "duration": "0.6", "training_data": "own"},
        **{"architecture": "VITS", "transcript": 'Say "1', "source": "ramona", "gender": "", "book": ""},
    }
    row = frame.loc[f"M-AILABS/{original}"].to_dict()
    assert {**row, "duration_s": 0, "split": ""} == {
        **{"label": 1, "split": "", "attack": "", "speaker": "ramona", "duration_s": 0, "original": original},
        **{"language": "de", "is_original_language": "", "duration": "", "training_data": "", "architecture": ""},
        **{"transcript": 'Say "1', "source": "ramona", "gender": "female", "book": "a_book"},
    }


def test_a_recording_and_all_that_was_made_of_it_stay_together(root: Path) -> None:
    manifest = read(root)
    groups = manifest.frame.groupby("original")
    assert (groups.size() == 3).all()
    assert (groups["split"].nunique() == 1).all()
    assert (manifest.frame.groupby("source")["split"].nunique() == 1).all()
    assert set(manifest.frame["source"]) == set(READERS)
    manifest.require_both_classes(["train", "val", "test"])
    assert manifest.dealing is BY_READER
    assert manifest.notes == (BY_READER.note,)
    random = read(root, split="random")
    assert (random.frame.groupby("source")["split"].nunique() > 1).any()
    assert random.notes == (AT_RANDOM.note,)


@pytest.mark.parametrize(
    ("path", "language", "gender", "reader", "book", "source"),
    [
        ("de_DE/by_book/female/eva_k/a/wavs/x.wav", "de", "female", "eva_k", "a", "eva_k"),
        ("M/fr_FR/male/bernard/a/wavs/x.wav", "fr", "male", "bernard", "a", "bernard"),  # French has no by_book
        ("es_ES/by_book/mix/don_quijote/wavs/x.wav", "es", "mix", "", "don_quijote", "don_quijote"),
        ("es_ES/by_book/female/karen/wavs/x.wav", "es", "female", "karen", "", "karen"),
        ("de_DE/by_book/other/x.wav", "", "", "", "", ""),
        ("", "", "", "", "", ""),
    ],
)
def test_paths_of_m_ailabs_say_who_reads(
    path: str, language: str, gender: str, reader: str, book: str, source: str
) -> None:
    row = places(pd.Series([path], dtype="str")).iloc[0].to_dict()
    original = path.removeprefix("M/") if language else ""
    assert row == {
        **{"original": original, "language": language, "gender": gender},
        **{"reader": reader, "book": book, "source": source},
    }


def test_a_text_is_dealt_with_its_reader_whatever_the_language(root: Path) -> None:
    original = "en_US/by_book/female/tux/a_book/wavs/a_book_1_f000000.wav"
    write(root / "fake" / "ja" / "bark" / "meta.csv", [META, f"x.wav|{original}|ja|False|1|?|bark|Bark|水"])
    fill(root / "fake" / "ja" / "bark", ["x.wav"], stand_ins.empty, spoof=True)
    manifest = read(root)
    splits = manifest.frame.set_index("id")["split"]
    assert splits["fake/ja/bark/x.wav"] == splits[f"M-AILABS/{original}"] == "test"
    (note,) = manifest.notes[1:]
    assert "1 spoof clips are in languages without bona fide clips, so that the language tells the class: ja" in note
    assert "data.languages=[…]" in note
    chosen = read(root, languages=["en", "de"])
    assert set(chosen.frame["language"]) == {"en", "de"}
    assert len(chosen.notes) == 1
    assert "data.languages: no clip is in 'dee'; did you mean 'de'?" in complaint(root, languages=["dee"])


def test_lists_of_other_releases_have_other_columns(root: Path) -> None:
    meta = root / META_FILE
    lines = meta.read_text().splitlines()
    meta.write_text("\n".join([f"{lines[0]}|reference_speaker", *(f"{line}|anna" for line in lines[1:])]))
    frame = read(root).frame
    assert set(frame["speaker"][frame["id"].str.startswith("fake/de/vits")]) == {"anna"}
    assert set(frame["speaker"][frame["id"].str.startswith("fake/de/xtts")]) == {""}


@pytest.mark.parametrize(
    ("fake", "real"), [("MLAAD/fake", "M-AILABS"), ("fake", "real"), ("a/b/fake", "."), ("fake", "x/y")]
)
def test_it_is_found_however_it_is_laid_out(fake: str, real: str, root: Path, tmp_path: Path) -> None:
    whole = read(root)
    here = tmp_path / "here"
    shutil.copytree(root / "fake", here / fake)
    shutil.copytree(root / "M-AILABS", here / real, dirs_exist_ok=True)
    assert sorted(read(here).frame["original"]) == sorted(whole.frame["original"])
    stand_ins.wavefake(here)
    (here / "for-norm" / "training" / "fake").mkdir(parents=True)  # another folder of that name
    assert len(read(here)) == len(whole)
    shutil.copytree(root / "fake", here / "again" / "fake")
    assert "2 folders below" in complaint(here)


def test_missing_extra_and_hidden_files(root: Path) -> None:
    folder = root / "fake" / "de" / "vits"
    fill(folder, ["._ramona_1.wav", "._meta.csv", "meta.csv.bak", ".meta.csv.swp"], stand_ins.empty)
    fill(
        root / "M-AILABS" / "de_DE" / "by_book" / "female" / "ramona" / "a_book" / "wavs", ["._x.wav"], stand_ins.empty
    )
    assert read(root).notes == (BY_READER.note,)
    fill(folder, ["extra.wav"], stand_ins.empty)
    fill(root / "fake" / "de" / "unlisted", ["a.wav"], stand_ins.empty)
    note = (
        "audio files that no meta.csv names are left out: 2, the first: fake/de/unlisted/a.wav, fake/de/vits/extra.wav"
    )
    assert read(root).notes[1:] == (note,)
    (folder / "ramona_1.wav").unlink()
    (root / "fake" / "en" / "xtts" / "tux_0.wav").unlink()
    text = complaint(root)
    assert "2 of 32 clips have no file, the first: fake/de/vits/ramona_1.wav, fake/en/xtts/tux_0.wav" in text
    assert "dfad prepare mlaad" in text


def test_recordings_and_their_texts_may_lack_each_other(root: Path) -> None:
    book = root / "M-AILABS" / "en_US" / "by_book" / "female" / "tux" / "a_book"
    (book / "wavs" / "a_book_1_f000000.wav").unlink()
    fill(book / "wavs", ["new.wav"], stand_ins.empty)
    fill(book.parent, ["intro.wav"], stand_ins.empty)
    manifest = read(root)
    inside = "M-AILABS/en_US/by_book/female/tux"
    assert manifest.notes[1:] == (
        f"audio files that lie in no book of M-AILABS are left out: 1, namely {inside}/intro.wav",
        f"recordings of M-AILABS without a line in metadata.csv: 1, namely {inside}/a_book/wavs/new.wav",
        f"lines of M-AILABS without a recording: 1, namely {inside}/a_book/wavs/a_book_1_f000000",
    )
    assert manifest.frame.set_index("id").loc[f"{inside}/a_book/wavs/new.wav", "transcript"] == ""


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (
            lambda text: text.replace("ramona_1.wav", "ramona_0.wav"),
            "fake/de/vits/ramona_0.wav stands twice, first in line 2",
        ),
        (lambda text: text.replace('|Say "1', '|Say "1|more', 1), "line 3: 10 columns, expected 9"),
        (lambda text: text.replace("|own|", "|", 1), "line 2: 8 columns, expected 9"),
        (lambda text: text.replace("|tts/vits|", "||", 1), "line 2: no model_name"),
        (lambda text: text.replace("./fake/de/vits/ramona_0.wav|", "|", 1), "line 2: no path"),
        (lambda text: text.replace("|", ";"), "no column 'path' in its first line, 'path;original_file;"),
        (lambda text: text.replace("original_file", "orig"), "no column 'original_file' in its first line"),
    ],
)
def test_a_damaged_list_is_told_by_line(change: Callable[[str], str], answer: str, root: Path) -> None:
    edit(root / META_FILE, change)
    text = complaint(root)
    assert text.startswith(str(root / META_FILE))
    assert answer in text


def test_lists_from_windows_are_read(root: Path) -> None:
    whole = read(root)
    for meta in (root / META_FILE, root / "M-AILABS/de_DE/by_book/female/ramona/a_book/metadata.csv"):
        meta.write_bytes(b"\xef\xbb\xbf" + meta.read_bytes().replace(b"\n", b"\r\n"))
    assert read(root).digest() == whole.digest()


def test_what_is_absent_is_said_with_what_to_type(root: Path, tmp_path: Path) -> None:
    text = complaint(tmp_path / "none")
    assert "expected fake/<language>/<model>/meta.csv, and recordings of M-AILABS" in text
    assert "dfad prepare mlaad --root" in text
    shutil.rmtree(root / "M-AILABS")
    text = complaint(root)
    assert f"no recordings of M-AILABS below {root}, so no bona fide clips: expected de_DE/by_book/" in text
    assert f"ln -s /where/they/are {root}/" in text
    assert "what lies there is wavefake" in complaint(stand_ins.wavefake(tmp_path / "other"))


def test_damaged_files_are_skipped_counted_and_named(tmp_path: Path) -> None:
    root = stand_ins.mlaad(tmp_path / "data", make=stand_ins.sound, each=1)
    (root / "fake" / "de" / "vits" / "ramona_0.wav").write_bytes(b"RIFF")
    values = {"name": "mlaad", "path": str(root), "on_error": "skip", "max_bad_fraction": 0.1}
    knobs = CORPORA["mlaad"].read(values)
    usable = usable_clips(knobs.manifest(), knobs, Run(tmp_path / "run"), SILENT)
    assert len(usable) == 23
    assert usable.dealing is BY_READER
    assert list(json.loads((tmp_path / "run" / "manifest.json").read_text())["skipped"]) == [
        "fake/de/vits/ramona_0.wav"
    ]
