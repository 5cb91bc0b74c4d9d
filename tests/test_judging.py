"""A finished run is judged anew from its stored scores: other options of the evaluation, no training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import dfad
from dfad.calibrate import p_spoof
from dfad.commands.train import run as train_command
from dfad.deployed import Deployed
from dfad.errors import ConfigError, RunError
from dfad.evaluation import EvaluationKnobs, choose_threshold
from dfad.scores import ScoreTable
from dfad.training import fit
from dfad.training.judging import judge, judged_with, stored_tables
from dfad.training.runs import Run
from dfad.training.scoring import SILENT
from tests.conftest import SMALL
from tests.test_config import composed

KEPT = ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "scores/val.csv", "scores/test.csv", "curves.csv")


def typed(manifest: Path, home: Path, *words: str) -> Path:
    """`dfad train` with these words, in this process; gives the run folder."""
    values = composed("train", "data=manifest", f"data.path={manifest}", *SMALL, f"runs={home}", *words)
    return train_command(values)


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {name: ((folder / name).stat().st_mtime_ns, (folder / name).read_bytes()) for name in KEPT}


def read(folder: Path, name: str = "metrics.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(fit, "_fit_and_score", fail)


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds, and most tests do not look at them."""
    monkeypatch.setattr("dfad.commands.reports.report_of", lambda *_, **__: None)


OTHER = ("eval.threshold=fa@0.4", "eval.calibrator=none", "eval.by=[speaker]", "eval.prior=0.2")


