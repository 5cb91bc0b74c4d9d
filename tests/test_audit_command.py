"""`dfad audit` as a user meets it: what it prints, writes, refuses, and how it ends."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfad.clips import Manifest
from dfad.commands.words import corpus_of
from tests.conftest import Called
from tests.planted import in_spoof, planted


@pytest.fixture
def audit(command: Called) -> Called:
    """Call the command in this process and folder; gives exit code, stdout and stderr."""
    return partial(command, "audit", columns=100)


@pytest.fixture(scope="module")
def louder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of clips of which the spoofed ones are quieter; one file is no audio."""
    root = tmp_path_factory.mktemp("louder")
    manifest = planted(root, 3, clips=100, plant=in_spoof(lambda wave, random: 0.3 * wave))
    manifest.write(root / "clips.csv")
    (root / "clip0007.wav").write_bytes(b"RIFF and no more")
    return root / "clips.csv"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean")
    planted(root, 4, clips=100).write(root / "clips.csv")
    return root / "clips.csv"


def test_a_shortcut_is_shown_written_and_fails_the_gate(audit: Called, louder: Path, tmp_path: Path) -> None:
    code, out, err = audit(louder, "--out", "found", "--fail-above", 0.6)
    assert code == 4
    assert re.search(r"error features that tell the classes apart with an AUROC above 0.6: \d, the worst", err)
    for words in ("bona fide is louder: median", "dfad train … frontend.level=rms", "skipped clip0007.wav:", "EER of"):
        assert words in out, words
    assert all(len(line) <= 100 for line in out.splitlines() if line.startswith(" "))  # the table
    found = json.loads((tmp_path / "found" / "audit.json").read_text())
    first = found["findings"][0]
    assert (first["group"], first["higher"], first["override"]) == ("level", "bona-fide", "frontend.level=rms")
    assert first["auroc"] > 0.95
    assert found["groups"][0]["group"] == "level"
    assert list(found["skipped"]) == ["clip0007.wav"]
    assert sum(sum(count.values()) for count in found["clips"].values()) == 99
    assert any("1 of 100 clips cannot be decoded" in note for note in found["notes"])
    page = (tmp_path / "found" / "report.html").read_text()
    for words in ("Shortcuts: level", "bona fide is louder", "How to read this page", "clip0007.wav", "data:image/png"):
        assert words in page, words
    assert not list((tmp_path / "found").glob("*.part"))


def test_a_clean_corpus_passes_the_gate(audit: Called, clean: Path) -> None:
    code, out, _ = audit(clean, "--fail-above", 0.6)
    assert code == 0
    assert "no feature tells the classes apart by more than chance" in out


def test_json_is_all_that_stdout_has(audit: Called, clean: Path) -> None:
    code, out, _ = audit(clean, "--json", "--group", "speaker")
    found = json.loads(out)
    assert code == 0
    assert set(found) == {
        "format", "clips", "confidence", "findings", "groups", "model", "drift", "overlap", "skipped", "notes"
    }  # fmt: skip
    assert found["model"]["grouped"]["how"] == "speaker"
    assert {it["split"] for it in found["findings"]} == {"train", "val", "test", "all"}
    assert {(it["what"], *it["between"]) for it in found["overlap"]} >= {("speaker", "train", "test")}
    for it in found["findings"]:
        assert it["interval"][0] <= it["auroc"] <= it["interval"][1]


def test_docs_name_every_key(audit: Called, clean: Path) -> None:
    docs = (Path(__file__).parents[1] / "docs" / "audit.md").read_text()
    _, out, _ = audit(clean, "--json")
    found = json.loads(out)
    for key in (*found, *found["findings"][0], *found["model"]["trials"][0], *found["drift"][0]):
        assert f"`{key}`" in docs, key


def test_folders_and_corpora_by_name(
    audit: Called, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest.read(clean)
    for label in ("real", "fake"):
        (tmp_path / "clips" / label).mkdir(parents=True)
    for row in range(len(manifest)):
        clip = manifest[row]
        (tmp_path / "clips" / ("fake", "real")[clip.label] / clip.path.name).symlink_to(clip.path)
    seen: list[Any] = []
    monkeypatch.setattr("dfad.audit.whole.trials", lambda *given: seen.append(given) or [])
    code, out, _ = audit("clips")
    assert code == 0
    assert "dealt at random" in out
    assert "no column speaker, source or page is known" in out
    knobs = corpus_of("demo", tmp_path / "here")
    assert (knobs.name, knobs.path) == ("demo", tmp_path / "here")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (("for_rerek",), 3, "no manifest, folder or corpus 'for_rerek'; of the names, did you mean 'for_rerec'?"),
        (("for_rerec",), 3, "get it"),
        ((".", "--root", "."), 2, "needs no --root"),
        (("CLEAN", "--out", "CLEAN"), 2, "that is a file; give a folder"),
        (("CLEAN", "--group", "speeker"), 2, "did you mean 'speaker'?"),
        (("CLEAN", "--fail-above", "0.2"), 2, "Invalid value"),
        (("CLEAN", "--root", "."), 3, "a whole class among them"),
        ((), 2, "what shall be audited? dfad audit clips.csv"),
        (("CLEAN", "--run", "runs/x"), 2, "leave out"),
        (("--run", "runs/x", "--fail-above", "0.6"), 2, "are for a corpus; leave them out with --run"),
        (("--run", "runs/x"), 2, "no run folder at runs/x"),
        (("one.csv",), 3, "2 bona-fide and 0 spoof clips"),
    ],
)
def test_wrong_words(
    words: tuple[str, ...], code: int, answer: str, audit: Called, clean: Path, tmp_path: Path
) -> None:
    (tmp_path / "one.csv").write_text("path,label\na.wav,real\nb.wav,real\n")
    found, _, err = audit(*(clean if word == "CLEAN" else word for word in words))
    assert found == code, err
    assert answer in re.sub(r"\s+", " ", err)


def test_of_a_run_the_detector_is_audited(audit: Called, trained: Path) -> None:
    code, out, err = audit("--run", trained, "--split", "val")
    assert code == 0, err
    assert "level: cannot be heard" in re.sub(r"\s+", " ", out)
    assert json.loads((trained / "audit" / "audit_run.json").read_text())["split"] == "val"
    assert "<html" in (trained / "audit" / "report.html").read_text()


def test_markup_in_names_is_text(audit: Called, clean: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(clean)
    frame = manifest.frame.assign(speaker=np.where(np.arange(len(manifest)) % 4 < 2, "[bold]a", "<b>"))
    Manifest(frame, manifest.root).write(tmp_path / "named.csv")
    code, out, _ = audit("named.csv", "--root", clean.parent, "--out", "found")
    assert code == 0, out
