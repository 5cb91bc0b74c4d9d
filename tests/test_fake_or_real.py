"""Fake-or-Real: stand-ins for each variant, as copies lie on people's disks, and `dfad prepare` up to a training."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.corpora.archives import SOURCES
from dfad.corpora.fake_or_real import VARIANTS
from dfad.errors import DataError
from tests.conftest import SMALL
from tests.servers import Served, serving

SPLIT_FOLDERS = ("training", "validation", "testing")
SUFFIX = {"fake": ".mp3.wav_16k.wav_norm.wav", "real": ".wav_16k.wav_norm.wav"}


def stand_in(root: Path, *, each: int = 3, sound: bool = False) -> Path:
    """Write a small corpus: the same stems in both classes and all splits, training fakes named after MP3s."""
    random = np.random.default_rng(0)
    for split in SPLIT_FOLDERS:
        for label in ("real", "fake"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(each):
                path = folder / f"file{number}{'.wav' if split == 'testing' else SUFFIX[label]}"
                path.touch()
                if sound:
                    time = np.arange(9600) / 16000
                    buzz = np.sign(np.sin(2 * np.pi * random.uniform(80, 300) * time))
                    wave = random.normal(size=9600) if label == "real" else buzz
                    soundfile.write(path, 0.1 * wave, 16000)
    return root


def read(name: str, path: Path) -> Manifest:
    return CORPORA[name].read({"name": name, "path": str(path)}).manifest()


def complaint(name: str, path: Path) -> str:
    with pytest.raises(DataError) as error:
        read(name, path)
    return str(error.value)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("nesting", ["", "{inner}", "{inner}/{inner}", "copy", "downloads/my copy/x"])
def test_every_variant_is_found_however_it_is_nested(name: str, nesting: str, tmp_path: Path) -> None:
    inner = VARIANTS[name].folder
    root = stand_in(tmp_path / "data" / nesting.format(inner=inner))
    (tmp_path / "data" / ".hidden" / "training").mkdir(parents=True)
    manifest = read(name, tmp_path / "data")
    assert manifest.root == root
    assert len(manifest) == len(set(manifest.ids)) == 18
    assert "training/fake/file0.mp3.wav_16k.wav_norm.wav" in set(manifest.ids)  # whatever lies above
    assert manifest.frame["split"].value_counts().to_dict() == {"train": 6, "val": 6, "test": 6}
    assert manifest.labels.sum() == 9


def test_folder_names_may_be_other_words_in_any_case(tmp_path: Path) -> None:
    root = stand_in(tmp_path / "for-norm")
    (root / "training").rename(root / "Train")
    (root / "validation").rename(root / "DEV")
    (root / "Train" / "real").rename(root / "Train" / "Genuine")
    (root / "DEV" / "fake").rename(root / "DEV" / "Spoof")
    frame = read("for_norm", root).frame
    assert frame.groupby(["split", "label"]).size().tolist() == [3] * 6


def test_the_source_codec_is_kept_and_only_test_fakes_have_an_attack(tmp_path: Path) -> None:
    root = stand_in(tmp_path)
    for number, suffix in enumerate((".mp3", ".MP3", ".wav")):
        (root / "training" / "real" / f"x{number}.mp3project{suffix}").touch()
    frame = read("for_original", root).frame.set_index("id")
    assert frame["source_codec"]["training/fake/file1.mp3.wav_16k.wav_norm.wav"] == "mp3"
    assert frame["source_codec"]["training/real/file1.wav_16k.wav_norm.wav"] == ""
    assert frame["source_codec"]["training/real/x0.mp3project.mp3"] == "mp3"
    assert frame["source_codec"]["training/real/x1.mp3project.MP3"] == "mp3"
    assert frame["source_codec"]["training/real/x2.mp3project.wav"] == ""
    attacks = frame.groupby(["split", "label"])["attack"].unique().map(list).to_dict()
    assert attacks.pop(("test", 0)) == ["google-wavenet"]
    assert all(found == [""] for found in attacks.values())


def test_of_two_variants_under_one_root_the_name_decides(tmp_path: Path) -> None:
    for name in ("for_2sec", "for_rerec"):
        stand_in(tmp_path / VARIANTS[name].folder / VARIANTS[name].folder)
    for name in ("for_2sec", "for_rerec"):
        assert read(name, tmp_path).root == tmp_path / VARIANTS[name].folder / VARIANTS[name].folder
    text = complaint("for_norm", tmp_path)
    assert f"no for_norm at {tmp_path}" in text
    assert "what lies there is for_2sec and for_rerec" in text


def test_another_variant_s_name_is_never_taken(tmp_path: Path) -> None:
    stand_in(tmp_path / "for-norm")
    assert "what lies there is for_norm" in complaint("for_rerec", tmp_path / "for-norm")


def test_several_copies_are_named(tmp_path: Path) -> None:
    stand_in(tmp_path / "one")
    stand_in(tmp_path / "two")
    text = complaint("for_rerec", tmp_path)
    assert "2 folders" in text
    assert f"data.path={tmp_path / 'one'}" in text
    assert f"data.path={tmp_path / 'two'}" in text


@pytest.mark.parametrize("name", VARIANTS)
def test_an_absent_corpus_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    text = complaint(name, tmp_path / "none")
    size = {"for_original": "7.9 GB", "for_norm": "5.9 GB", "for_2sec": "1.05 GB", "for_rerec": "1.56 GB"}[name]
    assert f"({size}, https://bil.eecs.yorku.ca/share/{name.replace('_', '-')}.tar.gz)" in text
    assert f"dfad prepare {name} --root {tmp_path / 'none'}" in text
    assert "data.path=…" in text
    (tmp_path / "x.tar.gz").touch()
    assert f"dfad prepare {name} --archive {tmp_path / 'x.tar.gz'}" in complaint(name, tmp_path / "x.tar.gz")


@pytest.mark.parametrize("gone", ["testing/fake", "validation/real", "training"])
@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_or_missing_class_is_refused(gone: str, empty: bool, tmp_path: Path) -> None:
    root = stand_in(tmp_path)
    shutil.rmtree(root / gone)
    if empty:
        (root / gone).mkdir()
    text = complaint("for_rerec", root)
    split = {"testing": "test", "validation": "val", "training": "train"}[gone.split("/")[0]]
    assert f"split '{split}' has" in text
    assert "dfad prepare for_rerec" in text


def test_strange_folders_are_refused(tmp_path: Path) -> None:
    root = stand_in(tmp_path)
    (root / "training" / "other").mkdir()
    (root / "training" / "other" / "a.wav").touch()
    assert "lie in no folder named as a label, the first: training/other/a.wav" in complaint("for_2sec", root)


def test_counts_that_differ_are_noted_and_those_that_do_not_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = stand_in(tmp_path)
    (note,) = read("for_rerec", root).notes
    assert "is not the published corpus: 18 clips, expected 13,268" in note
    assert "test 3 + 3 instead of 408 + 408" in note
    (note,) = read("for_original", root).notes
    assert "18 clips, expected 69,316, so do not compare" in note
    whole = replace(VARIANTS["for_rerec"], total=18, clips=dict.fromkeys(("train", "val", "test"), (3, 3)))
    monkeypatch.setitem(VARIANTS, "for_rerec", whole)
    assert read("for_rerec", root).notes == ()
    monkeypatch.setitem(VARIANTS, "for_rerec", replace(whole, clips={**whole.clips, "val": (2, 4)}))
    (note,) = read("for_rerec", root).notes
    assert "as many clips as published, but other splits; bona fide + spoof: val 3 + 3 instead of 2 + 4" in note


@pytest.mark.parametrize("name", [name for name in VARIANTS if VARIANTS[name].clips])
def test_the_published_counts_add_up(name: str) -> None:
    assert sum(map(sum, VARIANTS[name].clips.values())) == VARIANTS[name].total


# dfad prepare

Prepare = Callable[..., tuple[int, str]]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that has a small for-2sec, and a table that knows it."""
    monkeypatch.setenv("no_proxy", "*")
    home = tmp_path_factory.mktemp("server")
    stand_in(home / "for-2seconds", each=6, sound=True)
    with tarfile.open(home / "for-2sec.tar.gz", "w:gz") as tar:
        tar.add(home / "for-2seconds", "for-2seconds")
    content = (home / "for-2sec.tar.gz").read_bytes()
    clips = dict.fromkeys(("train", "val", "test"), (6, 6))
    monkeypatch.setitem(VARIANTS, "for_2sec", replace(VARIANTS["for_2sec"], total=36, clips=clips))
    with serving(Served(content)) as served:
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
        relocate(monkeypatch, "for_2sec", served.url, about=size, size=size, sha256=sha256)
        yield served


