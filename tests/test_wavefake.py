"""WaveFake: real and copied versions of an utterance stay together, whatever the vocoders call their files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.corpora.wavefake import BY_UTTERANCE
from dfad.dealing import AT_RANDOM
from dfad.errors import DataError
from tests import stand_ins
from tests.stand_ins import fill

OTHER = "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return stand_ins.wavefake(tmp_path / "data")


def read(path: Path, **options: Any) -> Manifest:
    return CORPORA["wavefake"].read({"name": "wavefake", "path": str(path), **options}).manifest()


def complaint(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(path, **options)
    return str(error.value)


def test_folders_say_it_all(root: Path) -> None:
    frame = read(root).frame.set_index("id")
    assert len(frame) == 7 * 40
    assert frame["label"].value_counts().to_dict() == {0: 200, 1: 80}
    row = frame.loc["generated_audio/ljspeech_hifiGAN/LJ001-0007_generated.wav"].to_dict()
    assert {**row, "duration_s": 0, "split": ""} == {
        **{"label": 0, "split": "", "attack": "ljspeech_hifiGAN", "speaker": "ljspeech", "duration_s": 0},
        **{"utterance": "LJ001-0007", "vocoder": "hifiGAN", "language": "en", "transcript": 'He said "LJ001-0007'},
    }
    row = frame.loc["jsut_ver1.1/basic5000/wav/BASIC5000_0003.wav"].to_dict()
    assert {**row, "duration_s": 0, "split": ""} == {
        **{"label": 1, "split": "", "attack": "", "speaker": "jsut", "duration_s": 0},
        **{"utterance": "BASIC5000_0003", "vocoder": "", "language": "ja", "transcript": "水を"},
    }
    row = frame.loc[f"generated_audio/{OTHER}/gen_7.wav"]
    assert row[["speaker", "utterance", "transcript"]].tolist() == ["ljspeech", "common_voices/gen_7", ""]


def test_no_utterance_is_in_two_splits(root: Path) -> None:
    manifest = read(root)
    groups = manifest.frame.groupby("utterance")
    assert (groups["split"].nunique() == 1).all()
    sizes = groups.size()
    assert sizes["LJ001-0001"] == 4  # recorded, and by three vocoders
    assert sizes["BASIC5000_0001"] == 2
    assert sizes["common_voices/gen_1"] == 1
    assert manifest.dealing is BY_UTTERANCE
    assert "each voice is one speaker, in every split" in manifest.notes[0]
    manifest.require_both_classes(["train", "val", "test"])
    random = read(root, split="random")
    assert (random.frame.groupby("utterance")["split"].nunique() > 1).any()
    assert random.notes[0] == AT_RANDOM.note


@pytest.mark.parametrize("layout", ["real_audio/{}", "{}", "elsewhere/deep/{}"])
def test_recordings_lie_anywhere_below_or_are_linked(layout: str, root: Path, tmp_path: Path) -> None:
    names = set(read(root).frame["utterance"])
    for folder, name in (("LJSpeech-1.1", "the-LJSpeech-1.1"), ("jsut_ver1.1", "jsut_ver1.1")):
        place = root / layout.format(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place != root / folder:
            (root / folder).rename(place)
    assert set(read(root).frame["utterance"]) == names
    (tmp_path / "alone").mkdir()
    (root / "generated_audio").rename(tmp_path / "alone" / "generated_audio")
    for name in ("the-LJSpeech-1.1", "jsut_ver1.1"):
        (tmp_path / "alone" / name).symlink_to(root / layout.format(name))
    linked = read(tmp_path / "alone")
    assert set(linked.frame["utterance"]) == names
    assert "the-LJSpeech-1.1/wavs/LJ001-0001.wav" in set(linked.ids)


def test_the_vocoders_folders_may_lie_bare(root: Path) -> None:
    whole = read(root)
    for folder in (root / "generated_audio").iterdir():
        folder.rename(root / folder.name)
    assert sorted(read(root).frame["utterance"]) == sorted(whole.frame["utterance"])


def test_one_voice_will_do(root: Path) -> None:
    frame = read(root, voices=["ljspeech"]).frame
    assert set(frame["speaker"]) == {"ljspeech"}
    assert len(frame) == 200
    assert set(read(root, voices=["jsut"]).frame["attack"]) == {"", "jsut_parallel_wavegan"}
    shutil.move(root / "generated_audio" / "jsut_parallel_wavegan", root / ".away")
    assert f"no folder jsut_… with copies of jsut below {root}\n" in complaint(root)
    shutil.move(root / ".away", root / "generated_audio" / "jsut_parallel_wavegan")
    shutil.rmtree(root / "jsut_ver1.1")
    text = complaint(root)
    assert f"no recordings of jsut below {root}: expected jsut_ver1.1/basic5000/wav/BASIC5000_0001.wav" in text
    assert f"ln -s /where/they/are {root}/" in text
    assert text.endswith("leave the voice out: data.voices=[ljspeech]")
    assert read(root, voices=["ljspeech"]).frame.equals(frame)


def test_other_files_are_noted_and_hidden_ones_are_no_audio(root: Path) -> None:
    whole = read(root)
    assert len(whole.notes) == 2
    fill(root / "generated_audio" / "ljspeech_melgan", ["._LJ001-0001_gen.wav"], stand_ins.empty)
    assert read(root).notes == whole.notes
    fill(root / "generated_audio" / "ljspeech_melgan", ["LJ001-0001_gen2.wav", "x.wav"], stand_ins.empty)
    fill(
        root / "jsut_ver1.1" / "loanword128" / "wav", ["LOANWORD128_001.wav"], stand_ins.empty
    )  # not copied: passed by
    manifest = read(root)
    assert manifest.notes[:2] == whole.notes
    folder = "generated_audio/ljspeech_melgan"
    names = f"{folder}/LJ001-0001_gen2.wav, {folder}/x.wav"
    assert manifest.notes[2] == f"audio files with names of no utterance are left out: 2, the first: {names}"
    assert manifest.digest() == whole.digest()


def test_two_copies_are_told(root: Path) -> None:
    shutil.copytree(root / "LJSpeech-1.1", root / "LJSpeech-1.1_16k")
    text = complaint(root)
    assert "40 clips lie more than once" in text
    assert "LJSpeech-1.1/wavs/LJ001-0001.wav" in text
    assert "LJSpeech-1.1_16k/wavs/LJ001-0001.wav" in text


def test_counts_that_differ_are_noted(root: Path) -> None:
    note = read(root).notes[1]
    assert "wavefake is not as published: 40 recordings of ljspeech instead of 13,100" in note
    assert "200 generated clips instead of 117,985, so do not compare" in note
    assert "generated" not in read(root, voices=["jsut"]).notes[1]  # how many of each voice is not told


def test_texts_may_be_absent_but_not_wrong(root: Path) -> None:
    (root / "LJSpeech-1.1" / "metadata.csv").unlink()
    frame = read(root).frame
    assert set(frame["transcript"]) == {"", "水を"}
    (root / "jsut_ver1.1" / "basic5000" / "transcript_utf8.txt").write_text("no colon\n")
    assert "transcript_utf8.txt: 1 wrong row\n  line 1: no ':' in it" in complaint(root)


def test_an_absent_corpus_says_how_to_get_it(tmp_path: Path) -> None:
    text = complaint(tmp_path / "none")
    assert "expected folders such as generated_audio/ljspeech_melgan, and the real recordings" in text
    assert "dfad prepare wavefake --root" in text
    assert "what lies there is asvspoof2021_df" in complaint(stand_ins.asvspoof2021_df(tmp_path / "other"))


def test_damaged_files_are_found_by_the_scan(tmp_path: Path) -> None:
    from dfad.audio import LIMITS
    from dfad.corpora.check import broken

    root = stand_ins.wavefake(tmp_path, make=stand_ins.sound, each=2)
    (root / "generated_audio" / OTHER / "gen_1.wav").write_bytes(b"RIFF")
    manifest = read(root)
    assert list(broken(manifest, range(len(manifest)), limits=LIMITS)) == [f"generated_audio/{OTHER}/gen_1.wav"]
