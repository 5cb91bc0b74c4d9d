"""The audit of trained detectors: what they learnt is found, what they did not learn is not, and nothing is guessed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from dfad.audio import LIMITS, fit, load
from dfad.audit.rescore import Clips, rescore, some_of
from dfad.audit.treatments import GROUPS, Neutral
from dfad.clips import Manifest
from dfad.commands.audit_run import audit_run
from dfad.commands.door import as_addition
from dfad.errors import ConfigError, DataError, RunError
from dfad.frontends import FRONTENDS
from dfad.scorer import load_scorer
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.runs import Run
from dfad.training.scoring import SILENT
from tests.browser import CHROMIUM, tab
from tests.shortcuts import PLANTS, train_on, write_planted
from tests.test_config import composed

Audited = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def audited(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Audited:
    """Audit a run with few resamples; gives the results and what was printed."""

    def call(run: Path, **more: Any) -> tuple[dict[str, Any], str]:
        results = audit_run(run, **{"out": tmp_path / "out", "resamples": 200, "device": "cpu", **more})
        return results, " ".join(capsys.readouterr().out.split())

    return call


def group(results: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each for each in results["groups"] if each["group"] == name)
    return dict(found)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a corpus whose spoof clips are 8 dB louder."""
    home = tmp_path_factory.mktemp("level")
    return train_on(write_planted(home, "level"), home / "runs")


@pytest.fixture
def moved(trained: Path, manifest_csv: Path, tmp_path: Path) -> Path:
    """A copy of a run and of its corpus, which may be spoilt; the run looks for the corpus beside it."""
    shutil.copytree(manifest_csv.parent, tmp_path / "corpus")
    shutil.copytree(trained, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(manifest_csv.parent), str(tmp_path / "corpus")))
    return tmp_path / "run"


# --- what is found ----------------------------------------------------------------------------------


def test_a_detector_of_the_level_loses_its_separation_with_it(planted: Path, audited: Audited) -> None:
    results, said = audited(planted)
    first = results["groups"][0]
    assert (first["group"], first["verdict"]) == ("level", "learnt")
    assert results["clean"]["auroc"]["value"] > 0.85
    assert first["same"]["values"]["auroc"]["value"] < 0.65
    assert first["swap"]["values"]["auroc"]["value"] < 0.65
    assert first["share"]["interval"][0] > 0.4
    assert first["alone"]["scored"]["value"] > 0.95
    assert {each["group"] for each in results["groups"] if each["verdict"] == "learnt"} == {"level"}
    assert "of its separation when every clip has the same level of" in said
    assert "it had learnt the level (spoof is louder, AUROC" in said
    assert "train with frontend.level=rms" in said


def test_the_remedy_that_is_named_trains_it_away(planted: Path, audited: Audited, tmp_path: Path) -> None:
    """With frontend.level=rms nothing is left to learn; and what the frontend takes away is not accused."""
    config = Run(planted).read_config()
    run = train_on(Path(config.data.plain()["path"]), tmp_path / "runs", level="rms")
    results, said = audited(run)
    assert results["clean"]["auroc"]["interval"][0] < 0.5
    assert {each["verdict"] for each in results["groups"] if each["group"] != "level"} == {"open"}
    assert group(results, "level")["verdict"] == "blind"
    assert "does not separate these clips by more than chance" in said


@pytest.mark.slow
@pytest.mark.parametrize("plant", [name for name in PLANTS if name in GROUPS and name != "level"])
def test_every_other_shortcut_is_found_first(plant: str, audited: Audited, tmp_path: Path) -> None:
    results, said = audited(train_on(write_planted(tmp_path, plant), tmp_path / "runs"))
    first = results["groups"][0]
    assert (first["group"], first["verdict"]) == (plant, "learnt"), said
    assert first["share"]["value"] > 0.6
    assert first["swap"]["share"]["interval"][0] > 0
    assert group(results, "level")["verdict"] != "learnt"


@pytest.mark.slow
def test_a_detector_of_evidence_is_accused_of_nothing(audited: Audited, tmp_path: Path) -> None:
    """Spoof clips are copies through a vocoder, and nothing else tells the classes apart."""
    results, said = audited(train_on(write_planted(tmp_path, "vocoder"), tmp_path / "runs"))
    assert results["clean"]["auroc"]["value"] > 0.9
    assert "learnt" not in {each["verdict"] for each in results["groups"]}, said


@pytest.mark.slow
def test_a_detector_of_the_demo_corpus_is_not_accused(audited: Audited, tmp_path: Path) -> None:
    """Its pairs share level, band, noise and timing; this frontend hears them all."""
    values = composed(
        "train", "data.path=" + str(tmp_path / "demo"), "trainer.max_epochs=10", "trainer.accelerator=cpu"
    )
    values["runs"], values["eval"]["resamples"] = str(tmp_path / "runs"), 20
    values["frontend"] |= {"level": "none", "normalise": "none"}
    results, said = audited(train(TrainConfig.read(values), SILENT).run.folder, resamples=1000)
    assert results["clean"]["auroc"]["interval"][0] > 0.5
    for name in ("level", "timing", "band", "noise", "container"):
        assert group(results, name)["verdict"] != "learnt", said


