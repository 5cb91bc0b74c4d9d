"""Labels, and manifests: round trips, every wrong row at once, the split rule, the digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfad.clips import Manifest
from dfad.dealing import BY_SPEAKER_OR_NAME
from dfad.errors import DataError
from dfad.labels import LABEL_WORDS, SPLIT_WORDS, Label


def table(**columns: object) -> pd.DataFrame:
    """Four clips, two of each class, with the given columns on top."""
    return pd.DataFrame(
        {
            "path": ["a.wav", "b.wav", "c.wav", "d.wav"],
            "label": ["real", "fake", "bonafide", "spoof"],
            "split": ["train", "train", "test", "test"],
        }
        | columns
    )


def check(**columns: object) -> Manifest:
    return Manifest.check(table(**columns), Path("root"), source="here")


def complaint(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as error:
        read()
    return str(error.value)


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Manifest]:
    def read(text: str, encoding: str = "utf-8") -> Manifest:
        (tmp_path / "m.csv").write_bytes(text.encode(encoding))
        return Manifest.read(tmp_path / "m.csv")

    return read


@pytest.mark.parametrize("word", ["bonafide", "bona-fide", "bona_fide", "real", "genuine", "human", "original"])
def test_words_for_bona_fide(word: str) -> None:
    assert Label.parse(f" {word.upper()} ") is Label.BONA_FIDE == 1


@pytest.mark.parametrize("word", ["spoof", "fake", "synthetic", "deepfake"])
def test_words_for_spoof(word: str) -> None:
    assert Label.parse(word) is Label.SPOOF == 0


@pytest.mark.parametrize("word", ["", "1", "bonafied", "true"])
def test_unknown_label_is_an_error(word: str) -> None:
    with pytest.raises(DataError, match="unknown label"):
        Label.parse(word)


def test_every_word_works_in_a_table() -> None:
    words = list(LABEL_WORDS)
    frame = pd.DataFrame({"path": words, "label": words, "split": "test"})
    assert Manifest.check(frame, Path(), source="").labels.tolist() == [int(LABEL_WORDS[word]) for word in words]
    words = list(SPLIT_WORDS)
    frame = pd.DataFrame({"path": words, "label": "real", "split": [word.upper() for word in words]})
    manifest = Manifest.check(frame, Path(), source="")
    assert manifest.frame["split"].tolist() == list(SPLIT_WORDS.values())


def rich() -> pd.DataFrame:
    return table(
        path=["a, b.wav", 'ü "é".wav', "c\nd.wav", "日本.wav"],
        speaker=["0012", "NA", "", "null"],
        attack=["", "A07", "x", "None"],
        duration_s=[1.5, np.nan, 1 / 3, 2],
        language=["de", None, "en", "nan"],
        take=[1, 2, 3, 4],
        loud=[True, False, True, True],
        snr=[0.1, 1e-20, np.nan, 3.0],
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    manifest = Manifest.check(rich(), tmp_path, source="")
    path = tmp_path / f"m{suffix}"
    manifest.write(path)
    again = Manifest.read(path)
    assert again.digest() == manifest.digest()
    assert list(again.frame) == list(manifest.frame)
    core = ["id", "label", "split", "attack", "speaker", "duration_s"]
    pd.testing.assert_frame_equal(again.frame[core], manifest.frame[core])
    again.write(path)
    assert Manifest.read(path).digest() == manifest.digest()


def test_parquet_keeps_the_types_of_further_columns(tmp_path: Path) -> None:
    rich().to_parquet(tmp_path / "m.parquet")
    frame = Manifest.read(tmp_path / "m.parquet").frame
    assert (frame["take"].dtype, frame["loud"].dtype, frame["snr"].dtype) == (np.int64, bool, np.float64)


def test_csv_takes_cells_as_they_stand(csv: Callable[..., Manifest]) -> None:
    frame = csv("path,label,split,speaker,attack\na.wav,fake,train,0012,NA\n").frame
    assert frame.loc[0, ["speaker", "attack"]].tolist() == ["0012", "NA"]


def test_byte_order_mark_and_dos_lines(csv: Callable[..., Manifest]) -> None:
    assert csv("\ufeffpath,label,split\r\na.wav,fake,train\r\n").ids[0] == "a.wav"


def test_clip_has_everything(tmp_path: Path) -> None:
    clip = Manifest.check(rich(), tmp_path, source="")[1]
    assert clip.path == tmp_path / 'ü "é".wav'
    assert (clip.label, clip.split, clip.attack, clip.speaker) == (Label.SPOOF, "train", "A07", "NA")
    assert np.isnan(clip.duration_s)
    assert clip.extra["take"] == 2


def test_all_wrong_rows_at_once_with_their_lines(csv: Callable[..., Manifest]) -> None:
    text = complaint(
        lambda: csv(
            "path,label,split,duration_s\n"
            "a.wav,real,train,1\n"
            "b.wav,reel,train,1\n"
            ",real,train,1\n"
            "a.wav,fake,train,\n"
            "c.wav,fake,trian,1\n"
            "d.wav,fake,train,-1\n"
            "e.wav,fake,train,inf\n"
            "f.wav,fake,train,long\n"
        )
    )
    lines = text.splitlines()
    assert lines[0].endswith("m.csv: 7 wrong rows")
    assert [line.split(":")[0].strip() for line in lines[1:]] == [f"row {row}" for row in range(3, 10)]
    assert "did you mean 'real'?" in lines[1]
    assert "empty path" in lines[2]
    assert "'a.wav' stands twice" in lines[3]
    assert "unknown split 'trian'" in lines[4]


def test_empty_lines_do_not_shift_the_numbers(csv: Callable[..., Manifest]) -> None:
    assert "row 5: unknown label" in complaint(lambda: csv("path,label,split\na,real,test\n\n\nb,x,test\n\n"))
    assert len(csv("path,label,split\na,real,test\n\n,,\nb,fake,test\n\n")) == 2


def test_short_rows_lack_their_last_cells(csv: Callable[..., Manifest]) -> None:
    frame = csv("path,label,split,speaker\na,real,test\nb,fake,test,ben\n").frame
    assert frame["speaker"].tolist() == ["", "ben"]
    assert "row 3: unknown label ''" in complaint(lambda: csv("path,label\na,real\nb\n"))


def test_rows_longer_than_the_header_are_refused(csv: Callable[..., Manifest]) -> None:
    assert "Length of header" in complaint(lambda: csv("path,label,split\na,real,test,anna\nb,fake,test,ben\n"))
    assert "line 3, saw 4" in complaint(lambda: csv("path,label,split\na,real,test\nb,fake,test,ben\n"))


def test_a_first_line_that_is_empty(csv: Callable[..., Manifest]) -> None:
    assert list(csv("\npath,label,split\na,real,test\n").ids) == ["a"]
    assert "its first line is empty" in complaint(lambda: csv("\npath,label,split\na,x,test\n"))


def test_two_columns_of_one_name(csv: Callable[..., Manifest]) -> None:
    assert list(csv("path,label,split,x,x\na,real,test,1,2\n").frame)[-2:] == ["x", "x.1"]


def test_durations_are_read_as_people_write_them() -> None:
    assert check(duration_s=[" 1.5 ", "+2", "1e-3", ""]).frame["duration_s"].tolist()[:3] == [1.5, 2.0, 1e-3]
    for wrong in ("nan", "1_0", "0x10", "1e400", "-0", "true", "1,5", " ", "None"):
        assert f"row 4: duration_s {wrong!r} is no number above 0" in complaint(
            lambda word=wrong: check(duration_s=["1", "", word, "2"])
        )
    assert "duration_s -1.0 is" in complaint(lambda: check(duration_s=[1.0, np.nan, -1.0, 2.0]))


def test_paths_that_become_the_same_stand_twice() -> None:
    assert "row 5: path 'x/a' stands twice" in complaint(lambda: check(path=["x/a", "b", "c", "x\\a"]))


def test_only_20_rows_are_shown() -> None:
    frame = pd.DataFrame({"path": [f"{row}.wav" for row in range(50)], "label": "x", "split": "y"})
    lines = complaint(lambda: Manifest.check(frame, Path(), source="here")).splitlines()
    assert lines[0] == "here: 100 wrong rows"
    assert len(lines) == 22
    assert lines[-1] == "  … and 80 more"
    assert lines[20].startswith("  row 11:")


def test_missing_columns_are_named(csv: Callable[..., Manifest]) -> None:
    assert "no column path, label; the columns are: file, key" in complaint(lambda: csv("file,key\na,b\n"))


@pytest.mark.parametrize("text", ["", "path,label\n", "path,label\na,real,x\nb,fake,y\n", 'path,label\n"a,real\n'])
def test_no_usable_table(csv: Callable[..., Manifest], text: str) -> None:
    complaint(lambda: csv(text))


def test_other_encodings_are_refused(csv: Callable[..., Manifest]) -> None:
    assert "no readable CSV" in complaint(lambda: csv("path,label\nä.wav,real\n", encoding="utf-16"))


def test_damaged_parquet_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1 and then nothing")
    assert "no readable CSV or Parquet" in complaint(lambda: Manifest.read(tmp_path / "m.parquet"))
    assert "no manifest at" in complaint(lambda: Manifest.read(tmp_path / "m.csv"))


def test_reserved_columns() -> None:
    assert "'score'" in complaint(lambda: check(score=[1, 2, 3, 4]))
    assert "rename the column id" in complaint(lambda: check(id=[1, 2, 3, 4]))


def test_parquet_keeps_notes_hint_and_dealing(tmp_path: Path) -> None:
    manifest = check().noted("careful").hinted("type this").dealt(BY_SPEAKER_OR_NAME)
    manifest.write(tmp_path / "m.parquet")
    again = Manifest.read(tmp_path / "m.parquet")
    assert (again.notes, again.hint, again.dealing) == (manifest.notes, "type this", BY_SPEAKER_OR_NAME)


@pytest.mark.parametrize(
    "stored",
    [
        {"dfad": "text"},
        {"dfad": {"notes": 5}},
        {"dfad": {"dealing": 5}},
        {"dfad": {"dealing": {"who": "x"}}},
        {"dfad": {"root": 5}},
        {"dfad": {"root": {"a": 5}}},
        [5],
    ],
)
def test_odd_words_of_a_parquet_about_itself_are_refused(stored: object, tmp_path: Path) -> None:
    metadata = {"PANDAS_ATTRS": json.dumps(stored)}
    pq.write_table(pa.Table.from_pandas(table()).replace_schema_metadata(metadata), tmp_path / "m.parquet")
    assert f"{tmp_path}/m.parquet" in complaint(lambda: Manifest.read(tmp_path / "m.parquet"))


def test_categories_and_gaps_of_parquet(tmp_path: Path) -> None:
    frame = table(attack=pd.Categorical([None, "A", None, "B"]), speaker=[None, "s", "t", None])
    frame = frame.assign(label=frame["label"].astype("category"), split=frame["split"].astype("category"))
    frame.to_parquet(tmp_path / "m.parquet")
    manifest = Manifest.read(tmp_path / "m.parquet")
    assert manifest.frame["attack"].tolist() == ["", "A", "", "B"]
    assert manifest.frame["speaker"].tolist() == ["", "s", "t", ""]


def test_system_is_read_as_attack_and_bona_fide_has_none() -> None:
    assert check(system=["human", "A01", "human", "A02"]).frame["attack"].tolist() == ["", "A01", "", "A02"]


def test_attack_wins_over_system() -> None:
    frame = check(system=list("wxyz"), attack=list("abcd")).frame
    assert frame["attack"].tolist() == ["", "b", "", "d"]
    assert frame["system"].tolist() == list("wxyz")


def test_backslashes_become_slashes() -> None:
    assert check(path=["x\\a.wav", "b", "c", "d"]).ids[0] == "x/a.wav"


def unsplit(speakers: int, clips: int) -> pd.DataFrame:
    rows = [(f"{speaker}/{clip}.wav", f"s{speaker}") for speaker in range(speakers) for clip in range(clips)]
    return pd.DataFrame(rows, columns=["path", "speaker"]).assign(label="real")


def test_without_a_split_a_note_is_made() -> None:
    assert Manifest.check(unsplit(3, 2), Path(), source="").notes == (BY_SPEAKER_OR_NAME.note,)
    assert check().notes == ()


def test_split_rule_keeps_speakers_together_and_its_shares() -> None:
    frame = Manifest.check(unsplit(1000, 2), Path(), source="").frame
    assert (frame.groupby("speaker")["split"].nunique() == 1).all()
    shares = frame["split"].value_counts(normalize=True)
    assert abs(shares["train"] - 0.8) < 0.05
    assert abs(shares["val"] - 0.1) < 0.03
    assert abs(shares["test"] - 0.1) < 0.03


@pytest.mark.parametrize("by", ["speaker", "name"])
def test_split_rule_does_not_move_clips_when_some_are_added(by: str) -> None:
    frame = unsplit(40, 5) if by == "speaker" else unsplit(40, 5).drop(columns="speaker")
    few = Manifest.check(frame.iloc[::3], Path(), source="").frame.set_index("id")["split"]
    many = Manifest.check(frame.iloc[::-1], Path(), source="").frame.set_index("id")["split"]
    assert (many[few.index] == few).all()
    assert few.nunique() == 3


def test_require_both_classes_names_every_bad_split() -> None:
    manifest = check(label=["real", "fake", "real", "real"])
    manifest.require_both_classes(["train"])
    text = complaint(lambda: manifest.require_both_classes(["train", "val", "test"]))
    assert "split 'val' has 0 bona-fide and 0 spoof" in text
    assert "split 'test' has 2 bona-fide and 0 spoof" in text
    assert "'train'" not in text


def test_digest_changes_with_every_cell_and_name() -> None:
    columns = {"attack": ["", "A", "", "B"], "speaker": list("stuv"), "duration_s": [1.0, 2, 3, 4], "x": list("wxyz")}
    first = check(**columns)
    others = [first]
    for name in first.frame:
        frame = first.frame.copy()
        if name not in ("label", "duration_s"):
            frame[name] = frame[name].where(frame.index != 3, "val")
        else:
            frame.loc[3, name] = 1
        others.append(Manifest(frame, first.root))
    others += [Manifest(first.frame.rename(columns={"x": "y"}), first.root), Manifest(first.frame[::-1], first.root)]
    assert len({manifest.digest() for manifest in others}) == len(others) == 10


def test_digests_stay_what_they_were() -> None:
    manifest = Manifest.check(rich(), Path(), source="")
    assert manifest.digest() == "5e09de7bf9365fa26a6bbc9f97c5b089ea010218c9f273174f9feb3242e26ab1"
    frame = pd.concat([manifest.frame] * 20_000)  # more than is joined at a time
    text = "".join(f"\x1e{name}\x1e" + "\x1f".join(frame[name].astype(str).fillna("")) for name in sorted(frame))
    assert Manifest(frame, Path()).digest() == hashlib.sha256(text.encode()).hexdigest()


def test_digest_knows_no_root_and_no_order_of_columns() -> None:
    first = check(x=list("wxyz"))
    assert Manifest(first.frame[first.frame.columns[::-1]], Path("elsewhere")).digest() == first.digest()


def test_rows_only_and_without() -> None:
    manifest = check()
    assert manifest.rows("test").tolist() == [2, 3]
    assert list(manifest.only(manifest.rows("test")).ids) == ["c.wav", "d.wav"]
    assert list(manifest.without(["b.wav", "no such"]).ids) == ["a.wav", "c.wav", "d.wav"]
    assert manifest.noted("careful").notes == ("careful",)
    assert len(manifest.rows("val")) == 0


def test_ids_of_many_clips_lie_in_arrow_memory(tmp_path: Path) -> None:
    count = 50_000
    frame = pd.DataFrame({"path": [f"spoof/{row:06}.wav" for row in range(count)], "label": "spoof", "split": "test"})
    frame.to_csv(tmp_path / "m.csv", index=False)
    manifest = Manifest.read(tmp_path / "m.csv")
    assert len(manifest) == count
    assert manifest.frame.memory_usage(deep=True).sum() < 80 * count


def test_the_real_corpus(reference: Path) -> None:
    manifest = Manifest.read(reference / "corpus" / "manifest.csv")
    assert len(manifest.rows("test")) == 282
    assert all(manifest.path(row).is_file() for row in range(len(manifest)))
    manifest.require_both_classes(["train", "val", "test"])
