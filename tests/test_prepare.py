"""`dfad prepare`: every file looked at once, whatever stops it, and all that is wrong with a corpus told."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from dfad.audio import LIMITS
from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.dealing import BY_SPEAKER_OR_NAME
from dfad.prepared.facts import look
from dfad.prepared.findings import Findings, findings
from tests.conftest import ROOT, environment

Prepare = Callable[..., tuple[int, str]]


def noise(seed: int, samples: int = 8000) -> np.ndarray:
    return np.round(3000 * np.random.default_rng(seed).normal(size=samples)).astype(np.int16)


def write_folder(root: Path, *, each: int = 3) -> Path:
    """A folder corpus without a fault."""
    seed = 0
    for split in ("train", "val", "test"):
        for label in ("real", "fake"):
            for number in range(each):
                path = root / split / label / f"{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, noise(seed := seed + 1), 16000)
    return root


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "my_clips")


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The sounds that were opened in this process, as Python's own hook of audits tells them."""
    names: list[str] = []
    watching = True

    def hook(event: str, args: tuple[object, ...]) -> None:
        if watching and event == "open" and str(args[0]).endswith((".wav", ".flac")):
            names.append(Path(str(args[0])).name)

    sys.addaudithook(hook)  # it stays, and does nothing once the test is over
    yield names
    watching = False


# what is written


def test_a_sound_corpus_becomes_a_manifest_with_facts_and_a_page(corpus: Path, prepare: Prepare) -> None:
    code, said = prepare("folder", "--root", "my_clips")
    assert code == 0, said
    assert "18 of 18 clips can be used" in said
    assert "the speaker of any clip is not known" in said
    assert "next: python train.py data=folder data.path=my_clips" in said
    manifest = Manifest.read(corpus / "my_clips.prepared.parquet")
    assert manifest.root == corpus
    frame = manifest.frame.set_index("id")
    one = frame.loc["train/real/1.wav"]
    assert one[["duration_s", "sample_rate", "channels", "format", "subtype"]].tolist() == [
        0.5,
        16000,
        1,
        "WAV",
        "PCM_16",
    ]
    assert one["bytes"] == (corpus / "train/real/1.wav").stat().st_size == 16044
    found = subprocess.run(["sha256sum", corpus / "train/real/1.wav"], capture_output=True, text=True, check=True)
    assert one["sha256"] == found.stdout.split()[0]
    assert frame["audio_hash"].nunique() == 18
    page = (corpus / "my_clips.prepared.html").read_text()
    assert "<h1>Corpus my_clips</h1>" in page
    assert "16 kHz, 1 channel, WAV PCM_16" in page
    assert 'src="http' not in page
    assert not (corpus / "my_clips.problems.csv").exists()


def test_what_is_written_elsewhere_still_finds_its_clips(corpus: Path, prepare: Prepare, tmp_path: Path) -> None:
    assert prepare("folder", "--root", "my_clips", "--out", "deep/out")[0] == 0
    assert sorted(path.name for path in corpus.iterdir()) == ["test", "train", "val"]
    path = tmp_path / "deep" / "out" / "my_clips.prepared.parquet"
    manifest = CORPORA["manifest"].read({"name": "manifest", "path": str(path)}).manifest()
    assert manifest.path(0) == corpus / "test/fake/0.wav"
    assert manifest.ids[0] == "test/fake/0.wav"
    shutil.move(corpus, tmp_path / "moved")
    given = {"name": "manifest", "path": str(path), "root": str(tmp_path / "moved")}
    assert CORPORA["manifest"].read(given).manifest().path(0).is_file()


def test_a_place_that_cannot_be_written_is_told_with_what_to_type(corpus: Path, prepare: Prepare) -> None:
    code, said = prepare("folder", "--root", "my_clips", "--out", "/proc/nope")
    assert code == 3
    assert "cannot write to /proc/nope" in said
    assert "say where: dfad prepare folder --root my_clips --out DIR" in said


def test_notes_live_on_in_the_manifest(tmp_path: Path, prepare: Prepare) -> None:
    (tmp_path / "own").mkdir()
    lines = ["path,label,speaker"]
    for number in range(40):
        soundfile.write(tmp_path / "own" / f"{number}.wav", noise(number), 16000)
        lines.append(f"{number}.wav,{'real' if number % 2 else 'fake'},s{number}")
    (tmp_path / "own" / "list.csv").write_text("\n".join(lines))
    assert prepare("manifest", "--root", "own/list.csv")[0] == 0
    again = Manifest.read(tmp_path / "own" / "list.prepared.parquet")
    dealt = Manifest.read(tmp_path / "own" / "list.csv")
    assert again.notes == dealt.notes == (BY_SPEAKER_OR_NAME.note,)
    assert again.frame["split"].tolist() == dealt.frame["split"].tolist()