def test_the_level_cannot_be_heard_through_a_frontend_that_scales_it_away(trained: Path, audited: Audited) -> None:
    results, said = audited(trained, groups=["level"])
    found = group(results, "level")
    assert found["verdict"] == "blind"
    assert found["same"]["largest"] < 1e-3
    assert found["swap"]["largest"] < 1e-3
    assert "cannot use the level: the frontend scales every clip to one RMS (frontend.level=rms)" in said


# --- scores -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["test", "val"])
def test_clean_scores_are_those_of_the_run(split: str, trained: Path, audited: Audited, tmp_path: Path) -> None:
    results, _ = audited(trained, split=split, groups=["dc"], swaps=1)
    stored = ScoreTable.read(trained / "scores" / f"{split}.csv")
    frame = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert list(frame["id"]) == list(stored.frame["id"])
    assert frame["score"].to_numpy() == pytest.approx(stored.scores, abs=1e-5)
    assert results["stored_difference"] < 1e-5
    assert {"score:dc", "score:dc:1", "trait:dc_db"} <= set(frame)


def test_all_splits_can_be_scored(trained: Path, audited: Audited) -> None:
    results, said = audited(trained, split="all", groups=["level"], swaps=1)
    assert results["clips"] == {"spoof": 24, "bona-fide": 24}
    assert "48 clips of the whole corpus" in said


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_longer_reading_changes_nothing_of_what_is_heard(rate: int, tmp_path: Path) -> None:
    """Clips of every length and rate are decoded beyond the crop, and yet heard as the scorer hears them."""
    random = np.random.default_rng(rate)
    names = [f"{seconds}.wav" for seconds in (0.3, 0.99, 1.0, 1.01, 2.5, 13.0)]
    for name in names:
        soundfile.write(tmp_path / name, 0.1 * random.normal(size=round(float(name[:-4]) * rate)), rate)
    table = pd.DataFrame({"path": names, "label": "spoof", "split": "test"})
    table.to_csv(tmp_path / "m.csv", index=False)
    frontend = FRONTENDS["logmel"](crop_s=1.0)
    clips = Clips(Manifest.read(tmp_path / "m.csv"), np.arange(6), frontend, LIMITS)
    for row, name in enumerate(names):
        wanted = fit(load(tmp_path / name, sample_rate=16_000, crop_s=1.0), 16_000)
        assert clips.source(row).heard == pytest.approx(wanted, abs=1e-6)


def test_what_is_drawn_for_a_clip_does_not_depend_on_the_others(planted: Path) -> None:
    config = Run(planted).read_config()
    manifest, scorer = config.data.manifest(), load_scorer(planted)
    rows = manifest.rows("test")[:12]

    def scores(some: np.ndarray) -> pd.DataFrame:
        clips = Clips(manifest, some, config.frontend, config.data.limits)
        training = Clips(manifest, manifest.rows("train")[:8], config.frontend, config.data.limits).traits()
        neutral = Neutral.of(training, manifest.labels[manifest.rows("train")[:8]], config.frontend.crop_s)
        return rescore(scorer, clips, neutral, training, swaps=2)

    whole, part = scores(rows), scores(rows[5:])
    assert list(whole.columns[:4]) == ["score", "score:timing", "score:timing:1", "score:timing:2"]
    columns = [name for name in whole if name.startswith("score")]
    assert whole[columns].to_numpy()[5:] == pytest.approx(part[columns].to_numpy(), abs=1e-5)
    assert (whole["score"] == whole["score:band"]).all() or not (whole["score"] == whole["score:level"]).any()


def test_the_same_clips_are_chosen_every_time(planted: Path) -> None:
    manifest = Run(planted).read_config().data.manifest()
    rows = manifest.rows("train")
    some = some_of(manifest, rows, 20)
    assert len(some) == 20
    assert (some_of(manifest, rows[::-1], 20) == some).all()
    assert (np.diff(some) > 0).all()
    assert (some_of(manifest, rows, 1000) == rows).all()


# --- what is stored and shown -----------------------------------------------------------------------


def test_numbers_scores_and_page_are_written(planted: Path, audited: Audited, tmp_path: Path) -> None:
    results, said = audited(planted, groups=["level", "dc"])
    out = tmp_path / "out"
    assert json.loads((out / "audit_run.json").read_text()) == results
    assert {path.name for path in out.iterdir()} == {"audit_run.json", "scores.csv", "report.html"}
    page = (out / "report.html").read_text()
    assert "Level: learnt" in page
    assert "frontend.level=rms" in page
    for name in ("scores", "audit_run", "report"):
        assert str(out / name) in said
    documented = (Path(__file__).parents[1] / "docs" / "intervention.md").read_text()
    for key in (*results, *results["groups"][0], *results["groups"][0]["same"]):
        assert f"`{key}`" in documented, key


