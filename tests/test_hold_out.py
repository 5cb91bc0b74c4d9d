"""Leaving one group of clips out: who is tested on and trained on, and what is said where it cannot be done."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from dfad.clips import Manifest
from dfad.commands.door import CONF
from dfad.commands.guard import guarded
from dfad.corpora import CORPORA
from dfad.corpora.hold_out import MOST_LISTED, leave_out, sweep_words
from dfad.dealing import BY_SPEAKER_OR_NAME
from dfad.errors import ConfigError, DataError, DfadError
from dfad.training.config import TrainConfig
from tests.test_config import composed

SPLITS = ("train", "val", "test")
NAMES = ("a", "b", "c/d e, (f)")


def rows(**columns: Callable[[str, str, str], str]) -> pd.DataFrame:
    """A clip of each class in each split for each source, 18 in all; further columns as functions of those three."""
    table = [
        {"path": f"{split}/{label}/{number}.wav", "label": label, "split": split, "source": source}
        | {name: of(split, label, source) for name, of in columns.items()}
        for split in SPLITS
        for label in ("bona-fide", "spoof")
        for number, source in enumerate(NAMES)
    ]
    return pd.DataFrame(table)


def made(frame: pd.DataFrame) -> Manifest:
    return Manifest.check(frame, Path("root"), source="here")


def refused(kind: type[DfadError], group: str, frame: pd.DataFrame | None = None) -> str:
    with pytest.raises(kind) as caught:
        leave_out(made(rows() if frame is None else frame), group)
    assert str(caught.value).startswith(f"data.hold_out={group}: ")
    return str(caught.value)


def swept(line: str) -> list[str]:
    """The values that a shell and Hydra make of a line with `-m`."""
    flag, *overrides = shlex.split(line)
    assert flag == "-m"
    (override,) = OverridesParser.create().parse_overrides(overrides)
    assert override.get_key_element() == "data.hold_out"
    if not override.is_sweep_override():
        return [str(override.value())]
    jobs = [OverridesParser.create().parse_overrides([f"data.hold_out={v}"]) for v in override.sweep_string_iterator()]
    return [str(job[0].value()) for job in jobs]


# the clips


def test_the_group_is_the_test_set_and_the_other_test_clips_are_trained_on() -> None:
    before = made(rows())
    after = leave_out(before, "source:b")
    frame = after.frame.assign(old=before.frame["split"])
    assert set(frame["source"][frame["split"] == "test"]) == {"b"}
    assert not (frame["source"][frame["split"] != "test"] == "b").any()
    others = frame[frame["source"] != "b"]
    assert others.groupby(["old", "split"]).size().to_dict() == {
        ("test", "train"): 4,
        ("train", "train"): 4,
        ("val", "val"): 4,
    }
    assert list(after.ids) == list(before.ids)
    assert after.root == before.root
    assert after.frame.dtypes.to_dict() == before.frame.dtypes.to_dict()
    assert after.digest() != before.digest()
    assert before.frame["split"].tolist() == rows()["split"].tolist()  # what was read is left alone


@given(
    sources=st.lists(st.sampled_from("abcd"), min_size=1, max_size=40),
    splits=st.lists(st.sampled_from(SPLITS), min_size=40, max_size=40),
    labels=st.lists(st.sampled_from(["real", "fake"]), min_size=40, max_size=40),
)
def test_no_clip_is_lost_and_none_of_the_group_is_seen(
    sources: list[str], splits: list[str], labels: list[str]
) -> None:
    count = len(sources)
    names = [f"{number}.wav" for number in range(count)]
    frame = pd.DataFrame({"path": names, "label": labels[:count], "split": splits[:count], "source": sources})
    before = made(frame)
    can = set()
    for source in sorted(set(sources)):
        try:
            after = leave_out(before, f"source:{source}")
        except DataError as error:
            said = str(error)
            continue
        can.add(source)
        after.require_both_classes(SPLITS)
        assert set(after.rows("test")) == set(np.flatnonzero(frame["source"] == source))
        assert set(after.rows("val")) == set(before.rows("val")) - set(after.rows("test"))
        assert len(after) == count
    if can != set(sources):  # the last refusal lists exactly those that can be held out
        assert (f"{len(can)} of the {len(set(sources))} values" in said) == bool(can)
        assert not can or {value.removeprefix("source:") for value in swept(said[said.index("-m") :])} == can


def test_the_note_says_what_was_done() -> None:
    (note,) = leave_out(made(rows()), "source:b").notes
    assert "leave one group out: the test clips are those with source = b, train and val are all others" in note
    assert "4 clips of the corpus' own test split are in train" in note
    (note,) = leave_out(made(rows()), "split:test").notes
    assert "own test split" not in note  # none of them was trained on


def test_of_clips_dealt_at_random_the_note_speaks_of_train_and_val() -> None:
    frame = pd.DataFrame(
        {
            "path": [f"{number}.wav" for number in range(400)],
            "label": ["real", "fake"] * 200,
            "source": np.repeat(list("abcd"), 100),
        }
    )
    before = made(frame)
    assert before.notes == (BY_SPEAKER_OR_NAME.note,)
    dealt, note = leave_out(before, "source:d").notes
    assert dealt == BY_SPEAKER_OR_NAME.note_without_test
    assert "own test split" not in note


def test_labels_and_numbers_are_held_out_by_the_words_that_one_types() -> None:
    assert "the group has 0 bona-fide and 9 spoof clips" in refused(DataError, "label:spoof")
    table = rows()
    table["take"] = np.arange(len(table)) % 3  # as a Parquet file has it
    assert set(leave_out(made(table), "take:1").frame["take"].iloc[[1, 4]]) == {1}
    table["room"] = [None, "x", "y"] * 6
    held = leave_out(made(table), "room:x")
    assert len(held.rows("test")) == 6
    assert (held.frame["split"][held.frame["room"].isna()] != "test").all()


# what cannot be done


def test_no_such_column() -> None:
    assert "the clips have no column 'sorce'; did you mean 'source'?" in refused(ConfigError, "sorce:a")
    assert "choose from: attack, duration_s, label, path, source, speaker, split" in refused(ConfigError, "zzz:a")


def test_no_such_value_names_the_nearest_and_all_that_there_are() -> None:
    frame = rows(speaker=lambda split, label, source: {"a": "anna", "b": "ben", NAMES[2]: "carl"}[source])
    said = refused(ConfigError, "speaker:ana", frame)
    assert "no clip has speaker = ana; did you mean speaker:anna?" in said
    assert "3 of the 3 values of speaker can be held out: anna, ben, carl" in said
    assert said.endswith("one after another: -m data.hold_out=speaker:anna,speaker:ben,speaker:carl")
    said = refused(ConfigError, "source:zzz")
    assert "did you mean" not in said
    assert swept(said[said.index("-m") :]) == [f"source:{name}" for name in NAMES]
    assert "no clip has speaker = x" in refused(ConfigError, "speaker:x")  # a column without a single value


def test_many_values_are_not_listed() -> None:
    table = pd.concat([rows()] * 20)
    table["path"] = [f"{number}.wav" for number in range(len(table))]
    table["take"] = [f"take{number}" for number in range(len(table))]
    said = refused(ConfigError, "take:taek7", table)
    assert len(table) > MOST_LISTED
    assert said.splitlines()[0].endswith("did you mean take:take7?")
    assert said.splitlines()[1:] == [
        f"the column take has {len(table)} values, such as take0, take1, take10, take100, take101"
    ]


def test_a_group_of_one_class_tells_nothing_apart() -> None:
    frame = rows(codec=lambda split, label, source: "mp3" if label == "spoof" and source == "a" else "wav")
    said = refused(DataError, "codec:mp3", frame)
    assert "the group has 0 bona-fide and 3 spoof clips: nothing can be told apart" in said
    assert "none of the 2 values of codec can be held out" in said
    assert "-m" not in said
    said = refused(DataError, "path:train/spoof/0.wav")
    assert "0 bona-fide and 1 spoof clips" in said


@pytest.mark.parametrize("name", ["attack", "system"])
@pytest.mark.parametrize("column", ["attack", "system"])
def test_an_attack_has_no_bona_fide_clips(name: str, column: str) -> None:
    frame = rows(**{column: lambda split, label, source: f"{source}0"})
    said = refused(DataError, f"{name}:a0", frame)
    assert "an attack has no bona fide clips of its own" in said
    assert "test/eer/unseen" in said


def test_something_must_be_left_to_train_and_validate_on() -> None:
    assert "this leaves val with 0 bona-fide and 0 spoof clips" in refused(DataError, "split:val")
    only_b = rows(place=lambda split, label, source: "here" if split == "val" and label == "spoof" else source)
    only_b.loc[(only_b["split"] == "test"), "place"] = "here"
    said = refused(DataError, "place:here", only_b)
    assert "this leaves val with 3 bona-fide and 0 spoof clips, and both need both classes" in said


@pytest.mark.parametrize("group", ["source", "source:", ":a", ""])
def test_a_word_without_column_or_value_is_refused_before_any_work(group: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.read(composed("train", f"data.hold_out='{group}'"))
    assert "write it as column:value" in str(caught.value)
    assert str(caught.value).startswith("data.hold_out=")


def test_a_group_called_x_is_not_told_as_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        leave_out(made(rows()), "source:x")

    assert guarded(work) == 2
    assert "data.hold_out=source:x: no clip has source = x" in capsys.readouterr().err


# the option


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_every_corpus_has_the_option_and_it_names_the_run(name: str) -> None:
    needed = {"manifest": ["data.path=x"], "folder": ["data.path=x"], "mix": ["data.parts=[demo,for_2sec]"]}
    words = [f"data={name}", *needed.get(name, [])]
    with_it = TrainConfig.read(composed("train", *words, "data.hold_out=speaker:anna"))
    assert with_it.data.hold_out == "speaker:anna"
    assert with_it.identity() != TrainConfig.read(composed("train", *words)).identity()


def test_a_corpus_gives_the_manifest_with_the_group_held_out(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    rows().to_csv(path, index=False)
    plain: dict[str, Any] = {"name": "manifest", "path": str(path)}
    knobs = CORPORA["manifest"].read({**plain, "hold_out": f"source:{NAMES[2]}"})
    manifest = knobs.manifest()
    assert set(manifest.frame["source"].iloc[manifest.rows("test")]) == {NAMES[2]}
    assert knobs.read_clips().digest() == CORPORA["manifest"].read(plain).manifest().digest() != manifest.digest()


# the line to paste


@pytest.mark.parametrize(
    "groups",
    [
        ["source_repo:a", "source_repo:b"],
        ["source_repo:org/name-1.0", "source_repo:b"],
        ["room:two words", "room:a,b", "room:c (d)", "room:it's", 'room:"q"', "room:back\\slash\\", "room:[x]=${y}"],
        ["room:größe", "room:b"],
        ["room:größe"],
        ["take:1", "take:2.50", "take:null", "take:1e3"],
    ],
)
def test_a_shell_and_hydra_read_the_line_as_it_was_meant(groups: list[str]) -> None:
    assert swept(sweep_words(groups)) == groups


@given(st.lists(st.text("ab:/\\'\", ()[]{}$#=*é~-", min_size=1, max_size=8), min_size=1, max_size=4))
def test_no_value_breaks_the_line(values: Sequence[str]) -> None:
    groups = [f"c:{value}" for value in values]
    assert swept(sweep_words(groups)) == groups


def test_hydra_composes_each_job_of_the_line() -> None:
    groups = ["room:a, b (c)", "room:d/e"]
    override = OverridesParser.create().parse_overrides([shlex.split(sweep_words(groups))[1]])
    found = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for (job,) in BasicSweeper.split_arguments(override, None)[0]:
            found.append(compose("train", [f"++{job}"])["data"]["hold_out"])
    assert found == groups
