"""`dfad eval`: stored evaluations of a run, judged by what its validation chose, and their reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from dfad.commands.eval import run as eval_command
from dfad.deployed import Deployed
from dfad.errors import ConfigError
from dfad.evaluation import choose_threshold
from dfad.scores import ScoreTable
from dfad.training import task
from tests.test_config import composed

Evaluated = tuple[Path, dict[str, Any]]


def evaluated(run: Path, *words: str) -> Evaluated:
    """`dfad eval` in this process; gives the only folder in evals/ and its results."""
    typed = [f"++{word}" if word.startswith("eval.") else word for word in words]  # as the command line does
    eval_command(composed("eval", f"run={run}", "trainer.accelerator=cpu", *typed))
    (folder,) = (run / "evals").iterdir()
    return folder, json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def no_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(task, "Scoring", fail)


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds, and most tests do not look at them."""
    monkeypatch.setattr("dfad.commands.reports.report_of", lambda *_, **__: None)


@pytest.fixture(scope="module")
def stored(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an evaluation of its test clips."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("stored") / "runs" / trained.name)
    evaluated(folder)
    return folder


@pytest.fixture
def run(stored: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(stored, tmp_path / "runs" / stored.name)


def test_an_evaluation_leaves_everything_in_its_folder(stored: Path) -> None:
    (folder,) = (stored / "evals").iterdir()
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert names >= {
        "scores.csv", "metrics.json", "deployed.json", "config.yaml", "environment.json", "manifest.json",
        "report.html", "figures/det.png", "figures/by_attack.png", "figures/confusion_by_validation.png",
    }  # fmt: skip
    assert (folder / "scores.csv").read_bytes() == (stored / "scores" / "test.csv").read_bytes()
    assert (folder / "deployed.json").read_bytes() == (stored / "deployed.json").read_bytes()
    of_run, here = (json.loads((place / "metrics.json").read_text()) for place in (stored, folder))
    assert here["values"] == {name: value for name, value in of_run["values"].items() if name.startswith("test/")}
    assert here["intervals"] == of_run["intervals"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["split"], config["eval"]) == ("test", of_run["options"])
    html = (folder / "report.html").read_text()
    assert "validation" in html
    assert html.count("<audio") >= 2


def test_the_same_again_scores_nothing_and_writes_nothing(
    run: Path, no_scoring: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def times() -> dict[str, int]:
        return {
            path.name: path.stat().st_mtime_ns for path in run.rglob("*") if path.suffix in (".json", ".csv", ".html")
        }

    before = times()
    evaluated(run)
    assert times() == before
    assert "evaluated already; force=true scores again" in capsys.readouterr().out


def test_other_options_judge_the_stored_scores(run: Path, no_scoring: None) -> None:
    words = ("eval.threshold=fa@0.4", "eval.by=[speaker]", "eval.calibrator=temperature")
    folder, found = evaluated(run, *words)
    val = ScoreTable.read(run / "scores" / "val.csv")
    assert found["threshold"] == choose_threshold("fa@0.4", val.scores, val.labels)
    assert list(found["breakdowns"]["test"]) == ["speaker"]
    deployed = Deployed.of_run(folder)
    assert deployed is not None
    assert deployed.calibrator is not None
    assert (deployed.threshold, deployed.calibrator.name) == (found["threshold"], "temperature")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["eval"] == found["options"]
    assert found["options"]["resamples"] == 50  # the run's own, as nothing else was said
    html = (folder / "report.html").read_text()
    assert "By speaker" in html
    assert "By attack" not in html
    assert json.loads((run / "metrics.json").read_text())["options"]["threshold"] == "eer"  # the run's stay


@pytest.mark.usefixtures("unreported")
def test_the_options_of_the_run_hold_if_nothing_else_is_said(run: Path, no_scoring: None) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["eval"] |= {"prior": 0.3, "threshold": 0.25}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    found = evaluated(run)[1]
    assert (found["options"]["prior"], found["threshold"]) == (0.3, 0.25)
    assert evaluated(run, "eval.prior=0.6")[1]["options"]["prior"] == 0.6


@pytest.mark.usefixtures("unreported")
def test_all_clips_are_scored_and_the_reader_is_told_of_those_trained_on(
    trained: Path, manifest_csv: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained, tmp_path / "runs" / trained.name)
    folder, found = evaluated(run, "split=all")
    assert pd.read_csv(folder / "scores.csv")["id"].tolist() == pd.read_csv(manifest_csv)["path"].tolist()
    assert found["notes"][0] == "36 of 48 clips that are scored here trained the detector, or chose it"
    assert (found["values"]["all/n_bona_fide"], found["values"]["all/n_spoof"]) == (24, 24)


@pytest.mark.usefixtures("unreported")
def test_a_column_that_there_is_not_is_refused_before_scoring(trained: Path, tmp_path: Path, no_scoring: None) -> None:
    run = shutil.copytree(trained, tmp_path / "runs" / trained.name)
    with pytest.raises(ConfigError, match=r"eval\.by: there is no column 'langauge'; choose from"):
        evaluated(run, "eval.by=[langauge]")
    assert not (run / "evals").exists()
    with pytest.raises(ConfigError, match=r"eval\.treshold.*did you mean 'eval\.threshold'"):
        evaluated(run, "eval.treshold=eer")


def test_another_checkpoint_is_raw_and_drawn_without_the_validation_of_the_best(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "runs" / trained.name)
    eval_command(composed("eval", f"run={run / 'checkpoints' / 'last.ckpt'}", "trainer.accelerator=cpu"))
    (folder,) = (run / "evals").iterdir()
    found = json.loads((folder / "metrics.json").read_text())
    assert Deployed.of_run(folder) == Deployed()
    assert not any(name.endswith(("_at_val", "_calibrated")) for name in found["values"])
    assert "by validation" not in (folder / "report.html").read_text()


@pytest.mark.usefixtures("no_scoring")
def test_clips_that_are_gone_are_named_and_the_report_is_written(
    run: Path, manifest_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = (run / "evals").iterdir()
    from dfad.commands import sounds
    from dfad.errors import AudioError

    whole = sounds.load

    def gone(path: Path, **more: Any) -> Any:
        if path.name.startswith("test-spoof"):
            raise AudioError(f"{path}: no such file")
        return whole(path, **more)

    monkeypatch.setattr(sounds, "load", gone)
    evaluated(run, "eval.threshold=-9.0")  # every spoof clip passes
    said = capsys.readouterr().err
    html = (folder / "report.html").read_text()
    for number in range(6):
        assert f"note not in the report: {manifest_csv.parent / f'test-spoof-{number}.wav'}: no such file" in said
    assert "<audio" not in html
    assert "Decisions at three thresholds" in html


def test_a_report_that_is_gone_is_written_again(run: Path, no_scoring: None) -> None:
    (folder,) = (run / "evals").iterdir()
    before = (folder / "metrics.json").stat().st_mtime_ns
    (folder / "report.html").unlink()
    evaluated(run)
    assert (folder / "report.html").is_file()
    assert (folder / "metrics.json").stat().st_mtime_ns == before
