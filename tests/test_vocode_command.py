"""`dfad vocode`: copies in files that a manifest lists, the same after a kill, and what cannot be copied told."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.effects.vocoders import VOCODERS
from tests.conftest import ROOT, SMALL, environment


def vocode(*words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dfad", "vocode", *map(str, words)]
    env = environment() | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, **more)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def clips(manifest_csv: Path, tmp_path: Path) -> Path:
    """The small corpus with a column more, a stereo clip at another rate, and names that lead elsewhere."""
    shutil.copytree(manifest_csv.parent, tmp_path / "corpus")
    frame = pd.read_csv(tmp_path / "corpus" / "manifest.csv").assign(page="p1")
    wave, _ = soundfile.read(tmp_path / "corpus" / frame["path"][0])
    soundfile.write(tmp_path / "outside.wav", np.stack([wave, 0.5 * wave], 1), 22050)
    frame.loc[0, ["path", "duration_s"]] = ["../outside.wav", len(wave) / 22050]
    (tmp_path / "corpus" / "real").mkdir()
    shutil.copy(tmp_path / "corpus" / frame["path"][2], tmp_path / "corpus" / "real" / frame["path"][2])
    frame.loc[4, "path"] = f"real/{frame['path'][2]}"  # the same name but for a word that a copy's path leaves out
    frame.to_csv(tmp_path / "corpus" / "manifest.csv", index=False)
    return tmp_path / "corpus" / "manifest.csv"


def test_copies_and_their_manifest(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "copies"
    done = vocode(clips, "--out", out, "--per-clip", 2, "--split", "all")
    assert done.returncode == 0, done.stderr
    assert "48 of 48 copies: " in done.stdout
    source, found = Manifest.read(clips).frame.set_index("id"), Manifest.read(out / "manifest.csv")
    frame = found.frame
    assert set(frame["label"]) == {0}
    assert frame["source_id"].value_counts().to_dict() == dict.fromkeys(source.index[source["label"] == 1], 2)
    assert not frame.duplicated(["source_id", "attack"]).any()
    assert set(frame["attack"]) <= set(VOCODERS)
    for name in ("split", "speaker", "page"):
        assert frame[name].tolist() == source.loc[frame["source_id"], name].tolist()
    for row in range(len(found)):
        assert found.path(row).resolve().is_relative_to(out.resolve())
        info, before = soundfile.info(found.path(row)), soundfile.info(clips.parent / frame["source_id"][row])
        assert (info.samplerate, info.frames, info.channels) == (before.samplerate, before.frames, 1)
        assert (info.format, info.subtype) == ("FLAC", "PCM_16")
    assert frame["duration_s"].to_numpy() == pytest.approx(source.loc[frame["source_id"], "duration_s"].to_numpy())
    folder = CORPORA["folder"].read({"name": "folder", "path": str(out)}).manifest().frame.set_index("id")
    assert folder.loc[frame["id"], ["label", "split", "attack"]].to_numpy().tolist() == (
        frame[["label", "split", "attack"]].to_numpy().tolist()
    )


def test_a_killed_command_goes_on_and_ends_in_the_same_files(clips: Path, tmp_path: Path) -> None:
    words = (clips, "--per-clip", 8, "--out")
    assert vocode(*words, tmp_path / "whole").returncode == 0
    command = [sys.executable, "-m", "dfad", "vocode", *map(str, words), str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed").rglob("*.flac"))) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (tmp_path / "killed" / "manifest.csv").exists()
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("*.flac")}
    first = next(iter(made))
    first.write_bytes(first.read_bytes()[:20])  # a disk that was full
    again = vocode(*words, tmp_path / "killed")
    assert again.returncode == 0, again.stderr
    whole, killed = files(tmp_path / "whole"), files(tmp_path / "killed")
    assert {name for name in killed if not name.endswith(".part")} == set(whole)
    assert all(killed[name] == content for name, content in whole.items())
    assert all(path.stat().st_mtime_ns == at for path, at in made.items() if path != first)  # nothing is made twice


def test_a_bad_clip_is_named_and_the_others_are_copied(clips: Path, tmp_path: Path) -> None:
    bad = clips.parent / "train-bona-fide-3.wav"
    whole = bad.read_bytes()
    bad.write_bytes(b"RIFF")
    done = vocode(clips, "--out", tmp_path / "copies")
    assert done.returncode == 3
    assert "11 of 12 copies" in done.stdout
    assert "1 clips could not be copied:\ntrain-bona-fide-3.wav: " in done.stderr
    assert pd.read_csv(tmp_path / "copies" / "skipped.csv")["path"].tolist() == ["train-bona-fide-3.wav"]
    assert len(Manifest.read(tmp_path / "copies" / "manifest.csv")) == 11
    bad.write_bytes(whole)
    again = vocode(clips, "--out", tmp_path / "copies")
    assert again.returncode == 0, again.stderr
    assert "12 of 12 copies" in again.stdout
    assert not (tmp_path / "copies" / "skipped.csv").exists()


def test_a_long_clip_is_copied_in_part_and_told(clips: Path, tmp_path: Path) -> None:
    done = vocode(clips, "--out", tmp_path / "copies", "--seconds", 0.5, "--vocoders", "lpc,griffin-lim")
    assert done.returncode == 0, done.stderr
    assert "note 11 of them end after 0.5 s, as --seconds says" in done.stdout  # one lasts 0.44 s
    frame = pd.read_csv(tmp_path / "copies" / "manifest.csv")
    assert set(frame["attack"]) == {"lpc", "griffin-lim"}
    assert frame["duration_s"].max() == 0.5


def test_what_cannot_be_is_told(clips: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").touch()
    other = tmp_path / "other"
    assert vocode(clips, "--out", other).returncode == 0
    wrong = {
        (): (2, "what shall be copied? dfad vocode clips.csv"),
        (clips,): (2, "where to? dfad vocode"),
        (clips, "--out", full): (3, "holds other files; give an empty or a new folder"),
        (clips, "--out", other, "--seed", 1): (3, "made with other seed; type the same command as then"),
        (clips, "--out", clips): (2, "that is a file; give a folder"),
        (clips, "--out", "x", "--vocoders", "wold"): (2, "no vocoder 'wold'"),
        (clips, "--out", "x", "--vocoders", "lpc, lpc"): (2, "a vocoder stands there twice"),
        (clips, "--out", "x", "--vocoders", "lpc", "--per-clip", 2): (2, "only 1 vocoders"),
        (clips, "--out", "x", "--split", "dev"): (2, "choose from: train, val, test, all"),
        ("nowhere.csv", "--out", "x"): (3, "no manifest, folder or corpus 'nowhere.csv'"),
    }
    for words, (code, said) in wrong.items():
        done = vocode(*words, cwd=tmp_path)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr
    spoof = pd.read_csv(clips).query("label == 'spoof'")
    spoof.to_csv(clips.parent / "spoof.csv", index=False)
    done = vocode(clips.parent / "spoof.csv", "--out", tmp_path / "x")
    assert done.returncode == 3
    assert "no bona fide clips to copy in train; bona fide clips: 0 in train, 0 in val, 0 in test" in done.stderr


def test_the_command_that_it_prints_trains_on_both(
    manifest_csv: Path, dfad: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out = f"""my "own", {{kop{chr(0xED)}e}} o'b$x {"long/" * 20}1"""
    done = vocode(manifest_csv, "--out", out, "--vocoders", "lpc, sinusoidal", cwd=tmp_path)
    (command,) = (line.split("next: dfad ")[1] for line in done.stdout.splitlines() if "next:" in line)
    trained = dfad(*shlex.split(command), *SMALL, "trainer.max_epochs=1", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "train 12 + 24, val 6 + 6, test 6 + 6" in trained.stdout