def relocate(monkeypatch: pytest.MonkeyPatch, corpus: str, url: str, **facts: object) -> None:
    """Let the archive of a corpus lie elsewhere."""
    (archive,) = SOURCES[corpus].archives
    moved = replace(archive, url=url, **facts)  # type: ignore[arg-type]
    monkeypatch.setitem(SOURCES, corpus, replace(SOURCES[corpus], archives=(moved,)))


def test_prepare_brings_a_corpus_that_trains(
    server: Served, prepare: Prepare, dfad: Callable[..., object], tmp_path: Path
) -> None:
    server.drop_after, server.drops = len(server.content) // 2, 1
    corpus = tmp_path / "data" / "for_2sec"
    code, said = prepare("for_2sec")
    assert code == 0, said
    assert "closed the connection" in said
    assert "size and sha256 are as published" in said
    assert re.search(r"│ test +│ +6 │ +6 │ +6 │ +6 │", said)  # found and published, of both classes
    assert "36 of 36 clips can be used" in said
    assert "next: python train.py data=for_2sec\n" in said
    assert "not the published" not in said
    shown = [path.name for path in corpus.iterdir() if not path.name.startswith(".")]
    assert sorted(shown) == ["for-2seconds", "for_2sec.prepared.html", "for_2sec.prepared.parquet"]
    asked = len(server.asked)
    code, said = prepare("for_2sec")
    assert code == 0
    assert f"is there already: {Path('data/for_2sec')}" in said
    assert len(server.asked) == asked

    words = ("experiment=for_2sec_cnn", *SMALL, "trainer.max_epochs=1", "augment=none")
    done = dfad("train", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert "is not the published corpus: 36 clips" in done.stdout  # type: ignore[attr-defined]
    (path,) = tmp_path.glob("runs/cnn-logmel-for_2sec-*/scores/val.csv")
    scores = pd.read_csv(path, keep_default_na=False)
    assert scores["source_codec"].tolist() == ["mp3"] * 6 + [""] * 6
    assert scores["id"].iloc[0] == "validation/fake/file0.mp3.wav_16k.wav_norm.wav"


def test_prepare_takes_an_archive_that_was_brought(server: Served, prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "brought.tar.gz").write_bytes(server.content)
    code, said = prepare("for_2sec", "--root", "disk/for", "--archive", "brought.tar.gz")
    assert code == 0, said
    assert "next: python train.py data=for_2sec data.path=disk/for" in said
    assert (tmp_path / "brought.tar.gz").is_file()
    assert not server.asked
    (tmp_path / "short.tar.gz").write_bytes(server.content[:-1])
    code, said = prepare("for_2sec", "--root", "other", "--archive", "short.tar.gz")
    assert code == 3
    assert "short.tar.gz: " in said
    assert "expected" in said


def test_prepare_keeps_what_it_downloaded_if_told(server: Served, prepare: Prepare, tmp_path: Path) -> None:
    assert prepare("for_2sec", "--keep-archive")[0] == 0
    assert (tmp_path / "data" / "for_2sec" / "for-2sec.tar.gz").read_bytes() == server.content


def test_prepare_says_what_to_do_without_a_network(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    relocate(monkeypatch, "for_rerec", "http://nowhere.invalid/for-rerec.tar.gz")
    code, said = prepare("for_rerec", "--root", "x")
    assert code == 3
    assert "cannot download http://nowhere.invalid/for-rerec.tar.gz: no network" in said
    assert "or download it (1.56 GB) on another machine" in said
    assert "dfad prepare for_rerec --root x --archive for-rerec.tar.gz" in said


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        ([], 0, "for_original     1 archive, 7.9 GB"),
        (["--help"], 0, "for_original     1 archive, 7.9 GB"),
        (["for_rerek"], 2, "did you mean 'for_rerec'?"),
        (["for_rerec", "--rot", "x"], 2, "--rot"),
        (["demo", "--keep-archive"], 2, "demo is not downloaded"),
        (["for_rerec", "--ca-file", "none.pem"], 3, "none.pem holds no certificates"),
        (["for_rerec", "--root", "/proc/nope"], 3, "cannot write to /proc/nope"),
        (["for_rerec", "--archive", "none.tar.gz"], 3, "no archive at none.tar.gz"),
    ],
)
def test_prepare_answers_in_a_line(words: list[str], code: int, answer: str, prepare: Prepare) -> None:
    found, said = prepare(*words)
    assert found == code, said
    assert answer in said
    assert said.count("\n") < 45
    assert "Traceback" not in said


def test_prepare_that_is_interrupted_says_so(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dfad.prepared.bring.fetch", interrupt)
    code, said = prepare("for_rerec")
    assert code == 130
    assert "the same command goes on where it was" in said
