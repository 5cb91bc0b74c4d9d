"""Score files of other systems: every format, every way to be wrong, joins, round trips, golden values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfad import metrics
from dfad.errors import DataError
from dfad.score_files import read_scores, write_asvspoof
from dfad.score_files.tables import NAMES
from dfad.scores import ScoreTable

settings.register_profile("dfad", deadline=None, derandomize=True, database=None)
settings.load_profile("dfad")

TWO = "LA_E_1 -3.2\nLA_E_2 4.1\n"
FOUR = "LA_E_1 A11 spoof -3.2\nLA_E_2 - bonafide 4.1\n"
KEY_2019 = "LA_0001 LA_E_1 - A11 spoof\nLA_0002 LA_E_2 - - bonafide\n"
SAME = {"id": ["LA_E_1", "LA_E_2"], "score": [-3.2, 4.1], "label": [0, 1], "attack": ["A11", ""], "split": ["test"] * 2}


def put(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


def refusal(path: Path, **more) -> str:
    with pytest.raises(DataError) as caught:
        read_scores(path, **more)
    return str(caught.value)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return put(tmp_path / "key.txt", KEY_2019)


# --- formats -------------------------------------------------------------------------------------


def test_the_public_scores_give_the_golden_values(reference: Path) -> None:
    table = read_scores(reference / "reference" / "asvspoof5_dev_scores.csv")
    exact = {"rel": 0, "abs": 1e-12}
    assert metrics.eer_asvspoof(table.scores, table.labels)[0] == pytest.approx(0.00619731789960915, **exact)
    assert metrics.act_dcf(table.scores, table.labels) == pytest.approx(0.018024153192537015, **exact)
    assert metrics.cllr(table.scores, table.labels) == pytest.approx(0.028190618341414547, **exact)
    assert metrics.min_dcf(table.scores, table.labels)[0] == pytest.approx(0.01631981160660231, **exact)
    assert table.frame["score"].dtype == np.float32
    assert table.frame["id"].iloc[[0, -1]].tolist() == ["row 1", "row 29548"]


@pytest.mark.parametrize(
    "text",
    [
        FOUR,
        FOUR.replace(" ", "\t"),
        FOUR.replace("\n", "\r\n"),
        FOUR.replace(" ", "   "),
        "\n" + FOUR.replace("\n", "\n\n").rstrip(),
        "\ufeff" + FOUR,
        "utt,attack,key,score\nLA_E_1,A11,spoof,-3.2\nLA_E_2,-,bonafide,4.1\n",
        "File;System;Target;CM-Score\nLA_E_1;A11;fake;-3.2\nLA_E_2;;real;4.1\n;;;\n",
        "filename\tcm-score\tcm-label\tattack_id\nLA_E_1\t-3.2\tspoof\tA11\nLA_E_2\t4.1\tbonafide\tbonafide\n",
        "utt_id  attack  key  llr\nLA_E_1   A11  spoof  -3.2\nLA_E_2 - bonafide   4.1\n",
        "clip,score,class,attack\r\nLA_E_1,-3.2,0,A11\r\nLA_E_2,4.1,1,\r\n",
        '"path","score","label","system","split"\n"LA_E_1","-3.2","0.0","A11","eval"\n"LA_E_2",4.1,1.0,"","test"\n',
    ],
)
def test_formats_with_labels(tmp_path: Path, text: str) -> None:
    table = read_scores(put(tmp_path / "scores.any", text))
    assert table.frame.to_dict("list") == SAME
    assert table.frame["score"].dtype == np.float64
    assert table.frame["label"].dtype == np.int8


@pytest.mark.parametrize("text", [TWO, TWO.replace(" ", "\t"), "filename\tcm-score\n" + TWO.replace(" ", "\t")])
def test_formats_without_labels(tmp_path: Path, key: Path, text: str) -> None:
    path = put(tmp_path / "scores.csv", text)
    frame = read_scores(path, labels=key).frame
    assert frame[list(SAME)].to_dict("list") == SAME
    assert frame["speaker"].tolist() == ["LA_0001", "LA_0002"]
    assert refusal(path).endswith("has no labels; give a manifest or an ASVspoof protocol that has them: --labels FILE")


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NAMES.items() for name in names])
def test_every_name_of_a_column_is_known(tmp_path: Path, role: str, name: str) -> None:
    words = {"id": "a", "score": "2", "label": "real", "attack": "", "split": "val"}
    more = {} if role in words else {role: "x"}
    words |= more
    header = ",".join(name.upper().replace("_", "-") if each == role else each for each in words)
    (row,) = read_scores(put(tmp_path / "s", f"{header}\n{','.join(words.values())}\n")).frame.to_dict("records")
    assert row == {"id": "a", "score": 2, "label": 1, "attack": "", "split": "val", **more}


def test_further_columns_are_kept_as_they_are(tmp_path: Path) -> None:
    frame = read_scores(put(tmp_path / "s", "Codec Q,score,key,speaker\nNA,1,real,0012\n,2,spoof,\n")).frame
    assert list(frame) == ["id", "score", "label", "attack", "split", "Codec Q", "speaker"]
    assert frame["speaker"].tolist() == ["0012", ""]
    assert frame["Codec Q"].tolist() == ["NA", ""]
    assert frame["id"].tolist() == ["row 1", "row 2"]


def test_foreign_parquet(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    pd.DataFrame({"utt": [7, 8], "llr": [0.1, 2.0], "target": [True, False], "n": [1, 2]}).astype(
        {"target": int}
    ).to_parquet(path)
    frame = read_scores(path).frame
    assert frame["id"].tolist() == ["7", "8"]
    assert frame["score"].tolist() == [0.1, 2.0]
    assert frame["label"].tolist() == [1, 0]
    assert frame["n"].dtype == np.int64


def test_an_id_that_is_a_columns_name_is_no_header(tmp_path: Path, key: Path) -> None:
    path = put(tmp_path / "s", "score - bonafide 1\nutt A1 spoof 0\n")
    assert read_scores(path).frame["id"].tolist() == ["score", "utt"]


def test_polarity_negates_once(tmp_path: Path) -> None:
    path = put(tmp_path / "s", FOUR)
    assert read_scores(path, polarity="spoof").scores.tolist() == [3.2, -4.1]
    assert read_scores(path, polarity="bona-fide").scores.tolist() == [-3.2, 4.1]


def test_infinite_scores_are_legal(tmp_path: Path) -> None:
    path = put(tmp_path / "s", "a A1 spoof -inf\nb - bonafide Infinity\n")
    assert read_scores(path).scores.tolist() == [-np.inf, np.inf]


# --- labels from elsewhere -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (KEY_2019, {"speaker": "LA_0001", "environment": "-"}),
        (
            "LA_0001 LA_E_1 alaw ita_tx A11 spoof notrim eval\nLA_0002 LA_E_2 none - - bonafide trim progress\n",
            {"codec": "alaw", "transmission": "ita_tx", "trim": "notrim", "subset": "eval"},
        ),
        (
            "X LA_E_1 nocodec asvspoof A11 spoof notrim progress traditional_vocoder - - - -\n"
            "X LA_E_2 high_mp3 vcc2020 - bonafide notrim eval bonafide Task1 team20 FF E\n",
            {"codec": "nocodec", "source": "asvspoof", "vocoder": "traditional_vocoder", "language": "-"},
        ),
        (
            "T_1 LA_E_1 F C05 2 LA_E_0 AC3 A11 spoof -\nT_2 LA_E_2 M - - - - bonafide bonafide -\n",
            {"speaker": "T_1", "gender": "F", "codec": "C05", "codec_q": "2", "attack_tag": "AC3"},
        ),
        ("path,label,attack,codec\nLA_E_2,real,,none\nLA_E_1,fake,A11,mp3\n", {"codec": "mp3"}),
        ("id;key;system\nLA_E_1;0;A11\nLA_E_2;1;-\n", {}),
        ("filename\tcm-label\tattack\tscore\nLA_E_1\tspoof\tA11\t9\nLA_E_2\tbonafide\t-\t9\n", {}),
        ("path,label,attack,split,system\nLA_E_1,fake,A11,test,x\nLA_E_2,real,,test,y\n", {"system": "x"}),
    ],
)
def test_labels_from_protocols_and_manifests(tmp_path: Path, text: str, columns: dict[str, str]) -> None:
    frame = read_scores(put(tmp_path / "s", TWO), labels=put(tmp_path / "labels", text)).frame
    assert frame[list(SAME)].to_dict("list") == SAME
    assert frame[list(columns)].iloc[0].to_dict() == columns


def test_labels_from_parquet(tmp_path: Path) -> None:
    labels = tmp_path / "m.parquet"
    pd.DataFrame({"path": ["LA_E_1", "LA_E_2"], "label": ["fake", "real"], "split": "dev"}).to_parquet(labels)
    frame = read_scores(put(tmp_path / "s", TWO), labels=labels).frame
    assert frame["split"].tolist() == ["val", "val"]
    assert frame["label"].tolist() == [0, 1]


def test_a_join_by_file_name(tmp_path: Path) -> None:
    labels = put(tmp_path / "m.csv", "path,label\nreal\\LA_E_2.wav,real\nfake/x/LA_E_1.flac,fake\n")
    frame = read_scores(put(tmp_path / "s", TWO), labels=labels).frame
    assert frame["id"].tolist() == ["LA_E_1", "LA_E_2"]
    assert frame["label"].tolist() == [0, 1]
    labels = put(tmp_path / "m.csv", "path,label\na/LA_E_2.wav,real\nb/LA_E_2.wav,real\nLA_E_1.flac,fake\n")
    assert "2 of 2 clips" in refusal(tmp_path / "s", labels=labels)  # a name that comes twice says nothing
    labels = put(tmp_path / "m.csv", "path,label\nLA_E_2,real\nLA_E_1.flac,fake\n")
    assert "1 of 2 clips" in refusal(tmp_path / "s", labels=labels)  # one id matches, so ids are meant


def test_both_files_must_agree(tmp_path: Path, key: Path) -> None:
    assert read_scores(put(tmp_path / "s", FOUR), labels=key).frame[list(SAME)].to_dict("list") == SAME
    told = refusal(put(tmp_path / "s", FOUR.replace("bonafide", "spoof")), labels=key)
    assert told.endswith("differ in label at 1 clips, the first: LA_E_2 is 'spoof' and 'bona-fide'")
    told = refusal(put(tmp_path / "s", FOUR.replace("A11", "A12")), labels=key)
    assert told.endswith("differ in attack at 1 clips, the first: LA_E_1 is 'A12' and 'A11'")
    told = refusal(put(tmp_path / "s", "id,score,speaker\nLA_E_1,1,LA_0001\nLA_E_2,2,x\n"), labels=key)
    assert told.endswith("differ in speaker at 1 clips, the first: LA_E_2 is 'x' and 'LA_0002'")


def test_every_clip_needs_a_label_and_a_score(tmp_path: Path, key: Path) -> None:
    told = refusal(put(tmp_path / "s", TWO + "b 1\na 2\n"), labels=key)
    assert "2 of 4 clips of" in told
    assert told.endswith("the first: b")
    put(key, KEY_2019 + "".join(f"s x{number} - - bonafide\n" for number in range(4)))
    told = refusal(put(tmp_path / "s", TWO), labels=key)
    assert "4 of 6 clips of" in told
    assert "the first: x0, x1, x2\n" in told


def test_scores_without_ids_cannot_be_joined(tmp_path: Path, key: Path) -> None:
    told = refusal(put(tmp_path / "s", "score,mark\n1,x\n"), labels=key)
    assert told.endswith("has no ids, so labels cannot be joined; the columns are: score, mark")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no labels in it"),
        ("path,speaker\na,b\n", "no column for the label; the columns are: id, speaker\nit may be called: label, "),
        ("a b c d\n", "ASVspoof text of 5 or 8 or 10 or 13 columns"),
        (KEY_2019 * 2, "2 ids stand twice, the first: LA_E_1"),
        (KEY_2019.replace("spoof", "spuf"), "line 1: unknown label 'spuf'; did you mean 'spoof'?"),
        (KEY_2019 + "a b\n", "1 lines have not 5 columns (speaker, id, environment, attack, label), the first is line"),
        ("path,label,split\na,real,hidden\n", "line 2: unknown split 'hidden'"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, text: str, what: str) -> None:
    assert what in refusal(put(tmp_path / "s", TWO), labels=put(tmp_path / "m", text))
    assert "no labels at" in refusal(tmp_path / "s", labels=tmp_path / "none")


# --- scores that are none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no scores in it; the file is empty"),
        (" \n\t\n", "no scores in it; the file is empty"),
        ("id,score,label\n", "no scores in it"),
        ("score,label,CM score\n1,real,2\n", "columns 'score' and 'CM score' could both be the score"),
        ("path,id,score,label\n1,real,2\n", "columns 'path' and 'id' could both be the id"),
        ("score,label,key\n1,real,2\n", "columns 'label' and 'key' could both be the label"),
        ("score,label,x,x\n1,real,2\n", "columns 'x' and 'x' could both be the x"),
        ("path,label\na,real\n", "no column for the score; the columns are: id, label\nit may be called: score, "),
        ("a,1\nb,2\n", "the first line is 'a,1'"),
        ("a spoof 1\n", "ASVspoof text of 2 or 4 columns"),
        ("a A1 spoof 1\nb\n", "1 lines have not 4 columns (id, attack, label, score), the first is line 2 with 1"),
        ("score,label\n1,real\n\n2\n", "the first is line 4 with 1"),
        ("score,label\n1,real,\n", "the first is line 2 with 3"),
        ('score,label\n1,"real\n', "no readable scores"),
        (
            "score,label\n1,real\n\n,spoof\nnan,real\nx,real\n",
            "3 wrong rows\n  line 4: score '' is no number\n  line 5: score",
        ),
        ("score;label\n0,5;real\n", "line 2: score '0,5' is no number"),
        ("score,label\n1_0,real\n", "line 2: score '1_0' is no number"),
        ("a A1 spoof high\n", "line 1: score 'high' is no number"),
        ("score,label\n1,real\n2,reel\n3,\n", "line 3: unknown label 'reel'; did you mean 'real'?\n  line 4: unknown"),
        ("score,label\n1,1\n2,-1\n", "line 2: unknown label '1'"),
        ("score,label\n1,1\n2,real\n", "line 2: unknown label '1'"),
        ("score,label,split\n1,real,tset\n", "line 2: unknown split 'tset'"),
        ("id,score,label\n,1,real\n", "line 2: empty id"),
        ("id,score,label\na,1,real\na,1,real\n", "1 ids stand twice, the first: a"),
        (TWO + TWO, "2 ids stand twice, the first: LA_E_1"),
    ],
)
def test_files_that_are_no_scores(tmp_path: Path, key: Path, text: str, what: str) -> None:
    told = refusal(put(tmp_path / "s", text), labels=key if text == TWO + TWO else None)
    assert what in told


def test_twenty_wrong_rows_are_named(tmp_path: Path) -> None:
    lines = refusal(put(tmp_path / "s", "score,label\n" + "nan,real\n" * 30)).splitlines()
    assert lines[0].endswith("30 wrong rows")
    assert lines[20] == "  line 21: score 'nan' is no number"
    assert lines[21:] == ["  … and 10 more"]


def test_lines_are_counted_in_the_file(tmp_path: Path) -> None:
    told = refusal(put(tmp_path / "s", 'note,score,label\n"two\nlines",1,real\n\nx,?,real\n'))
    assert "line 5: score '?' is no number" in told


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_missing_and_damaged_files(tmp_path: Path, name: str) -> None:
    assert "no scores at" in refusal(tmp_path / name)
    assert "no scores at" in refusal(tmp_path)
    (tmp_path / name).write_bytes(b"\xff\0" * 99)
    assert "no readable scores" in refusal(tmp_path / name)


def test_wrong_rows_of_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"score": [1.0, None], "label": ["real", None]}).to_parquet(tmp_path / "s.parquet")
    assert "2 wrong rows\n  row 2: score 'nan' is no number\n  row 2: unknown" in refusal(tmp_path / "s.parquet")
    (tmp_path / "s.parquet").write_bytes((tmp_path / "s.parquet").read_bytes()[:-9])
    assert "no readable scores" in refusal(tmp_path / "s.parquet")


# --- round trips ---------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff"), max_size=8)
NO_BLANKS = WORDS.filter(lambda word: len(word.split()) == 1 and word == word.strip())
SCORES = {
    "float32": st.floats(width=32, allow_nan=False).map(np.float32),
    "float64": st.floats(allow_nan=False) | st.integers(1, 10**9).map(lambda number: number / 10**9),
}


@st.composite
def tables(draw: st.DrawFn, words: st.SearchStrategy[str]) -> ScoreTable:
    ids = draw(st.lists(words.filter(bool), min_size=1, max_size=6, unique=True))
    each = {"min_size": len(ids), "max_size": len(ids)}
    kind = draw(st.sampled_from(list(SCORES)))
    labels = draw(st.lists(st.integers(0, 1), **each))
    attacks = draw(st.lists(words.filter(lambda word: word != "-") | st.just(""), **each))
    attacks = ["" if label else attack for label, attack in zip(labels, attacks, strict=True)]
    frame = pd.DataFrame({"id": ids, "score": np.array(draw(st.lists(SCORES[kind], **each)), kind)})
    frame = frame.assign(label=np.array(labels, np.int8), attack=pd.Series(attacks, dtype="str"))
    frame["split"] = pd.Series(draw(st.lists(st.sampled_from(["train", "val", "test"]), **each)), dtype="str")
    return ScoreTable(frame.assign(system=pd.Series(draw(st.lists(words, **each)), dtype="str"), duration_s=1.5))


@settings(max_examples=50)
@given(table=tables(WORDS), suffix=st.sampled_from([".csv", ".parquet"]))
def test_our_own_tables_are_read_as_we_read_them(
    tmp_path_factory: pytest.TempPathFactory, table: ScoreTable, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("own") / f"s{suffix}"
    table.write(path)
    again, strict = read_scores(path).frame, ScoreTable.read(path).frame
    pd.testing.assert_frame_equal(again, strict)
    pd.testing.assert_frame_equal(again.drop(columns="score"), table.frame.drop(columns="score"))
    assert again["score"].tolist() == table.frame["score"].tolist()


@settings(max_examples=50)
@given(table=tables(NO_BLANKS))
def test_four_columns_survive(tmp_path_factory: pytest.TempPathFactory, table: ScoreTable) -> None:
    path = tmp_path_factory.mktemp("four") / "s.txt"
    write_asvspoof(table, path, columns=4)
    again = read_scores(path).frame
    for name in ("id", "score", "label", "attack"):
        assert again[name].tolist() == table.frame[name].tolist()


@settings(max_examples=50)
@given(table=tables(NO_BLANKS))
def test_two_columns_survive(tmp_path_factory: pytest.TempPathFactory, table: ScoreTable) -> None:
    folder = tmp_path_factory.mktemp("two")
    write_asvspoof(table, folder / "s.txt")
    table.frame.drop(columns="score").rename(columns={"id": "path"}).to_csv(folder / "labels.csv", index=False)
    again = read_scores(folder / "s.txt", labels=folder / "labels.csv").frame
    for name in table.frame:
        assert again[name].tolist() == table.frame[name].tolist()


@settings(max_examples=50)
@given(table=tables(WORDS), separator=st.sampled_from([",", ";", "\t"]))
def test_any_separator_survives(tmp_path_factory: pytest.TempPathFactory, table: ScoreTable, separator: str) -> None:
    path = tmp_path_factory.mktemp("any") / "s"
    table.frame.drop(columns="system").rename(columns={"id": "utt", "score": "LLR"}).to_csv(
        path, index=False, sep=separator
    )
    again = read_scores(path).frame
    assert again["id"].tolist() == table.frame["id"].tolist()
    assert again["label"].tolist() == table.frame["label"].tolist()


def test_what_asvspoof_text_looks_like(tmp_path: Path) -> None:
    table = read_scores(put(tmp_path / "s", FOUR.replace("3.2", "3.25").replace("4.1", "4")))
    write_asvspoof(table, tmp_path / "two.txt")
    assert (tmp_path / "two.txt").read_text() == "LA_E_1 -3.25\nLA_E_2 4\n"
    write_asvspoof(table, tmp_path / "four.txt", columns=4)
    assert (tmp_path / "four.txt").read_text() == "LA_E_1 A11 spoof -3.25\nLA_E_2 - bonafide 4\n"


def test_blanks_cannot_be_written_as_asvspoof_text(tmp_path: Path) -> None:
    table = read_scores(put(tmp_path / "s", "id,score,label,attack\nmy clip,1,fake,a b\n"))
    with pytest.raises(DataError, match="1 ids are empty or have blanks in them, the first: 'my clip'"):
        write_asvspoof(table, tmp_path / "t")
    table.frame["id"] = "clip"
    write_asvspoof(table, tmp_path / "t")
    with pytest.raises(DataError, match="1 attacks are empty or have blanks in them, the first: 'a b'"):
        write_asvspoof(table, tmp_path / "t", columns=4)
