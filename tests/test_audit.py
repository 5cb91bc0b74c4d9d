"""What an audit finds in measured numbers: columns, findings, fates, overlaps, and the words for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dfad.audit import verdicts
from dfad.audit.columns import Column, columns
from dfad.audit.drift import Drift, drifts
from dfad.audit.features import FEATURES, GROUPS, Remedies
from dfad.audit.findings import Finding, find, groups_of, parts_of
from dfad.audit.measure import NUMBERS, Measured
from dfad.audit.model import groupings, trials
from dfad.audit.names import name_words
from dfad.audit.overlap import Overlap, overlaps
from dfad.clips import Label, Manifest
from dfad.commands.door import CONF, as_addition
from dfad.errors import ConfigError
from dfad.training.config import TrainConfig

CLIPS = 400


def made(seed: int = 0, clips: int = CLIPS, **columns_: object) -> Measured:
    """Measured clips of 40 speakers, half of each class, in which nothing tells the classes apart."""
    random = np.random.default_rng(seed)
    row = np.arange(clips)
    frame = pd.DataFrame(
        {
            "path": [f"clip{number}.wav" for number in row],
            "label": np.where(row % 2, "real", "fake"),
            "split": np.where(row // 2 % 40 < 28, "train", "test"),
            "speaker": [f"s{number // 2 % 40}" for number in row],
            **columns_,
        }
    )
    numbers = pd.DataFrame({name: random.normal(size=clips) for name in NUMBERS})
    numbers["rate"], numbers["bits"], numbers["channels"], numbers["lossy"] = 16000, 16, 1, 0
    numbers["duration"] = 2 + abs(numbers["duration"])
    formats = pd.Series(pd.Categorical(["WAV PCM_16"] * clips))
    manifest = Manifest.check(frame, Path("/nowhere"), source="made")
    return Measured(manifest, numbers.astype(np.float32), formats, row.astype(np.uint64), {})


def findings(measured: Measured, group: str | None = None) -> list[Finding]:
    return find(columns(measured), parts_of(measured.manifest, group)[0])


def named(measured: Measured) -> list[tuple[str, str]]:
    return [(it.column.name, it.split) for it in findings(measured) if it.named]


def real(measured: Measured) -> np.ndarray:
    return measured.manifest.labels == Label.BONA_FIDE


# --- names ---------------------------------------------------------------------------------------


def test_words_that_some_names_have() -> None:
    ids = [f"a/{number}_{'mp3' if number % 2 else 'raw'}_clip.wav" for number in range(20)]
    assert {word: int(has.sum()) for word, has in name_words(ids, [""] * 20).items()} == {"mp#": 10, "raw": 10}


def test_labels_splits_and_attacks_in_names_are_no_news() -> None:
    ids = [f"{number}-{'fake-Griffin-Lim' if number % 2 else 'genuine'}-train.wav" for number in range(20)]
    assert not name_words(ids, ["griffin-lim" if number % 2 else "" for number in range(20)])


def test_names_of_which_each_has_its_own_words_say_nothing() -> None:
    random = np.random.default_rng(0)
    ids = ["".join(random.choice(list("abcdefghij"), 12)) + ".flac" for _ in range(300)]
    assert not name_words(ids, [""] * 300)


# --- columns -------------------------------------------------------------------------------------


def test_what_is_the_same_in_all_clips_is_no_column() -> None:
    assert {column.base for column in columns(made())} == set(NUMBERS) - {"rate", "bits", "channels", "lossy"}


def test_columns_that_part_clips_alike_are_one() -> None:
    measured = made()
    lossy = np.arange(CLIPS) % 5 == 0
    measured.numbers["lossy"] = lossy.astype(np.float32)
    formats = pd.Series(pd.Categorical(np.where(lossy, "MP3 MPEG_LAYER_III", "WAV PCM_16")))
    found = columns(Measured(measured.manifest, measured.numbers, formats, measured.content, {}))
    (column,) = (it for it in found if it.base == "lossy")
    assert column.same == ["format=MP3 MPEG_LAYER_III", "format=WAV PCM_16"]
    assert not any(it.base == "format" for it in found)


# --- findings ------------------------------------------------------------------------------------


def test_a_shift_is_named_in_each_split_with_its_direction() -> None:
    measured = made()
    measured.numbers["rms"] += np.where(real(measured), 0, 2)
    assert {split for _, split in named(measured)} == {"train", "test", "all"}
    first = findings(measured)[0]
    assert (first.column.name, first.higher, first.kind, first.holds) == ("rms", Label.SPOOF, "value", True)
    assert first.interval.low < first.auroc < first.interval.high
    assert groups_of(findings(measured))[0][0] == "level"


def test_a_class_that_lies_closer_together_is_named() -> None:
    measured = made()
    measured.numbers["rms"] *= np.where(real(measured), 1, 0.1)
    first = findings(measured)[0]
    assert (first.column.name, first.kind, first.higher) == ("rms", "spread", Label.BONA_FIDE)
    assert "bona fide lies further from the middle" in verdicts.seen(first)


def test_a_rare_word_of_one_class_is_named() -> None:
    measured = made()
    spoof = np.flatnonzero(~real(measured))
    measured.numbers.loc[spoof[:30], "bits"] = 32
    found = next(it for it in findings(measured) if it.split == "all" and it.named)
    assert (found.column.name, found.giveaway, found.higher) == ("bits=32", True, Label.SPOOF)
    assert found.auroc == pytest.approx(0.5 + 30 / CLIPS)
    assert verdicts.seen(found) == "0 % of bona fide, 15 % of spoof"


def test_few_speakers_may_make_a_finding() -> None:
    measured = made(speaker=[f"{'ab'[number % 2]}{number // 40}" for number in range(CLIPS)])
    level = np.random.default_rng(1).normal(size=20)
    codes = pd.factorize(measured.manifest.frame["speaker"])[0]
    level[np.unique(codes[real(measured)])] += 0.9
    measured.numbers["rms"] = (level[codes] + 0.1 * measured.numbers["rms"]).astype(np.float32)
    found = next(it for it in findings(measured) if it.column.name == "rms" and it.split == "all")
    assert found.named
    assert found.holds is False
    assert "it may rest on a few speakers" in verdicts.verdict(found, Remedies(2, 4000, 7000), "speaker")


def test_nothing_known_of_a_class_is_no_finding() -> None:
    measured = made()
    measured.numbers.loc[real(measured), "noise_floor"] = np.nan
    assert not [it for it in findings(measured) if it.column.name == "noise_floor"]


def test_a_split_with_one_class_is_left_out_and_told() -> None:
    measured = made(split=np.where(np.arange(CLIPS) % 2, "train", "test"))
    parts, notes = parts_of(measured.manifest, None)
    assert [part.name for part in parts] == ["all"]
    assert [note.split(" (")[0] for note in notes] == ["train: one class only", "test: one class only"]


def test_splits_that_were_dealt_are_not_looked_at_apart() -> None:
    measured = made()
    frame = measured.manifest.frame.rename(columns={"id": "path"}).drop(columns="split")
    frame["label"] = np.where(real(measured), "real", "fake")
    dealt = Manifest.check(frame, Path("/nowhere"), source="made")
    assert [part.name for part in parts_of(dealt, None)[0]] == ["all"]
    assert not drifts(dealt, columns(measured), [])


# --- drift ---------------------------------------------------------------------------------------


def fates(measured: Measured) -> dict[str, Drift]:
    found = columns(measured)
    return {it.column.name: it for it in drifts(measured.manifest, found, findings(measured))}


@pytest.mark.parametrize(("in_test", "fate"), [(2, "holds"), (-2, "flips"), (0, "gone")])
def test_what_becomes_of_a_shortcut(in_test: float, fate: str) -> None:
    measured = made()
    training = (measured.manifest.frame["split"] == "train").to_numpy()
    measured.numbers["rms"] += np.where(real(measured), 0, np.where(training, 2, in_test))
    found = fates(measured)
    assert (found["rms"].fate, found["peak"].fate) == (fate, "")
    assert next(iter(found)) == "rms" if fate == "flips" else True


def test_drift_is_told_within_the_classes() -> None:
    measured = made()
    training = (measured.manifest.frame["split"] == "train").to_numpy()
    measured.numbers["rms"] += np.where(training & ~real(measured), 2, 0)
    found = fates(measured)["rms"]
    assert found.named
    assert found.areas["spoof"].value > 0.8
    assert found.areas["bona-fide"].value == pytest.approx(0.5, abs=0.1)
    assert verdicts.drift_verdict(found).endswith("spoof training clips are louder than test clips")


# --- overlap -------------------------------------------------------------------------------------


def test_what_splits_and_classes_share() -> None:
    measured = made(transcript=[f"t{number % 4}" for number in range(CLIPS)])
    content = measured.content.copy()
    content[1] = content[0]  # fake and real, both train
    content[399], content[397] = content[1], content[395]
    found = {
        (it.what, it.between): it
        for it in overlaps(Measured(measured.manifest, measured.numbers, measured.formats, content, {}))
    }
    assert (found["content", ("train", "test")].shared, found["content", ("train", "test")].clips) == (1, 1)
    assert found["content", ("bona-fide", "spoof")].clips == 1
    assert verdicts.overlap_verdict(found["content", ("bona-fide", "spoof")]).endswith("one sound with both labels")
    assert found["content", ("test", "test")].clips == 1
    assert found["speaker", ("train", "test")].shared == 0
    assert found["speaker", ("bona-fide", "spoof")].shared == 40
    assert found["text", ("bona-fide", "spoof")].shared == 0
    assert "what is said may tell the class" in verdicts.overlap_verdict(found["text", ("bona-fide", "spoof")])


def test_one_shared_speaker_is_one() -> None:
    overlap = Overlap("speaker", "speaker", ("train", "test"), 1, 4, 5, 20)
    assert verdicts.overlap_verdict(overlap).startswith("1 speaker in both, 25 % of the test clips")


# --- model ---------------------------------------------------------------------------------------


def heard(measured: Measured) -> list[Column]:
    return [column for column in columns(measured) if column.heard]


def test_what_speakers_give_away_is_lost_on_other_speakers() -> None:
    measured = made(speaker=[f"s{number % 40}" for number in range(CLIPS)])  # each has one class
    voice = np.random.default_rng(0).normal(size=(40, 3))[np.arange(CLIPS) % 40]
    for place, name in enumerate(("above_4k", "roll_off", "noise_floor")):
        measured.numbers[name] = (voice[:, place] + 0.1 * measured.numbers[name]).astype(np.float32)
    groups = groupings(measured.manifest, None)
    assert [(group.name, group.shared) for group in groups] == [("speaker", 0)]
    found = {(it.how, it.features): it for it in trials(measured.manifest, heard(measured), groups)}
    assert found["random", "band"].interval.high < found["speaker", "band"].interval.low
    assert found["random", "band"].eer < 0.1
    assert found["random", "level"].eer > 0.35
    assert "clearly worse" in verdicts.model_verdict(list(found.values()))


def test_nothing_is_learned_from_nothing_and_the_same_each_time() -> None:
    measured = made(3, clips=160)
    found, again = (trials(measured.manifest, heard(measured)[:4], []) for _ in range(2))
    assert all(0.3 < it.eer < 0.7 for it in found)
    assert verdicts.model_verdict(found).endswith("no better than guessing")
    assert found == again


@pytest.mark.parametrize(
    ("speakers", "note"),
    [
        ([f"s{0 if number % 2 else number % 8}" for number in range(CLIPS)], "only 1 value of speaker with bona-fide"),
        ([f"s{number % 2}" for number in range(CLIPS)], "only 1 value of speaker with spoof"),
    ],
)
def test_groups_that_cannot_be_parted_are_told(speakers: list[str], note: str) -> None:
    measured = made(speaker=speakers)
    found = trials(measured.manifest, heard(measured)[:2], groupings(measured.manifest, None))
    trial = next(it for it in found if it.how == "speaker" and it.features == "all")
    assert np.isnan(trial.eer)
    assert trial.note.startswith(note)


def test_a_column_to_group_by_must_exist() -> None:
    with pytest.raises(ConfigError, match="did you mean 'speaker'"):
        groupings(made().manifest, "speeker")


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, feature in FEATURES.items() if feature.override])
@pytest.mark.parametrize("numbers", [Remedies(0.1, 4000, 7000), Remedies(60, 7500, 4000), Remedies(2.3, 5250, 7250)])
def test_every_override_that_is_named_composes(name: str, numbers: Remedies) -> None:
    override = FEATURES[name].override.format(**vars(numbers))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = OmegaConf.to_container(compose("train", [as_addition(override)]), resolve=True)
    assert isinstance(values, dict)
    TrainConfig.read({key: value for key, value in values.items() if key != "experiment"})


def test_remedies_fit_nearly_every_clip() -> None:
    measured = made()
    measured.numbers["duration"] = np.linspace(1.0, 5.0, CLIPS)
    measured.numbers["cut_off"] = 8000.0
    measured.numbers.loc[:40, "cut_off"] = 5500.0
    measured.numbers["rate"] = 16000.0
    measured.numbers.loc[:3, "rate"] = 11025.0
    found = verdicts.remedies(measured)
    assert (found.crop_s, found.f_max, found.rate_f_max) == (1.2, 5500, 4750)


def test_docs_explain_every_feature_and_key() -> None:
    docs = (CONF.parent / "docs" / "audit.md").read_text()
    for name in (*FEATURES, *GROUPS):
        assert f"`{name}`" in docs, name