def test_the_demo_corpus_has_nothing_wrong(prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def small(root: Path, **_: object) -> None:
        write_folder(root)
        rows = [f"{path.relative_to(root)},{path.parts[-2]},{path.parts[-3]},x" for path in root.rglob("*.wav")]
        (root / "manifest.csv").write_text("\n".join(["path,label,split,speaker", *rows]))

    monkeypatch.setattr("dfad.corpora.demo.synthesise", small)
    code, said = prepare("demo")
    assert code == 0, said
    assert "note demo corpus: synthetic voices" in said
    assert (tmp_path / "data/demo/demo.prepared.parquet").is_file()
    moved = (tmp_path / "data" / "demo").rename(tmp_path / "elsewhere")
    assert Manifest.read(moved / "demo.prepared.parquet").path(0).is_file()
    assert "1 of 1 speaker in more than one split" in said


def test_a_path_is_asked_for_where_there_is_no_default(prepare: Prepare) -> None:
    assert prepare("folder") == (2, "error where is it? dfad prepare folder --root DIR\n")
    assert prepare("manifest") == (2, "error where is it? dfad prepare manifest --root CSV\n")


# what is wrong


def test_clips_that_cannot_be_used_are_counted_named_and_left_out(corpus: Path, prepare: Prepare) -> None:
    (corpus / "train/real/0.wav").write_text("no sound")
    content = (corpus / "val/fake/1.wav").read_bytes()
    (corpus / "val/fake/1.wav").write_bytes(content[:9000])
    soundfile.write(corpus / "test/real/2.wav", np.array([np.nan] * 8000, np.float32), 16000, subtype="FLOAT")
    code, said = prepare("folder", "--root", "my_clips")
    assert code == 3
    assert "error 3 of 18 clips cannot be used, and not in the manifest" in said
    assert "15 of 18 clips can be used" in said
    assert "go on without them: python train.py data=manifest data.path=my_clips/my_clips.prepared.parquet" in said
    with (corpus / "my_clips.problems.csv").open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"train/real/0.wav", "val/fake/1.wav", "test/real/2.wav"}
    assert {row["problem"] for row in rows.values()} == {"cannot be used"}
    assert rows["val/fake/1.wav"]["reason"] == "truncated, 0.280 s of the 0.500 s in its header"
    assert rows["test/real/2.wav"]["reason"] == "holds NaN or infinite samples"
    manifest = Manifest.read(corpus / "my_clips.prepared.parquet")
    assert set(manifest.ids) == {p.relative_to(corpus).as_posix() for p in corpus.rglob("*.wav")} - set(rows)
    assert manifest.notes == ("3 of 18 clips cannot be used",)
    page = (corpus / "my_clips.prepared.html").read_text()
    assert all(name in page for name in rows)
    assert prepare("folder", "--root", "my_clips", "--leave-out")[0] == 0


def test_a_missing_file_and_one_that_is_shorter_than_its_manifest_says_are_named(
    tmp_path: Path, prepare: Prepare
) -> None:
    lines = ["path,label,split,duration_s,sample_rate,speaker"]
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", noise(number), 16000)
        lines.append(f"{number}.wav,real,train,{1.0 if number == 3 else 0.5},{8000 if number == 4 else 16000},s")
    (tmp_path / "2.wav").unlink()
    (tmp_path / "x.csv").write_text("\n".join(lines))
    code, said = prepare("manifest", "--root", "x.csv")
    assert code == 3
    assert "1 clip with another sample_rate than the manifest says" in said
    table = pd.read_csv(tmp_path / "x.problems.csv").set_index("path")["reason"]
    assert table.to_dict() == {
        "2.wav": "no such file or directory",
        "3.wav": "truncated, 0.500 s of the 1.000 s in its manifest",
    }
    assert Manifest.read(tmp_path / "x.prepared.parquet").frame["sample_rate"].tolist() == [16000] * 4


