"""Corpora read from folders and manifests, and the scan for broken clips."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dfad.audio import LIMITS, Limits
from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.corpora.check import broken
from dfad.dealing import BY_SPEAKER_OR_NAME
from dfad.errors import ConfigError, DataError

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Make empty files of the given names below a root."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "root"

    return make


def read(path: Path, name: str = "folder", **options: Any) -> Manifest:
    return CORPORA[name].read({"name": name, "path": str(path), **options}).manifest()


def complaint(root: Path, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(root, **options)
    return str(error.value)


# folders


def test_split_folders(folder: Folder) -> None:
    manifest = read(folder("training/real/a.wav", "Validation/Fake/b.FLAC", "testing/fake/deep/er/c.mp3"))
    frame = manifest.frame.set_index("id")
    assert frame["split"].to_dict() == {
        "Validation/Fake/b.FLAC": "val",
        "testing/fake/deep/er/c.mp3": "test",
        "training/real/a.wav": "train",
    }
    assert frame["label"].tolist() == [0, 0, 1]
    assert manifest.notes == ()


def test_without_split_folders_a_rule_deals(folder: Folder) -> None:
    manifest = read(folder(*(f"{label}/{row}.wav" for label in ("real", "fake") for row in range(40))))
    assert len(manifest) == 80
    assert set(manifest.frame["split"]) == {"train", "val", "test"}
    assert manifest.notes == (BY_SPEAKER_OR_NAME.note,)


def test_some_split_folders_are_an_error(folder: Folder) -> None:
    text = complaint(folder("train/real/a.wav", "train/fake/b.wav", "fake/c.wav"))
    assert "1 of 3 files" in text
    assert "the first: fake/c.wav" in text


def test_folder_below_spoof_names_the_attack(folder: Folder) -> None:
    frame = read(folder("test/spoof/WaveNet/a.wav", "test/spoof/b.wav", "test/real/anna/c.wav")).frame
    assert dict(zip(frame["id"], frame["attack"], strict=True)) == {
        "test/real/anna/c.wav": "",
        "test/spoof/WaveNet/a.wav": "WaveNet",
        "test/spoof/b.wav": "",
    }


def test_hidden_and_other_files_are_passed_over(folder: Folder) -> None:
    root = folder(
        "real/a.wav", "real/._a.wav", ".cache/b.wav", "real/.x/c.wav", "fake/d.wav", "README.txt", "fake/e.txt"
    )
    assert list(read(root).ids) == ["fake/d.wav", "real/a.wav"]


@pytest.mark.parametrize("strange", ["music/x.wav", "x.wav", "train/x.wav", "train/other/real/x.wav"])
def test_unknown_folders_are_an_error(folder: Folder, strange: str) -> None:
    text = complaint(folder("train/real/a.wav", strange))
    assert f"1 of 2 audio files below {folder()} lie in no folder named as a label, the first: {strange}" in text


def test_nothing_there(folder: Folder, tmp_path: Path) -> None:
    assert "no audio below" in complaint(folder("real/notes.txt"))
    assert "no folder at" in complaint(tmp_path / "missing")
    assert "is a file; use data=manifest" in complaint(folder("a.wav") / "a.wav")


def test_one_class_is_found(folder: Folder) -> None:
    manifest = read(folder("train/real/a.wav", "train/real/b.wav"))
    with pytest.raises(DataError, match="2 bona-fide and 0 spoof"):
        manifest.require_both_classes(["train"])


def test_linked_folders_are_followed_once(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.wav").touch()
    root = folder("fake/b.wav")
    (root / "real").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(root)
    assert list(read(root).ids) == ["fake/b.wav", "real/a.wav"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_that_are_not_utf8_are_named(folder: Folder) -> None:
    root = folder("real/a.wav")
    Path(os.fsdecode(os.fsencode(root / "real") + b"/\xff.wav")).touch()
    assert "1 file names are not UTF-8, the first: 'real/\\udcff.wav'" in complaint(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_an_error(folder: Folder) -> None:
    root = folder("real/a.wav", "fake/b.wav")
    (root / "fake").chmod(0)
    assert "permission denied" in complaint(root)


# manifests


def test_manifest_with_a_root(manifest_csv: Path, tmp_path: Path) -> None:
    moved = tmp_path / "list.csv"
    moved.write_bytes(manifest_csv.read_bytes())
    assert read(manifest_csv, "manifest").root == manifest_csv.parent
    manifest = read(moved, "manifest", root=str(manifest_csv.parent))
    assert manifest.path(0).is_file()
    assert not read(moved, "manifest").path(0).exists()
    assert manifest.digest() == read(manifest_csv, "manifest").digest()


def test_path_is_no_part_of_the_identity(tmp_path: Path) -> None:
    one, two = (CORPORA["manifest"].read({"path": path, "workers": 3, "scan": False}) for path in ("a.csv", "b.csv"))
    assert one.identity() == two.identity()
    assert not {"path", "root", "workers", "scan", "max_bad_fraction"} & set(one.identity())


def test_missing_path_says_what_to_type() -> None:
    with pytest.raises(ConfigError, match=r"data\.path: missing; give it as data\.path=…"):
        CORPORA["folder"].read({}, at="data")


# the scan


@pytest.fixture
def damaged(tmp_path: Path) -> Manifest:
    """Forty clips, of which 3 is missing, 7 no sound, 20 truncated, 21 NaN and 33 too long."""
    lines = ["path,label,split,duration_s"]
    for row in range(40):
        wave = np.zeros(1600, np.float32)
        if row == 21:
            wave[5] = np.nan
        soundfile.write(tmp_path / f"{row}.wav", np.tile(wave, 20 if row == 33 else 2), 16000, subtype="FLOAT")
        lines.append(f"{row}.wav,real,test,{0.4 if row == 20 else '' if row % 2 else 0.2}")
    (tmp_path / "3.wav").unlink()
    (tmp_path / "7.wav").write_text("no sound")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    return Manifest.read(tmp_path / "m.csv")


@pytest.mark.parametrize("batch", [4, 256])
def test_broken_clips_are_found_in_order(damaged: Manifest, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr("dfad.corpora.check._BATCH", batch)
    told: list[tuple[int, int]] = []
    found = broken(
        damaged, range(40), limits=Limits(max_duration_s=1), progress=lambda done, of: told.append((done, of))
    )
    assert list(found) == ["3.wav", "7.wav", "20.wav", "21.wav", "33.wav"]
    for reason, word in zip(found.values(), ("no such file", "decoded", "truncated", "NaN", "2 s long"), strict=True):
        assert word in reason
    assert told == [(done, 40) for done in range(1, 41)]


def test_only_the_given_rows_are_looked_at(damaged: Manifest) -> None:
    assert list(broken(damaged, np.array([0, 1, 21, 22]), limits=LIMITS)) == ["21.wav"]
    assert broken(damaged, [], limits=LIMITS) == {}


def test_a_scan_stops_when_it_is_interrupted(damaged: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfad.corpora.check._BATCH", 4)
    looked: list[Path] = []
    monkeypatch.setattr("dfad.corpora.check.verify", lambda path, **_: looked.append(path))

    def interrupt(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken(damaged, range(40), limits=LIMITS, progress=interrupt)
    assert len(looked) <= 4


def test_the_real_corpus_is_whole(reference: Path) -> None:
    manifest = Manifest.read(reference / "corpus" / "manifest.csv")
    assert broken(manifest, range(len(manifest)), limits=LIMITS) == {}