@pytest.mark.parametrize("frontend", FRONTENDS)
def test_every_remedy_is_an_override_that_training_takes(frontend: str) -> None:
    neutral = Neutral(1.0, -26.0, 5875.0, np.zeros(257), -35.0, 16)
    for treated in GROUPS.values():
        words = treated.remedy(neutral, FRONTENDS[frontend]()).split()
        values = composed("train", f"frontend={frontend}", "augment=none", *map(as_addition, words))
        if values["frontend"]["name"] != "raw":  # for which there is no network yet
            TrainConfig.read(values)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(width: int, planted: Path, audited: Audited, tmp_path: Path) -> None:
    audited(planted)
    with tab(tmp_path / "browser") as opened:
        opened.open(tmp_path / "out" / "report.html", width)
        assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        pictures = opened.evaluate("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
        assert len(pictures) == 2
        assert min(pictures) > 500
        assert opened.of("Log.entryAdded") == []


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "error", "answer"),
    [
        ({"split": "tset"}, ConfigError, "split 'tset': choose from: test, val, train, all"),
        ({"groups": ["levle"]}, ConfigError, "no group 'levle'; did you mean 'level'?"),
        ({"swaps": 0}, ConfigError, "at least 1 of each is needed"),
        ({"resamples": 0}, ConfigError, "at least 1 of each is needed"),
        ({"groups": []}, ConfigError, "no group to treat; choose from: timing, level"),
    ],
)
def test_wrong_words(
    words: dict[str, Any], error: type[Exception], answer: str, trained: Path, audited: Audited
) -> None:
    with pytest.raises(error) as found:
        audited(trained, **words)
    assert answer in str(found.value)


def test_what_is_no_finished_run(moved: Path, audited: Audited, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder at"):
        audited(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"has no config\.yaml"):
        audited(tmp_path / "corpus")
    (moved / "metrics.json").unlink()
    with pytest.raises(RunError, match="is not finished; type the command"):
        audited(moved)


def test_another_corpus_at_its_place(moved: Path, audited: Audited, tmp_path: Path) -> None:
    manifest = tmp_path / "corpus" / "manifest.csv"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match=r"is not the one that .* was trained on"):
        audited(moved)
    manifest.unlink()
    with pytest.raises(DataError, match="type this in the folder where the run was trained"):
        audited(moved)


def test_a_clip_that_is_gone(moved: Path, audited: Audited, tmp_path: Path) -> None:
    (tmp_path / "corpus" / "test-spoof-1.wav").unlink()
    with pytest.raises(DataError, match=r"test-spoof-1\.wav"):
        audited(moved)
    assert not (tmp_path / "out").exists()


def test_other_audio_under_the_same_names(moved: Path, audited: Audited, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    one, other = corpus / "test-spoof-1.wav", corpus / "test-bona-fide-1.wav"
    one.write_bytes(other.read_bytes())
    with pytest.raises(
        DataError, match="1 of 12 clips have other scores than the run stored, most of all test-spoof-1"
    ):
        audited(moved)


def test_one_changed_clip_among_many_is_told(
    moved: Path, audited: Audited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfad.commands.audit_run.OTHER", 0.2)
    corpus = tmp_path / "corpus"
    (corpus / "test-spoof-1.wav").write_bytes((corpus / "test-bona-fide-1.wav").read_bytes())
    results, said = audited(moved, groups=["dc"])
    assert (
        results["notes"][0]
        == "1 of 12 clips have other scores than the run stored, most of all test-spoof-1.wav: has their audio changed?"
    )
    assert results["notes"][0] in said


def test_clips_that_the_run_skipped_stay_out_and_are_named(moved: Path, audited: Audited) -> None:
    stored = json.loads((moved / "manifest.json").read_text())
    stored["skipped"] = {"test-spoof-1.wav": "test-spoof-1.wav: damaged"}
    (moved / "manifest.json").write_text(json.dumps(stored))
    results, said = audited(moved, groups=["dc"])
    assert results["clips"] == {"spoof": 5, "bona-fide": 6}
    assert results["skipped"] == stored["skipped"]
    assert "1 clips of the corpus stay out, as the run skipped them: test-spoof-1.wav" in said


def test_a_folder_that_cannot_be_written(trained: Path, audited: Audited, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write"):
        audited(trained, groups=["dc"], out=tmp_path / "file")


@pytest.mark.gpu
def test_a_gpu_finds_the_same(planted: Path, audited: Audited) -> None:
    assert torch.cuda.is_available()
    results, _ = audited(planted, device="cuda")
    assert results["groups"][0]["group"] == "level"
    assert results["stored_difference"] < 0.01