def test_the_same_sound_in_two_splits_or_classes_is_an_error(corpus: Path, prepare: Prepare) -> None:
    shutil.copy(corpus / "train/real/0.wav", corpus / "test/real/copy.wav")  # the same file
    soundfile.write(corpus / "val/fake/copy.flac", soundfile.read(corpus / "train/fake/1.wav", dtype="int16")[0], 16000)
    shutil.copy(corpus / "test/fake/2.wav", corpus / "test/real/liar.wav")
    shutil.copy(corpus / "val/real/0.wav", corpus / "val/real/twice.wav")
    code, said = prepare("folder", "--root", "my_clips")
    assert code == 3
    assert "1 sound in both classes" in said
    assert "2 sounds in more than one split" in said
    assert "note 1 sound more than once in a split" in said
    assert "to write the manifest without them: dfad prepare folder --root my_clips --leave-out" in said
    table = pd.read_csv(corpus / "my_clips.problems.csv")
    assert table.groupby("problem")["path"].apply(sorted).to_dict() == {
        "same sound in both classes": ["test/fake/2.wav", "test/real/liar.wav"],
        "same sound in two splits": sorted(
            ["train/real/0.wav", "test/real/copy.wav", "train/fake/1.wav", "val/fake/copy.flac"]
        ),
        "same sound twice in a split": ["val/real/0.wav", "val/real/twice.wav"],
    }
    page = (corpus / "my_clips.prepared.html").read_text()
    assert "the same sound, packed otherwise" in page
    assert len(Manifest.read(corpus / "my_clips.prepared.parquet")) == 22  # nothing is dropped unasked
    code, said = prepare("folder", "--root", "my_clips", "--leave-out")
    assert code == 0, said
    assert "note 4 clips left out: the same sound is in another split or class, too" in said
    kept = Manifest.read(corpus / "my_clips.prepared.parquet")
    gone = {"train/real/0.wav", "train/fake/1.wav", "test/fake/2.wav", "test/real/liar.wav"}
    assert set(kept.ids) == {p.relative_to(corpus).as_posix() for p in corpus.rglob("*.*")} - gone - {
        *(f"my_clips.{name}" for name in ("prepared.parquet", "prepared.html", "problems.csv")),
        *(f".my_clips.{name}" for name in ("facts-1.jsonl", "prepared.lock")),
    }
    assert kept.notes == ("4 clips left out: the same sound is in another split or class, too",)


def found_in(rows: list[tuple[str, str, str, str]]) -> Findings:
    """Findings on made-up clips of one second: (split, label, speaker, hash)."""
    frame = pd.DataFrame(rows, columns=["split", "label", "speaker", "sound"])
    frame["path"] = [f"{row}.wav" for row in range(len(rows))]
    manifest = Manifest.check(frame.drop(columns="sound"), Path(), source="x")
    facts = pd.DataFrame(
        {
            **{"reason": "", "frames": 16000, "sample_rate": 16000, "channels": 1, "bytes": 32044},
            **{"format": "WAV", "subtype": "PCM_16", "sha256": frame["path"], "sound": frame["sound"]},
        }
    )
    return findings(manifest, facts, {})


def test_speakers_of_two_splits_are_named_and_lumps_are_no_speakers() -> None:
    found = found_in(
        [
            *(("train", "real", "anna", "a"), ("test", "fake", "anna", "b"), ("test", "fake", "anna", "c")),
            *(("train", "fake", "ben", "d"), ("val", "real", "cleo", "e"), ("val", "fake", "Unknown", "f")),
            *(("train", "real", "-", "g"), ("test", "real", "", "h")),
        ]
    )
    assert found.shared.to_dict("index") == {"anna": {"train": 1, "val": 0, "test": 2}}
    assert (found.speakers, found.unknown) == (3, 3)
    assert found.errors == []
    assert [line.split(":")[0] for line in found.warnings] == [
        "1 of 3 speakers in more than one split",
        "the speaker of 3 of 8 clips is not known, so whether splits share voices cannot be told",
    ]


def test_two_corpora_with_the_same_names_are_not_taken_for_each_other(
    corpus: Path, prepare: Prepare, tmp_path: Path, opened: list[str]
) -> None:
    other = tmp_path / "other" / "my_clips"
    shutil.copytree(corpus, other)  # keeps names, sizes and times
    prepare("folder", "--root", "my_clips", "--out", "out")
    opened.clear()
    prepare("folder", "--root", str(other), "--out", "out")
    assert len(opened) == 36
    opened.clear()
    prepare("folder", "--root", "my_clips", "--out", "out")
    assert opened == []


def test_a_corpus_without_a_single_clip_that_can_be_used_has_a_page_too(corpus: Path, prepare: Prepare) -> None:
    for path in corpus.rglob("*.wav"):
        path.write_text("no sound")
    code, said = prepare("folder", "--root", "my_clips")
    assert code == 3
    assert "18 of 18 clips cannot be used" in said
    assert "no clips" not in said
    assert "Clips that cannot be used" in (corpus / "my_clips.prepared.html").read_text()


