"""Dealing clips that have no splits: groups stay whole and stay where they are, and it is told how they were dealt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfad.clips import Manifest
from dfad.corpora.hold_out import leave_out
from dfad.dealing import AT_RANDOM, BY_SPEAKER_OR_NAME, SHARES, by_group, deal
from dfad.errors import DataError

NAMES = st.lists(st.text(max_size=6), min_size=1, max_size=60)
BY_SPEAKER = by_group("speaker", "unseen channels")


@given(NAMES)
def test_no_group_is_ever_divided(names: list[str]) -> None:
    splits = deal(pd.Series(names, dtype="str"))
    assert len(splits) == len(names)
    assert set(splits) <= set(SHARES)
    assert all(len(set(splits[np.array(names) == name])) == 1 for name in names)


@given(NAMES, NAMES, st.randoms())
def test_a_group_stays_where_it_is_when_others_come_or_go(names: list[str], more: list[str], random: object) -> None:
    mixed = [*names, *more]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    before = dict(zip(names, deal(pd.Series(names, dtype="str")), strict=True))
    after = dict(zip(mixed, deal(pd.Series(mixed, dtype="str")), strict=True))
    assert {name: after[name] for name in names} == before


def test_groups_come_in_the_promised_shares() -> None:
    splits = pd.Series(deal(pd.Series([f"speaker {number}" for number in range(20_000)])))
    shares = splits.value_counts(normalize=True)
    assert all(abs(shares[split] - share) < 0.01 for split, share in SHARES.items())  # 3.5 standard deviations


def test_where_names_were_dealt_before_they_are_dealt_again() -> None:
    names = pd.Series(["ezwa", "zeckou", "tux", "LJ001-0001", "größe", "x"])
    assert deal(names).tolist() == ["train", "val", "test", "train", "val", "train"]


# what is said of it


def manifest(clips: int = 100) -> Manifest:
    frame = pd.DataFrame(
        {"path": [f"{number}.wav" for number in range(clips)], "label": ["real", "fake"] * (clips // 2)}
    )
    frame["room"] = np.where(np.arange(clips) < clips // 2, "a", "b")
    return Manifest.check(frame, Path("root"), source="here")


def test_a_manifest_carries_how_it_was_dealt_wherever_clips_are_chosen() -> None:
    whole = manifest().noted("first")
    assert whole.dealing is BY_SPEAKER_OR_NAME
    assert whole.notes == (BY_SPEAKER_OR_NAME.note, "first")
    for less in (whole.only(whole.rows("train")), whole.without(["3.wav"]), whole.noted("second"), whole.hinted("x")):
        assert less.dealing is BY_SPEAKER_OR_NAME
        assert less.notes[:2] == whole.notes
    again = whole.dealt(BY_SPEAKER)
    assert again.notes == (BY_SPEAKER.note, "first")
    assert again.dealt(None).notes == ("first",)
    assert again.dealt(None).dealing is None


def test_splits_of_a_table_are_its_own() -> None:
    frame = pd.DataFrame({"path": ["a", "b"], "label": ["real", "fake"], "split": ["test", "test"]})
    own = Manifest.check(frame, Path(), source="").noted(BY_SPEAKER_OR_NAME.note)  # a note alone says nothing
    assert own.dealing is None
    assert own.only(own.rows("test")).dealing is None


def test_a_held_out_group_is_a_test_set_of_its_own() -> None:
    held = leave_out(manifest().dealt(BY_SPEAKER).noted("first").hinted("get more"), "room:a")
    assert held.dealing is None
    assert held.notes[:2] == (BY_SPEAKER.note_without_test, "first")
    assert "validation says little about unseen channels" in held.notes[0]
    assert held.hint == "get more"


@pytest.mark.parametrize(
    ("made", "hint"),
    [
        (manifest(2), BY_SPEAKER_OR_NAME.hint),
        (manifest(2).dealt(BY_SPEAKER), "clips are dealt by speaker, and none is divided: more of them are needed"),
        (manifest(2).dealt(AT_RANDOM), AT_RANDOM.hint),
        (manifest(2).dealt(None), "name no splits at all and the clips are dealt at random"),
        (manifest(2).dealt(None).noted("a note alone says nothing"), "name no splits at all"),
        (manifest(2).dealt(None).hinted("get the rest"), "every split needs both classes; get the rest"),
    ],
)
def test_a_split_that_lacks_a_class_is_answered_by_what_made_the_splits(made: Manifest, hint: str) -> None:
    with pytest.raises(DataError, match="split 'val' has 0 bona-fide") as error:
        made.require_both_classes(["train", "val", "test"])
    assert hint in str(error.value)
    assert ("data.split=random" in str(error.value)) == (made.dealing is BY_SPEAKER)


def test_a_random_split_is_named_loudly() -> None:
    assert "CLIP BY CLIP, as data.split=random asks for" in AT_RANDOM.note
    assert "scores come out too good" in AT_RANDOM.note
