"""In-the-Wild: `bona-fide` is read, speakers stay together, and a foreign detector is scored on all of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfad.clips import Manifest
from dfad.commands.eval import run as eval_command
from dfad.corpora import CORPORA
from dfad.corpora.in_the_wild import BY_SPEAKER, PUBLISHED
from dfad.dealing import AT_RANDOM
from dfad.errors import DataError
from tests import stand_ins
from tests.test_config import composed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return stand_ins.in_the_wild(tmp_path / "data")


def read(path: Path, **options: Any) -> Manifest:
    return CORPORA["in_the_wild"].read({"name": "in_the_wild", "path": str(path), **options}).manifest()


def complaint(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(path, **options)
    return str(error.value)


def edited(root: Path, change: Callable[[str], str]) -> Path:
    meta = root / "release_in_the_wild" / "meta.csv"
    meta.write_text(change(meta.read_text()))
    return root


def test_both_classes_are_read(root: Path) -> None:
    manifest = read(root)
    assert manifest.frame["label"].value_counts().to_dict() == {1: 80, 0: 80}
    assert manifest.root == root / "release_in_the_wild"
    assert manifest.frame.iloc[3][["id", "label", "speaker", "attack"]].tolist() == ["3.wav", 0, "Speaker 1", ""]
    edited(root, lambda text: text.replace("bona-fide", "bonafide"))
    assert read(root).digest() == manifest.digest()


def test_it_is_found_in_a_folder_of_folders_and_by_its_own(root: Path) -> None:
    whole = read(root)
    assert read(root / "release_in_the_wild").digest() == whole.digest()
    assert read(root.parent).digest() == whole.digest()
    stand_ins.mlaad(root)  # which has files called meta.csv too
    assert read(root).digest() == whole.digest()
    shutil.copytree(root / "release_in_the_wild", root / "copy")
    text = complaint(root)
    assert "2 folders" in text
    assert f"data.path={root / 'copy'}" in text


def test_no_speaker_is_in_two_splits(root: Path) -> None:
    manifest = read(root)
    assert (manifest.frame.groupby("speaker")["split"].nunique() == 1).all()
    assert manifest.dealing is BY_SPEAKER
    assert manifest.notes[0] == BY_SPEAKER.note
    assert "by a hash of the speaker, none of which is in two splits" in manifest.notes[0]
    manifest.require_both_classes(["train", "val", "test"])


def test_a_random_split_is_made_on_request_only_and_named(root: Path) -> None:
    manifest = read(root, split="random")
    assert (manifest.frame.groupby("speaker")["split"].nunique() > 1).any()
    assert manifest.notes[0] == AT_RANDOM.note
    knobs = [CORPORA["in_the_wild"].read({"split": split}).identity() for split in ("speaker", "random")]
    assert knobs[0] != knobs[1]


def test_few_speakers_leave_splits_without_clips_and_it_is_said_why(tmp_path: Path) -> None:
    manifest = read(stand_ins.in_the_wild(tmp_path, speakers=2, each=5))
    with pytest.raises(DataError) as error:
        manifest.require_both_classes(["train", "val", "test"])
    assert "split 'test' has 0 bona-fide and 0 spoof clips" in str(error.value)
    assert "clips are dealt by speaker, and none is divided: more of them are needed, or data.split=random" in str(
        error.value
    )


def test_counts_missing_and_extra_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        "in_the_wild is not the published corpus: bona fide + spoof: 80 + 80 instead of 19,963 + 11,816"
        in read(root).notes[1]
    )
    monkeypatch.setitem(PUBLISHED, "", (80, 80))
    assert read(root).notes == (BY_SPEAKER.note,)
    home = root / "release_in_the_wild"
    (home / "._3.wav").touch()
    (home / "more").mkdir()
    (home / "more" / "3.wav").touch()
    assert read(root).notes[1:] == ("audio files that no meta.csv names are left out: 1, namely more/3.wav",)
    (home / "3.wav").unlink()
    assert "1 of 160 clips have no file, namely 3.wav" in complaint(root)
    assert "dfad prepare in_the_wild" in complaint(root)
    assert "3.wav" in set(read(root, on_error="skip").ids)
    for file in home.glob("*.wav"):
        file.unlink()
    assert "none of the 160 clips" in complaint(root)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda text: text.replace("\n7.wav,", "\n8.wav,"), "line 10: 8.wav stands twice, first in line 9"),
        (
            lambda text: text.replace("bona-fide", "bona_fied", 1),
            "line 2: unknown label 'bona_fied'; did you mean 'bona_fide'?",
        ),
        (lambda text: text.replace("2.wav,Speaker 1,", "2.wav,Speaker, 1,", 1), "line 4: 4 columns, expected 3"),
        (lambda text: text.replace("3.wav,Speaker 1,", "3.wav,", 1), "line 5: 2 columns, expected 3"),
    ],
)
def test_a_damaged_table_is_told_by_line(change: Callable[[str], str], answer: str, root: Path) -> None:
    assert answer in complaint(edited(root, change))


def test_a_table_from_windows_is_read(root: Path) -> None:
    whole = read(root)
    meta = root / "release_in_the_wild" / "meta.csv"
    meta.write_bytes(b"\xef\xbb\xbf" + meta.read_bytes().replace(b"\n", b"\r\n"))
    assert read(root).digest() == whole.digest()


def test_an_absent_corpus_says_how_to_get_it(root: Path, tmp_path: Path) -> None:
    text = complaint(tmp_path / "none")
    assert "expected meta.csv, with the columns file, speaker and label" in text
    assert "dfad prepare in_the_wild --root" in text
    edited(root, lambda text: text.replace("file,speaker,label", "name,speaker,label"))
    assert "expected meta.csv" in complaint(root)
    assert "what lies there is asvspoof5" in complaint(stand_ins.asvspoof5(tmp_path / "other"))


def test_a_foreign_detector_is_scored_on_all_of_it(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfad.commands.reports.report_of", lambda *_, **__: None)
    root = stand_ins.in_the_wild(tmp_path / "data", make=stand_ins.sound, speakers=4)
    run = shutil.copytree(trained, tmp_path / "runs" / trained.name)
    eval_command(composed("eval", f"run={run}", "data=in_the_wild", f"data.path={root}", "trainer.accelerator=cpu"))
    (folder,) = (run / "evals").iterdir()
    found = json.loads((folder / "metrics.json").read_text())
    assert (found["values"]["all/n_bona_fide"], found["values"]["all/n_spoof"]) == (8, 8)
    assert not any("no split of its own" in note for note in found["notes"])  # as none was used
    assert any("not the published corpus" in note for note in found["notes"])