def test_silence_is_no_copy_of_silence() -> None:
    found = found_in([("train", "real", "a", ""), ("test", "fake", "b", ""), ("test", "fake", "b", "c")])
    assert found.copies.empty
    assert found.errors == []
    assert "2 clips with nothing but digital silence" in found.warnings


def test_a_sound_may_be_wrong_in_both_ways_and_goes_once() -> None:
    found = found_in(
        [
            *(("train", "real", "a", "x"), ("test", "fake", "a", "x"), ("val", "real", "a", "y")),
            *(("test", "real", "a", "y"), ("train", "real", "a", "y"), ("train", "fake", "a", "z")),
        ]
    )
    assert (found.groups("classes"), found.groups("splits"), found.groups("")) == (1, 2, 0)
    settled = found.settle()
    assert settled.manifest.frame[["split", "label"]].to_numpy().tolist() == [["test", 1], ["train", 0]]
    assert settled.errors == []


# what a sound is


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"suffix": "flac"}, True),
        ({"subtype": "PCM_24"}, True),
        ({"subtype": "FLOAT"}, True),
        ({"stereo": True}, True),
        ({"rate": 8000}, False),
        ({"last": 1}, False),
        ({"shift": 1}, False),
    ],
    ids=str,
)
def test_a_sound_is_told_by_its_samples_not_by_its_container(
    change: dict[str, object], same: bool, tmp_path: Path
) -> None:
    wave = noise(0)
    other = np.roll(wave, int(change.get("shift", 0)))  # type: ignore[call-overload]
    other[-1] += int(change.get("last", 0))  # type: ignore[call-overload]
    if change.get("stereo"):
        other = np.stack([other, other], axis=1)
    if change.get("subtype") == "FLOAT":
        other = (other / 32768).astype(np.float32)  # type: ignore[assignment]
    name = f"b.{change.get('suffix', 'wav')}"
    soundfile.write(tmp_path / "a.wav", wave, 16000)
    soundfile.write(tmp_path / name, other, int(change.get("rate", 16000)), subtype=change.get("subtype"))  # type: ignore[call-overload]
    frame = pd.DataFrame({"path": ["a.wav", name], "label": "real", "split": "train"})
    facts = look(Manifest.check(frame, tmp_path, source="x"), tmp_path / "facts", limits=LIMITS)
    assert (facts["sound"][0] == facts["sound"][1]) is same
    assert facts["sha256"][0] != facts["sha256"][1]


# once, whatever stops it


def test_a_second_run_opens_no_sound_and_a_third_only_what_is_new(
    corpus: Path, prepare: Prepare, opened: list[str]
) -> None:
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert len(opened) == 36  # once to decode and once to hash
    first = (corpus / "my_clips.prepared.parquet").read_bytes()
    opened.clear()
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert opened == []
    assert (corpus / "my_clips.prepared.parquet").read_bytes() == first

    soundfile.write(corpus / "train/real/new.wav", noise(99), 16000)
    soundfile.write(corpus / "train/real/1.wav", noise(98), 16000)
    os.utime(corpus / "train/real/2.wav", ns=(0, 0))
    (corpus / "train/real/0.wav").unlink()
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert sorted(opened) == ["1.wav"] * 2 + ["2.wav"] * 2 + ["new.wav"] * 2
    frame = Manifest.read(corpus / "my_clips.prepared.parquet").frame.set_index("id")
    assert len(frame) == 18
    assert "train/real/0.wav" not in frame.index