@pytest.mark.usefixtures("no_training")
def test_other_options_judge_the_stored_scores_anew(
    elsewhere: Path, manifest_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, old = state(elsewhere), read(elsewhere)
    assert typed(manifest_csv, elsewhere.parent, *OTHER) == elsewhere
    said = capsys.readouterr().out
    assert "its scores are judged anew" in said
    assert f"threshold {old['threshold']:.4g}, calibrator logistic, prior 0.5 → " in said
    assert state(elsewhere) == before
    new, val = read(elsewhere), ScoreTable.read(elsewhere / "scores" / "val.csv")
    assert new["options"] == {
        **old["options"], "threshold": "fa@0.4", "calibrator": "none", "by": ["speaker"], "prior": 0.2,
    }  # fmt: skip
    assert new["threshold"] == choose_threshold("fa@0.4", val.scores, val.labels)
    assert list(new["breakdowns"]["test"]) == ["speaker"]
    assert "test/cllr_calibrated" in old["values"]
    assert "test/cllr_calibrated" not in new["values"]
    assert new["values"]["test/eer"] == old["values"]["test/eer"]
    few = "only 6 spoof and 6 bona-fide clips of validation chose the threshold"
    assert Deployed.of_run(elsewhere) == Deployed(threshold=new["threshold"], rule="fa@0.4", prior=0.2, notes=(few,))
    assert yaml.safe_load((elsewhere / "config.yaml").read_text())["eval"] == new["options"]
    assert "by speaker" in (elsewhere / "report.html").read_text().lower()


@pytest.mark.usefixtures("no_training")
def test_the_same_again_does_nothing(elsewhere: Path, manifest_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("metrics.json", "deployed.json", "report.html", "config.yaml")
    typed(manifest_csv, elsewhere.parent, *OTHER)
    before = [(elsewhere / name).stat().st_mtime_ns for name in files]
    typed(manifest_csv, elsewhere.parent, *OTHER)
    assert [(elsewhere / name).stat().st_mtime_ns for name in files] == before
    assert "finished already; force=true trains it again" in capsys.readouterr().out


@pytest.mark.usefixtures("no_training", "unreported")
def test_there_and_back_gives_the_same_results(trained: Path, elsewhere: Path, manifest_csv: Path) -> None:
    typed(manifest_csv, elsewhere.parent, *OTHER)
    typed(manifest_csv, elsewhere.parent)
    for name in ("metrics.json", "deployed.json"):
        assert (elsewhere / name).read_bytes() == (trained / name).read_bytes()
    assert yaml.safe_load((elsewhere / "config.yaml").read_text())["eval"] == read(trained)["options"]


@pytest.mark.usefixtures("unreported")
def test_results_are_those_of_a_run_that_had_the_options_from_the_start(
    elsewhere: Path, manifest_csv: Path, tmp_path: Path
) -> None:
    typed(manifest_csv, elsewhere.parent, *OTHER)
    started = typed(manifest_csv, tmp_path / "fresh", *OTHER)
    assert started.name == elsewhere.name
    for name in ("metrics.json", "deployed.json", "scores/test.csv"):
        assert (started / name).read_bytes() == (elsewhere / name).read_bytes(), name


@pytest.mark.usefixtures("no_training", "unreported")
def test_results_of_an_older_format_are_made_anew(elsewhere: Path, manifest_csv: Path, trained: Path) -> None:
    (elsewhere / "deployed.json").unlink()
    (elsewhere / "metrics.json").write_text('{"format": 1, "values": {"val/eer_threshold": 0.5}}')
    with pytest.raises(RunError, match=r"deployed\.json is damaged or missing; type the command"):
        dfad.load(elsewhere)
    typed(manifest_csv, elsewhere.parent)
    assert read(elsewhere) == read(trained)
    assert dfad.load(elsewhere).deployed == dfad.load(trained).deployed


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("word", ["eval.by=[speeker]", "eval.cluster=speeker"])
def test_a_column_that_there_is_not_is_refused_before_anything_changes(
    word: str, elsewhere: Path, manifest_csv: Path, tmp_path: Path
) -> None:
    before = (elsewhere / "config.yaml").read_bytes()
    option = word.split("=")[0]
    for home in (elsewhere.parent, tmp_path / "fresh"):
        with pytest.raises(ConfigError, match=rf"{option}: there is no column 'speeker'; did you mean 'speaker'"):
            typed(manifest_csv, home, word)
    assert (elsewhere / "config.yaml").read_bytes() == before
    assert not (tmp_path / "fresh").exists()


def test_options_know_the_columns_they_need() -> None:
    EvaluationKnobs(by=("speaker", "attack"), cluster="clip").require(["attack", "speaker"])
    EvaluationKnobs(by=()).require([])
    with pytest.raises(ConfigError, match=r"eval\.by: there is no column 'clip'"):
        EvaluationKnobs(by=("clip",)).require(["attack"])


@pytest.mark.usefixtures("no_training")
def test_a_kill_between_results_and_report_leaves_no_report_of_other_results(
    elsewhere: Path, manifest_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dfad.commands.reports.report_of", killed)
        with pytest.raises(KeyboardInterrupt):
            typed(manifest_csv, elsewhere.parent, *OTHER)
    assert read(elsewhere)["options"]["prior"] == 0.2
    assert not (elsewhere / "report.html").exists()
    typed(manifest_csv, elsewhere.parent, *OTHER)
    assert "prior of 0.2" in (elsewhere / "report.html").read_text()


# --- what is deployed ----------------------------------------------------------------------------


def test_the_scorer_applies_what_is_deployed(trained: Path) -> None:
    stored, scorer = read(trained, "deployed.json"), dfad.load(trained)
    slope, offset = stored["calibrator"]["slope"], stored["calibrator"]["offset"]
    assert stored["threshold"] == read(trained)["threshold"]
    for raw in ScoreTable.read(trained / "scores" / "test.csv").scores.tolist():
        result = scorer.judge(raw)
        assert (result.raw_score, result.calibrated, result.prior) == (raw, True, 0.5)
        assert result.score == pytest.approx(slope * raw + offset, abs=1e-12)
        assert result.threshold == pytest.approx(slope * stored["threshold"] + offset, abs=1e-12)
        assert result.verdict == ("bona-fide" if raw >= stored["threshold"] else "spoof")
        assert result.p_spoof == pytest.approx(1 / (1 + np.exp(result.score)), abs=1e-12)


@pytest.mark.usefixtures("no_training", "unreported")
@pytest.mark.parametrize("calibrator", ["temperature", "isotonic"])
def test_every_calibrator_and_prior_reaches_the_scorer(calibrator: str, elsewhere: Path, manifest_csv: Path) -> None:
    typed(manifest_csv, elsewhere.parent, f"eval.calibrator={calibrator}", "eval.prior=0.9", "eval.threshold=0.25")
    scorer = dfad.load(elsewhere)
    assert scorer.deployed.calibrator is not None
    assert scorer.deployed.calibrator.name == calibrator
    assert (scorer.judge(0.25).verdict, scorer.judge(0.2499).verdict) == ("bona-fide", "spoof")
    result = scorer.judge(0.4)
    assert result.score == scorer.deployed.calibrator(0.4)
    assert result.p_spoof == pytest.approx(p_spoof(result.score, 0.9))
    assert result.prior == 0.9


def test_a_bare_checkpoint_is_raw_and_says_so(trained: Path, manifest_csv: Path) -> None:
    clip = manifest_csv.parent / "test-spoof-0.wav"
    bare, whole = dfad.load(trained / "checkpoints" / "best.ckpt")(clip), dfad.load(trained)(clip)
    assert (bare.calibrated, bare.threshold, bare.score) == (False, 0.0, bare.raw_score)
    assert whole.calibrated
    assert whole.raw_score == bare.raw_score
    assert bare.verdict == ("bona-fide" if bare.score >= 0 else "spoof")


@pytest.mark.usefixtures("no_training", "unreported")
@pytest.mark.parametrize("text", [None, "{", '{"threshold": "x"}'])
def test_a_run_without_sound_choices_is_refused_and_mended(
    text: str | None, elsewhere: Path, manifest_csv: Path, trained: Path
) -> None:
    path = elsewhere / "deployed.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(RunError, match=r"damaged or missing; type the command that made the folder again"):
        dfad.load(elsewhere)
    typed(manifest_csv, elsewhere.parent)
    assert path.read_bytes() == (trained / "deployed.json").read_bytes()


@pytest.mark.usefixtures("no_training", "unreported")
def test_a_threshold_that_rejects_everything_is_none_and_a_note_says_why(elsewhere: Path, manifest_csv: Path) -> None:
    typed(manifest_csv, elsewhere.parent, "eval.threshold=fa@0.01")  # a spoof clip has the highest score
    assert read(elsewhere)["threshold"] is None
    assert "by fa@0.01, rejecting or accepting every clip is best" in " ".join(read(elsewhere)["notes"])
    assert dfad.load(elsewhere).judge(0.0).verdict == "bona-fide"


@pytest.mark.usefixtures("no_training", "unreported")
def test_damaged_results_are_made_anew(elsewhere: Path, manifest_csv: Path, trained: Path) -> None:
    (elsewhere / "metrics.json").write_text("{")
    typed(manifest_csv, elsewhere.parent)
    assert read(elsewhere) == read(trained)


@pytest.mark.usefixtures("unreported")
def test_notes_are_the_same_when_judged_anew(elsewhere: Path, manifest_csv: Path, tmp_path: Path) -> None:
    shutil.copytree(manifest_csv.parent, tmp_path / "clips")
    table = (tmp_path / "clips" / "manifest.csv").read_text().splitlines()
    without = [",".join(cell for at, cell in enumerate(line.split(",")) if at != 2) for line in table]  # no split
    (tmp_path / "clips" / "manifest.csv").write_text("\n".join(without) + "\n")
    home, manifest = tmp_path / "dealt", tmp_path / "clips" / "manifest.csv"
    folder = typed(manifest, home, "trainer.max_epochs=1")
    first = read(folder)
    typed(manifest, home, "trainer.max_epochs=1", "eval.prior=0.2")
    assert read(folder)["notes"] == first["notes"]
    assert "at random" in " ".join(first["notes"])


Refusal = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("eval.threshold=fa@2", "no rule 'fa@2' for a threshold: use eer, min_dcf, fa@0.01 or a number"),
        ("eval.calibrator=magic", "eval.calibrator"),
        ("eval.prior=1", "eval.prior=1"),
        ("eval.treshold=eer", "did you mean 'eval.threshold'?"),
        ("eval.resamples=-1", "eval.resamples=-1"),
    ],
)
def test_wrong_options_are_refused(
    word: str, answer: str, refusal: Refusal, manifest_csv: Path, tmp_path: Path
) -> None:
    code, said = refusal("train", "data=manifest", f"data.path={manifest_csv}", *SMALL, word, cwd=tmp_path)
    assert code == 2, said
    assert answer in said
    assert "Traceback" not in said


class Killed(BaseException):
    """As a signal would end the process."""


def test_a_kill_between_two_files_mixes_no_two_judgements(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(elsewhere)
    before, tables = run.read_config(), stored_tables(run)
    after = before.model_copy(update={"eval": before.eval.model_copy(update={"threshold": "fa@0.5"})})
    assert judged_with(run, before.eval)
    whole = Run.write_text
    for survivors in range(3):  # configuration, results, what is deployed
        left = survivors

        def write_text(self: Run, name: str, text: str) -> None:
            nonlocal left
            if not left:
                raise Killed
            left -= 1
            whole(self, name, text)

        monkeypatch.setattr(Run, "write_text", write_text)
        with pytest.raises(Killed):
            judge(run, tables, after, attacks=(), notes=(), screen=SILENT)
        monkeypatch.undo()
        assert run.finished  # nothing is trained again
        assert not judged_with(run, before.eval)
        assert not judged_with(run, after.eval)
        assert not (elsewhere / "report.html").exists()  # it shows the results before
    judge(run, tables, after, attacks=(), notes=(), screen=SILENT)
    assert judged_with(run, after.eval)
    assert run.read_config().eval == after.eval
