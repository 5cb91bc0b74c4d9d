"""Corpora made by code: without a shortcut nothing is named, and one that was planted is named first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfad.audit.columns import columns
from dfad.audit.drift import drifts
from dfad.audit.findings import find, groups_of, parts_of
from dfad.audit.measure import Measured, measure
from tests.planted import PLANTS, planted

GROUPS = tuple(PLANTS)


def looked_at(root: Path, seed: int, **how: Any) -> tuple[Measured, list[Any]]:
    measured = measure(planted(root, seed, **how))
    return measured, find(columns(measured), parts_of(measured.manifest, None)[0])


def names_nothing(root: Path, seed: int) -> bool:
    _, found = looked_at(root, seed)
    return not any(it.named for it in found)


def names_first(root: Path, group: str, seed: int) -> bool:
    """Whether the group of a plant is the first, by the list of findings and by that of groups."""
    ways = PLANTS[group]
    _, found = looked_at(root, seed, **ways[seed % len(ways)])
    first = groups_of(found)[0]
    return found[0].named and found[0].column.feature.group == group == first[0] and first[2] > 0


@pytest.mark.parametrize("seed", [100, 101])
def test_nothing_is_named_where_nothing_was_planted(seed: int, tmp_path: Path) -> None:
    assert names_nothing(tmp_path, seed)


@pytest.mark.parametrize("group", GROUPS)
def test_what_was_planted_is_named_first(group: str, tmp_path: Path) -> None:
    assert names_first(tmp_path, group, seed=200)


@pytest.mark.slow
def test_nothing_is_named_in_18_of_20_corpora(tmp_path: Path) -> None:
    found = []
    for seed in range(20):
        root = tmp_path / str(seed)
        root.mkdir()
        found.append(names_nothing(root, seed))
    assert sum(found) >= 18, found


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_what_was_planted_is_named_first_in_10_of_10(group: str, tmp_path: Path) -> None:
    found = []
    for seed in range(10):
        root = tmp_path / str(seed)
        root.mkdir()
        found.append(names_first(root, group, 1000 + seed))
    assert all(found), found


def test_a_word_in_names_is_found(tmp_path: Path) -> None:
    """As in Fake-or-Real: most fakes were MP3s once, and their names tell."""

    def name(label: str, number: int) -> str:
        return f"file{number}.mp3" if label == "fake" and number % 10 else f"file{number}"

    _, found = looked_at(tmp_path, 5, name=name)
    assert found[0].named
    assert found[0].column.name in ("name=mp#", "name=mp3")
    assert not found[0].column.heard
    assert not any(it.named and it.column.heard for it in found)


def test_a_shortcut_that_flips_between_train_and_test(tmp_path: Path) -> None:
    quieter = lambda wave, random: 0.4 * wave  # noqa: E731

    def plant(label: str, split: str) -> Any:
        return quieter if (label == "fake") == (split != "test") else None

    measured, found = looked_at(tmp_path, 6, clips=240, plant=plant)
    told = {(it.column.name, it.split): it for it in found}
    train, test = told["rms", "train"], told["rms", "test"]
    assert (train.named, str(train.higher)) == (True, "bona-fide")
    assert (test.named, str(test.higher)) == (True, "spoof")
    worst = drifts(measured.manifest, columns(measured), found)[0]
    assert (worst.column.feature.group, worst.fate) == ("level", "flips")


def test_the_audit_knows_the_development_corpus(reference: Path) -> None:
    """What its README says that a model can cheat with: level, container and, in training, band."""
    from dfad.audit.whole import audit
    from dfad.clips import Manifest

    found = audit(Manifest.read(reference / "corpus" / "manifest.csv"))
    named = {it.column.name: it for it in found.findings if it.named}
    assert {"rms", "peak", "bits=32", "rate=16000"} <= set(named)
    assert str(named["rms"].higher) == str(named["bits=32"].higher) == "spoof"
    assert {it.column.feature.group for it in named.values()} == {"timing", "level", "band", "container"}
    trials = {it.how: it for it in found.trials if it.features == "all"}
    assert trials["random"].interval.high < trials["source_repo"].interval.low
    assert trials["random"].eer < trials["speaker"].eer
    assert np.isfinite([it.eer for it in found.trials]).all()
    assert not found.measured.skipped