def test_what_could_not_be_decoded_is_tried_again_with_other_decoders_only(
    corpus: Path, prepare: Prepare, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (corpus / "train/real/0.wav").write_text("no sound")
    prepare("folder", "--root", "my_clips")
    opened.clear()
    prepare("folder", "--root", "my_clips")
    assert opened == []
    monkeypatch.setattr("dfad.prepared.facts.version", lambda name: "99")
    prepare("folder", "--root", "my_clips")
    assert opened == ["0.wav"]


@pytest.mark.parametrize("damage", ["cut", "nonsense", "zeros", "empty"])
def test_facts_that_were_cut_off_or_damaged_are_found_out_again(
    corpus: Path, prepare: Prepare, opened: list[str], damage: str
) -> None:
    prepare("folder", "--root", "my_clips")
    store = corpus / ".my_clips.facts-1.jsonl"
    lines = store.read_bytes().splitlines(keepends=True)
    lost = {
        "cut": (b"".join(lines)[:-30], 1),
        "nonsense": (b"".join([*lines[:5], b'{"path": 7}\n', b"?!\n", *lines[7:]]), 2),
        "zeros": (b"".join([*lines[:5], bytes(4096), *lines[6:]]), 2),  # the zeros swallow the line that follows
        "empty": (b"", 18),
    }
    content, count = lost[damage]
    store.write_bytes(content)
    opened.clear()
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert len(opened) == 2 * count
    opened.clear()
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert opened == []
    assert all(json.loads(line) for line in store.read_bytes().splitlines() if line.strip())


def test_facts_of_files_that_went_away_do_not_pile_up(corpus: Path, prepare: Prepare, opened: list[str]) -> None:
    prepare("folder", "--root", "my_clips")
    store = corpus / ".my_clips.facts-1.jsonl"
    line = json.loads(store.read_text().splitlines()[0])
    store.write_text(
        "".join(json.dumps({**line, "path": f"old{n}.wav"}) + "\n" for n in range(200)) + store.read_text()
    )
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert len(store.read_text().splitlines()) == 18
    opened.clear()
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert opened == []


GATED = (  # a command that looks at two clips, and at the others once a file `go` is there
    "import sys, time; from pathlib import Path; from dfad.prepared import facts; inner = facts._examine; seen = [];"
    "gate = lambda: seen.append(1) or [time.sleep(0.01) for _ in iter(lambda: len(seen) < 3 or GO.exists(), True)];"
    "GO = Path(sys.argv[-1]) / 'go'; facts._FLUSH_S = 0;"
    "facts._examine = lambda *given: (gate(), inner(*given))[1];"
    "facts.in_threads = lambda work, rows, progress: map(work, rows);"
    "from dfad.commands.prepare import main; main()"
)


def start(corpus: Path, **more: object) -> subprocess.Popen[str]:
    """Begin to prepare a corpus, and wait until the first clip has been looked at."""
    words = [sys.executable, "-c", GATED, "folder", "--root", str(corpus)]
    process = subprocess.Popen(words, cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE, **more)  # type: ignore[call-overload]
    store = corpus / ".my_clips.facts-1.jsonl"
    while not store.is_file() or store.stat().st_size == 0:
        assert process.poll() is None
        time.sleep(0.005)
    return process  # type: ignore[no-any-return]


def test_what_a_killed_process_had_found_out_is_kept(corpus: Path, prepare: Prepare, opened: list[str]) -> None:
    process = start(corpus)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    known = (corpus / ".my_clips.facts-1.jsonl").read_bytes().count(b"\n")
    assert known in (1, 2)
    assert not (corpus / "my_clips.prepared.parquet").exists()
    assert prepare("folder", "--root", "my_clips")[0] == 0
    assert len(opened) == 2 * (18 - known)
    assert len(Manifest.read(corpus / "my_clips.prepared.parquet")) == 18


def test_an_interrupted_command_says_what_to_do(corpus: Path) -> None:
    process = start(corpus, stderr=subprocess.PIPE)
    process.send_signal(signal.SIGTERM)
    assert "the same command goes on where it was" in process.communicate()[1]
    assert process.returncode == 143


def test_two_processes_at_once_look_at_every_file_once(corpus: Path) -> None:
    first = start(corpus)
    second = start(corpus)
    assert second.stdout
    assert any("another process is at work in" in line for line in iter(second.stdout.readline, ""))
    (corpus / "go").touch()
    for process in (first, second):
        process.communicate()
        assert process.returncode == 0
    assert len((corpus / ".my_clips.facts-1.jsonl").read_text().splitlines()) == 18


def test_the_reference_corpus_shares_voices_and_no_sound(reference: Path, prepare: Prepare, tmp_path: Path) -> None:
    before = set((reference / "corpus").iterdir())
    code, said = prepare("manifest", "--root", str(reference / "corpus" / "manifest.csv"), "--out", "out")
    assert code == 0, said
    assert "1,412 of 1,412 clips can be used" in said
    assert "12 of 93 speakers in more than one split" in said
    assert set((reference / "corpus").iterdir()) == before
    frame = pd.read_parquet(tmp_path / "out" / "manifest.prepared.parquet")
    said_of = pd.read_csv(reference / "corpus" / "manifest.csv")
    for name in ("sample_rate", "channels", "bytes", "format", "subtype"):
        assert frame[name].tolist() == said_of[name].tolist()  # measured here, and by those who made the corpus
    assert np.abs(frame["duration_s"] - said_of["duration_s"]).max() < 0.051  # MP3s, whose length was a guess there
