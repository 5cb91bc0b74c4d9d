"""ASVspoof 2019, 2021 and 5: stand-ins in each corpus' own layout, with what goes wrong on people's disks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.errors import DataError
from dfad.training.runs import Run
from dfad.training.scoring import SILENT, usable_clips
from tests import stand_ins
from tests.conftest import SMALL

PROTOCOLS = {
    "asvspoof2019_la": "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.dev.trl.txt",
    "asvspoof2021_la": "keys/LA/CM/trial_metadata.txt",
    "asvspoof2021_df": "keys/DF/CM/trial_metadata.txt",
    "asvspoof5": "ASVspoof5_protocols/ASVspoof5.dev.track_1.tsv",
}
AUDIO = {
    "asvspoof2019_la": "LA/ASVspoof2019_LA_dev/flac/LA_D_100000{}.flac",
    "asvspoof2021_la": "ASVspoof2021_LA_eval/flac/LA_E_200000{}.flac",
    "asvspoof2021_df": "ASVspoof2021_DF_eval/flac/DF_E_200000{}.flac",
    "asvspoof5": "flac_D/D_000000000{}.flac",
}
NAMES = sorted(PROTOCOLS)
OFFICIAL = ["asvspoof2019_la", "asvspoof5"]
LATER = ["asvspoof2021_df", "asvspoof2021_la"]


def build(name: str, root: Path, **more: Any) -> Path:
    return getattr(stand_ins, name)(root, **more)


def read(name: str, path: Path, **options: Any) -> Manifest:
    return CORPORA[name].read({"name": name, "path": str(path), **options}).manifest()


def complaint(name: str, path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(name, path, **options)
    return str(error.value)


def notes(name: str, path: Path, **options: Any) -> str:
    """The notes, without that on counts: a stand-in is never the published corpus."""
    found = read(name, path, **options).notes
    assert sum("is not the published corpus" in note for note in found) == 1
    return "\n".join(note for note in found if "is not the published corpus" not in note)


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


# what is read


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_official_splits_are_taken(name: str, tmp_path: Path) -> None:
    manifest = read(name, build(name, tmp_path))
    frame = manifest.frame
    assert frame.groupby(["split", "label"]).size().to_dict() == {
        (split, label): 6 - 3 * label for split in ("train", "val", "test") for label in (0, 1)
    }
    letters = frame["id"].str.extract(r"/(?:LA_)?([TDE])_")[0]
    assert (letters.map({"T": "train", "D": "val", "E": "test"}) == frame["split"]).all()
    assert manifest.dealing is None
    assert notes(name, tmp_path) == ""  # files that enrol speakers are no extra ones
    assert all(manifest.path(row).is_file() for row in range(len(manifest)))


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("phase", ["eval", "progress", "hidden"])
def test_phases_are_kept_apart(name: str, phase: str, tmp_path: Path) -> None:
    frame = read(name, build(name, tmp_path), phase=phase).frame
    assert set(frame["phase"]) == {phase}
    assert set(frame["split"]) == {"test"}
    assert frame["label"].value_counts().to_dict() == {0: 3, 1: 3}
    assert (frame["trim"] == "trim").all() == (phase == "hidden")
    assert notes(name, tmp_path, phase=phase) == ""  # clips of other phases are no extra ones


@pytest.mark.parametrize("name", LATER)
def test_the_phase_is_eval_unless_told_and_names_the_run(name: str) -> None:
    knobs = CORPORA[name].read({"path": "a"})
    assert knobs.plain()["phase"] == "eval"
    assert knobs.identity() != CORPORA[name].read({"path": "a", "phase": "hidden"}).identity()


def test_the_hidden_phase_has_two_names(tmp_path: Path) -> None:
    root = build("asvspoof2021_la", tmp_path)
    edit(root / PROTOCOLS["asvspoof2021_la"], lambda text: text.replace(" hidden\n", " hidden_track\n"))
    frame = read("asvspoof2021_la", root, phase="hidden").frame
    assert len(frame) == 6
    assert set(frame["phase"]) == {"hidden_track"}  # values stay as they stand


def test_every_column_of_2019_is_kept(tmp_path: Path) -> None:
    frame = read("asvspoof2019_la", build("asvspoof2019_la", tmp_path)).frame.set_index("id")
    row = frame.loc["ASVspoof2019_LA_train/flac/LA_T_1000004.flac"]
    assert row.to_dict() | {"duration_s": 0} == {
        **{"label": 0, "split": "train", "attack": "A02", "speaker": "LA_0000", "duration_s": 0}
    }
    real = frame.loc["ASVspoof2019_LA_eval/flac/LA_E_1000001.flac"]
    assert (real["label"], real["attack"]) == (1, "")
    assert set(frame["attack"][frame["split"] == "test"]) == {"", "A07", "A08", "A09"}


def test_every_column_of_2021_is_kept(tmp_path: Path) -> None:
    frame = read("asvspoof2021_la", build("asvspoof2021_la", tmp_path / "la")).frame.set_index("id")
    row = frame.loc["flac/LA_E_2000001.flac"].to_dict()
    assert {**row, "duration_s": 0} == {
        **{"label": 0, "split": "test", "attack": "A07", "speaker": "LA_0001", "duration_s": 0},
        **{"codec": "alaw", "transmission": "ita_tx", "trim": "notrim", "phase": "eval"},
    }
    assert frame.loc["flac/LA_E_2000002.flac", "attack"] == ""  # for which the protocol has 'bonafide'
    frame = read("asvspoof2021_df", build("asvspoof2021_df", tmp_path / "df")).frame.set_index("id")
    row = frame.loc["flac/DF_E_2000003.flac"].to_dict()
    assert {**row, "duration_s": 0} == {
        **{"label": 0, "split": "test", "attack": "Task1-team20", "speaker": "TEF2", "duration_s": 0},
        **{"codec": "low_m4a", "source": "vcc2020", "trim": "notrim", "phase": "eval"},
        **{"vocoder": "neural_vocoder_nonautoregressive", "task": "Task1", "team": "team20"},
        **{"gender_pair": "FF", "language": "E"},
    }
    row = frame.loc["flac/DF_E_2000001.flac"].to_dict()
    assert [row[name] for name in ("task", "team", "gender_pair", "language")] == [""] * 4
    assert (row["source"], row["codec"]) == ("asvspoof", "nocodec")


def test_every_column_of_5_is_kept(tmp_path: Path) -> None:
    frame = read("asvspoof5", build("asvspoof5", tmp_path)).frame.set_index("id")
    row = frame.loc["flac_E_eval/E_0000000004.flac"].to_dict()
    assert {**row, "duration_s": 0} == {
        **{"label": 0, "split": "test", "attack": "A02", "speaker": "E_0000", "duration_s": 0, "gender": "F"},
        **{"codec": "C05", "codec_q": "3", "codec_seed": "E_9999999999", "attack_tag": "AC1"},
    }
    plain = frame.loc["flac_E_eval/E_0000000001.flac"]
    assert plain[["codec", "codec_q", "codec_seed", "attack_tag", "attack"]].tolist() == ["", "0", "", "", ""]
    assert frame.loc["flac_T/T_0000000000.flac", "codec_q"] == ""


def test_bona_fide_has_any_of_its_words(tmp_path: Path) -> None:
    root = build("asvspoof2019_la", tmp_path)
    edit(root / PROTOCOLS["asvspoof2019_la"], lambda text: text.replace("bonafide", "bona-fide", 1))
    assert read("asvspoof2019_la", root).labels.sum() == 9


# where it lies


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nesting", ["{name}", "downloads/my copy"])
def test_it_is_found_however_it_is_nested(name: str, nesting: str, tmp_path: Path) -> None:
    flat = read(name, build(name, tmp_path / "flat"))
    build(name, tmp_path / "data" / nesting.format(name=name))
    nested = read(name, tmp_path / "data")
    assert nested.digest() == flat.digest()
    assert nested.root != flat.root


@pytest.mark.parametrize("name", NAMES)
def test_a_path_may_be_relative(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(name, tmp_path / "data")
    whole = read(name, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert read(name, Path("data")).digest() == whole.digest()
    monkeypatch.chdir(tmp_path / "data")
    assert read(name, Path()).digest() == whole.digest()


@pytest.mark.parametrize("name", NAMES)
def test_corpora_beside_each_other_are_not_confused(name: str, tmp_path: Path) -> None:
    for other in NAMES:
        build(other, tmp_path / other)
    beside = read(name, tmp_path)
    assert beside.digest() == read(name, tmp_path / name).digest()
    assert notes(name, tmp_path) == ""


def test_2019_and_2021_are_told_apart_in_one_folder(tmp_path: Path) -> None:
    for name in ("asvspoof2019_la", *LATER):
        build(name, tmp_path)
    assert len(read("asvspoof2019_la", tmp_path)) == 27
    assert all(len(read(name, tmp_path)) == 6 for name in LATER)


@pytest.mark.parametrize(
    "keys", ["keys/LA", "LA-keys-full/keys/LA", "ASVspoof2021_LA_eval/keys/LA", "LA-keys-stage-1/keys"]
)
@pytest.mark.parametrize("audio", ["ASVspoof2021_LA_eval", "data/ASVspoof2021_LA", "."])
def test_keys_lie_beside_the_audio_or_in_it(keys: str, audio: str, tmp_path: Path) -> None:
    root = build("asvspoof2021_la", tmp_path / "made")
    (tmp_path / "la" / audio).mkdir(parents=True, exist_ok=True)
    (root / "ASVspoof2021_LA_eval" / "flac").rename(tmp_path / "la" / audio / "flac")
    (tmp_path / "la" / keys).parent.mkdir(parents=True, exist_ok=True)
    (root / "keys" / "LA").rename(tmp_path / "la" / keys)
    assert len(read("asvspoof2021_la", tmp_path / "la")) == 6


def test_keys_inside_the_audio_folder_are_found_from_there(tmp_path: Path) -> None:
    root = build("asvspoof2021_df", tmp_path)
    (root / "keys").rename(root / "ASVspoof2021_DF_eval" / "keys")
    inside = read("asvspoof2021_df", root / "ASVspoof2021_DF_eval")
    assert inside.digest() == read("asvspoof2021_df", root).digest()


@pytest.mark.parametrize("part", ["ASVspoof2021_DF_eval_part0{}/ASVspoof2021_DF_eval/flac", "part0{}/flac"])
def test_the_four_parts_of_df_are_one_corpus(part: str, tmp_path: Path) -> None:
    root = build("asvspoof2021_df", tmp_path)
    merged = root / "ASVspoof2021_DF_eval" / "flac"
    for number, file in enumerate(sorted(merged.iterdir())):
        place = root / part.format(number % 4)
        place.mkdir(parents=True, exist_ok=True)
        file.rename(place / file.name)
    shutil.rmtree(root / "ASVspoof2021_DF_eval")
    manifest = read("asvspoof2021_df", root)
    assert len(manifest) == 6
    assert manifest.root == root
    assert all(manifest.path(row).is_file() for row in range(6))
    shutil.rmtree(root / part.format(2))
    assert "of 6 clips of split test have no file" in complaint("asvspoof2021_df", root)


def test_the_parts_of_5_may_lie_apart(tmp_path: Path) -> None:
    root = build("asvspoof5", tmp_path)
    for number, file in enumerate(sorted((root / "flac_E_eval").iterdir())):
        place = root / f"flac_E_a{'ab'[number % 2]}" / "flac_E_eval"
        place.mkdir(parents=True, exist_ok=True)
        file.rename(place / file.name)
    assert len(read("asvspoof5", root).rows("test")) == 9


# what goes wrong


@pytest.mark.parametrize("name", NAMES)
def test_an_absent_corpus_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    text = complaint(name, tmp_path / "none")
    assert f"no {name} at {tmp_path / 'none'}: expected protocols (" in text
    assert Path(PROTOCOLS[name]).name in text
    assert f"dfad prepare {name} --root {tmp_path / 'none'}" in text
    assert "data.path=…" in text
    assert "https://" in text
    (tmp_path / "x.tar.gz").touch()
    assert "is a file; unpack it" in complaint(name, tmp_path / "x.tar.gz")
    root = build(name, tmp_path)
    protocol = root / PROTOCOLS[name]
    shutil.rmtree(protocol.parent)
    assert "expected protocols (" in complaint(name, root)
    assert "audio (" not in complaint(name, root)


@pytest.mark.parametrize("name", NAMES)
def test_protocols_without_audio_say_which_folders_are_expected(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    for folder in [folder for folder in root.rglob("flac*") if folder.is_dir()]:
        shutil.rmtree(folder)
    text = complaint(name, root)
    assert "expected audio (" in text
    assert "protocols (" not in text


@pytest.mark.parametrize(("name", "other"), [(name, other) for name in NAMES for other in NAMES if name != other])
def test_another_corpus_is_not_taken(name: str, other: str, tmp_path: Path) -> None:
    assert f"what lies there is {other}" in complaint(name, build(other, tmp_path))


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_split_that_is_not_there_at_all_is_said_just_so(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    shutil.rmtree(root / ("LA/ASVspoof2019_LA_eval" if name == "asvspoof2019_la" else "flac_E_eval"))
    manifest = read(name, root)
    assert notes(name, root) == f"{name}: split test is not there: none of its 9 clips lies below {manifest.root}"
    assert len(manifest) == 18
    with pytest.raises(DataError) as error:
        manifest.require_both_classes(["train", "val", "test"])
    assert "split 'test' has 0 bona-fide and 0 spoof clips" in str(error.value)
    assert "none of its 9 clips lies below" in str(error.value)
    assert f"dfad prepare {name}" in str(error.value)
    (root / PROTOCOLS[name]).unlink()
    text = notes(name, root)
    assert f"split val is not there: no {Path(PROTOCOLS[name]).name} below {root}" in text
    assert "audio files that no protocol names are left out: 9," in text


@pytest.mark.parametrize("name", NAMES)
def test_missing_files_are_counted_and_named(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    for number in (1, 2):
        (root / AUDIO[name].format(number)).unlink()
    text = complaint(name, root)
    names = " and ".join(Path(AUDIO[name].format(number)).stem for number in (1, 2)).replace(" and", ",")
    total = 6 if name in LATER else 9
    split = "test" if name in LATER else "val"
    assert f"2 of {total} clips of split {split} have no file, the first: {names}\n" in text
    assert f"dfad prepare {name}" in text
    kept = read(name, root, on_error="skip")  # for the scan to tell
    gone = [kept.path(row) for row in range(len(kept)) if not kept.path(row).is_file()]
    assert gone == [root / AUDIO[name].format(number) for number in (1, 2)]


@pytest.mark.parametrize("name", NAMES)
def test_files_that_nobody_lists_are_noted_and_hidden_ones_are_no_audio(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    folder = (root / AUDIO[name]).parent
    (folder / f"._{Path(AUDIO[name].format(1)).name}").touch()
    (folder / "index.html").touch()
    assert notes(name, root) == ""
    (folder / "extra.flac").touch()
    (note,) = notes(name, root).splitlines()
    assert note.startswith("audio files that no protocol names are left out: 1, namely ")
    assert note.endswith("flac/extra.flac" if name != "asvspoof5" else "flac_D/extra.flac")


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_protocol_is_told_by_line(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    protocol = root / PROTOCOLS[name]
    whole = protocol.read_text()
    lines = whole.splitlines()
    protocol.write_text("\n".join([*lines, lines[2]]))
    twice = Path(AUDIO[name].format(2)).stem
    assert f"line {len(lines) + 1}: {twice} stands twice, first in line 3" in complaint(name, root)
    protocol.write_text(whole.replace(lines[1], lines[1].rpartition(" ")[0]))
    count = len(lines[1].split())
    assert f"{protocol}: 1 wrong row\n  line 2: {count - 1} columns, expected {count}" in complaint(name, root)
    protocol.write_text(whole.replace(" spoof", " spook", 1))
    assert "unknown label 'spook'; did you mean 'spoof'?" in complaint(name, root)
    protocol.write_bytes(b"\xef\xbb\xbf" + whole.replace("\n", "\r\n").encode())
    assert len(read(name, root)) == (6 if name in LATER else 27)


@pytest.mark.parametrize("name", LATER)
def test_an_unknown_or_absent_phase_is_told(name: str, tmp_path: Path) -> None:
    root = build(name, tmp_path)
    protocol = root / PROTOCOLS[name]
    edit(protocol, lambda text: text.replace("notrim eval", "notrim evl", 1))
    assert "line 1: unknown phase 'evl'; one of eval, progress, hidden" in complaint(name, root)
    edit(protocol, lambda text: text.replace("evl", "eval").replace("trim hidden", "notrim progress"))
    text = complaint(name, root, phase="hidden")
    assert "has no clips of data.phase=hidden; it has some of data.phase=eval, data.phase=progress" in text


def test_two_copies_are_told(tmp_path: Path) -> None:
    root = build("asvspoof5", tmp_path)
    shutil.copytree(root / "flac_T", root / "copy" / "flac_T")
    text = complaint("asvspoof5", root)
    assert "9 clips lie more than once" in text
    assert "flac_T/T_0000000000.flac" in text
    assert "data.path=…" in text


def test_copies_of_a_protocol_may_lie_about_but_not_others_of_its_name(tmp_path: Path) -> None:
    root = build("asvspoof2019_la", tmp_path)
    protocol = root / PROTOCOLS["asvspoof2019_la"]
    (root / "again").mkdir()
    shutil.copy(protocol, root / "again")
    assert len(read("asvspoof2019_la", root)) == 27
    edit(root / "again" / protocol.name, lambda text: text.replace("A01", "A02"))
    assert "say different things of split val; remove one of them" in complaint("asvspoof2019_la", root)


def test_counts_that_differ_from_published_ones_are_noted(tmp_path: Path) -> None:
    note = " ".join(read("asvspoof5", build("asvspoof5", tmp_path / "5")).notes)
    assert "asvspoof5 is not the published corpus: bona fide + spoof: train 3 + 6 instead of 18,797 + 163,560" in note
    note = " ".join(read("asvspoof2021_la", build("asvspoof2021_la", tmp_path / "la")).notes)
    assert "test 9 + 9 instead of 18,452 + 163,114, so do not compare" in note  # of all phases together


# training and evaluation


def test_damaged_and_missing_files_are_skipped_counted_and_named(tmp_path: Path) -> None:
    root = build("asvspoof5", tmp_path, make=stand_ins.sound)
    (root / AUDIO["asvspoof5"].format(1)).write_bytes(b"no sound")
    (root / AUDIO["asvspoof5"].format(2)).unlink()
    values = {"name": "asvspoof5", "path": str(root), "on_error": "skip", "max_bad_fraction": 0.1}
    told: list[str] = []
    screen = replace(SILENT, say=told.append)
    knobs = CORPORA["asvspoof5"].read(values)
    usable = usable_clips(knobs.manifest(), knobs, Run(tmp_path / "run"), screen)
    assert len(usable) == 25
    assert told == [f"skipped 2 of 27 clips, named in {tmp_path / 'run'}/manifest.json"]
    skipped = json.loads((tmp_path / "run" / "manifest.json").read_text())["skipped"]
    assert [(name, word in skipped[name]) for name, word in zip(skipped, ("decoded", "no such file"), strict=True)] == [
        ("flac_D/D_0000000001.flac", True),
        ("flac_D/D_0000000002.flac", True),
    ]
    fewer = CORPORA["asvspoof5"].read({**values, "max_bad_fraction": 0.01})
    with pytest.raises(DataError, match=r"2 of 27 clips cannot be used[^$]*data\.max_bad_fraction=0\.01"):
        usable_clips(fewer.manifest(), fewer, Run(tmp_path / "other"), screen)


def test_what_has_evaluation_clips_only_is_not_trained_on(
    tmp_path: Path, refusal: Callable[..., tuple[int, str]]
) -> None:
    root = build("asvspoof2021_df", tmp_path / "df")
    code, said = refusal("train", "data=asvspoof2021_df", f"data.path={root}", *SMALL, cwd=tmp_path)
    assert code == 3, said
    assert "asvspoof2021_df has evaluation clips only: train on data=asvspoof2019_la" in said
    assert "python eval.py run=runs/… data=asvspoof2021_df" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_2019_is_trained_on_and_2021_evaluated(
    tmp_path: Path, dfad: Callable[..., Any], refusal: Callable[..., tuple[int, str]]
) -> None:
    root = build("asvspoof2019_la", tmp_path / "2019", make=stand_ins.sound, each=6)
    later = build("asvspoof2021_df", tmp_path / "2021", make=stand_ins.sound)
    (root / "LA/ASVspoof2019_LA_train/flac/LA_T_1000003.flac").write_bytes(b"no sound")
    (root / "LA/ASVspoof2019_LA_eval/flac/LA_E_1000001.flac").unlink()
    words = ("data=asvspoof2019_la", f"data.path={root}", *SMALL, "trainer.max_epochs=1", "augment=none")
    code, said = refusal("train", *words, cwd=tmp_path)
    assert code == 3
    assert "1 of 18 clips of split test have no file, namely LA_E_1000001" in said
    done = dfad("train", *words, "data.on_error=skip", "data.max_bad_fraction=0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "skipped 2 of 54 clips" in done.stdout
    assert "asvspoof2019_la is not the published corpus" in done.stdout
    (run,) = (tmp_path / "runs").glob("cnn-logmel-asvspoof2019_la-*")
    skipped = json.loads((run / "manifest.json").read_text())["skipped"]
    assert "no such file" in skipped.pop("ASVspoof2019_LA_eval/flac/LA_E_1000001.flac")
    assert "decoded" in skipped.pop("ASVspoof2019_LA_train/flac/LA_T_1000003.flac")
    assert skipped == {}

    words = (f"run={run}", "data=asvspoof2021_df", f"data.path={later}", "trainer.accelerator=cpu")
    done = dfad("eval", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 clips of split test" in done.stdout
    assert "not the published corpus: bona fide + spoof: test 9 + 9 instead of 22,617 + 589,212" in done.stdout
    (scores,) = run.glob("evals/asvspoof2021_df-*/scores.csv")
    frame = pd.read_csv(scores, keep_default_na=False)
    assert set(frame["phase"]) == {"eval"}
    assert set(frame["source"]) == {"asvspoof", "vcc2020"}
    code, said = refusal("eval", *words, "split=val", cwd=tmp_path)
    assert code == 3
    assert "no clips in the split 'val'; asvspoof2021_df has evaluation clips only" in said
    assert "there are some with split=test" in said
