"""The suite: conditions on the path of clean scores, stored one by one, in real processes and on several devices."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dfad.clips import Manifest
from dfad.deployed import Deployed
from dfad.errors import ConfigError
from dfad.robustness.tables import read
from dfad.scores import ScoreTable
from dfad.training import task
from dfad.training.config import EvalConfig
from dfad.training.evaluation import Evaluated, evaluate_run
from dfad.training.scoring import SILENT, Screen
from tests.conftest import ROOT, environment

ONLY = ["noise-white", "silence", "gsm"]
KEYS = {
    "clean",
    "noise-white@20",
    "noise-white@10",
    "noise-white@0",
    "silence@0.1",
    "silence@0.3",
    "silence@0.5",
    "gsm",
}


def suite(run: Path, screen: Screen = SILENT, devices: int = 1, **more: Any) -> Evaluated:
    """Evaluate in this process, by default the clips of the test split under a few conditions."""
    options = {"families": ["laundering"], "only": ONLY, **more.pop("robustness", {})}
    trainer = {"accelerator": "cpu", "devices": devices}
    config = {"run": str(run), "trainer": trainer, "robustness": options, "eval": {"resamples": 0}, **more}
    return evaluate_run(EvalConfig.read(config), screen)


def tables(done: Evaluated) -> dict[str, pd.DataFrame]:
    folder = done.place.folder / "robustness"
    return {path.stem: read(path).frame for path in sorted(folder.glob("*.csv"))}


@pytest.fixture
def no_scoring(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def fail(*_: object) -> None:
        raise AssertionError("scored again")

    return lambda: monkeypatch.setattr(task, "Scoring", fail)


def test_conditions_go_the_way_of_clean_scores_and_are_judged_by_clean_validation(elsewhere: Path) -> None:
    done = suite(elsewhere)
    found, results = tables(done), done.robust
    assert results is not None
    assert set(found) == KEYS
    clean = ScoreTable.read(done.place.folder / "scores.csv").frame
    pd.testing.assert_frame_equal(found["clean"].drop(columns="snr_db"), clean, check_exact=True)
    assert np.isposinf(found["clean"]["snr_db"]).all()
    for key, table in found.items():
        assert table["id"].tolist() == clean["id"].tolist()
        assert key == "clean" or not np.array_equal(table["score"], clean["score"])
    np.testing.assert_allclose(found["noise-white@10"]["snr_db"], 10.0, atol=0.1)
    deployed = Deployed.of_run(elsewhere)
    assert deployed is not None
    assert results["threshold"] == deployed.threshold
    assert results["calibrated"]
    assert {one["key"] for one in results["conditions"]} == KEYS - {"clean"}
    assert json.loads((done.place.folder / "robustness.json").read_text()) == results
    gsm = next(one for one in results["conditions"] if one["key"] == "gsm")
    scores, spoof = found["gsm"]["score"], found["gsm"]["label"] == 0
    assert gsm["false_alarm"]["value"] == (scores[spoof] >= deployed.threshold).mean()
    assert not any("score otherwise" in note for note in results["notes"])


def test_a_stored_suite_is_judged_again_without_scoring(elsewhere: Path, no_scoring: Callable[[], None]) -> None:
    first = suite(elsewhere)
    no_scoring()
    same = suite(elsewhere)
    assert (same.judged, same.robust) == (False, first.robust)
    other = suite(elsewhere, eval={"resamples": 0, "threshold": 0.25})
    assert other.judged
    assert other.robust is not None
    assert other.robust["threshold"] == 0.25
    back = suite(elsewhere, robustness={"families": [], "only": None})  # none asked for: that which there is
    assert back.robust is not None
    assert back.robust["threshold"] == Deployed.of_run(elsewhere).threshold  # type: ignore[union-attr]
    fewer = suite(elsewhere, robustness={"only": ["gsm"]})
    assert fewer.robust is not None
    assert [one["key"] for one in fewer.robust["conditions"]] == ["gsm"]
    assert set(tables(fewer)) == KEYS


def test_no_suite_leaves_no_trace(elsewhere: Path) -> None:
    done = suite(elsewhere, robustness={"families": [], "only": None})
    assert done.robust is None
    assert not (done.place.folder / "robustness").exists()


def test_another_seed_scores_what_it_changes_again(elsewhere: Path) -> None:
    first = tables(suite(elsewhere))
    said: list[str] = []
    second = tables(suite(elsewhere, Screen(said.append, SILENT.watch, False), robustness={"seed": 1}))
    assert "8 conditions scored with other options: scored again" in said
    assert not np.array_equal(first["noise-white@0"]["score"], second["noise-white@0"]["score"])
    assert np.array_equal(first["gsm"]["score"], second["gsm"]["score"])


def test_scores_under_every_condition_are_the_same_on_one_and_two_devices(elsewhere: Path) -> None:
    families = ["laundering", "adversarial"]
    only = ["noise-pink", "noise-babble", "reverb", "mp3", "fgsm", "malafide", "query"]
    strengths = {"noise-pink": [10], "noise-babble": [10], "reverb": [0.3], "mp3": [16], "fgsm": [0.001]}
    strengths |= {"malafide": [9], "query": [5]}
    options = {"families": families, "only": only, "strengths": strengths}
    one, two = (suite(elsewhere, devices=devices, split="all", robustness=options) for devices in (1, 2))
    assert one.place != two.place
    first, second = tables(one), tables(two)
    assert len(first) == 8
    assert first.keys() == second.keys()
    for key, table in first.items():
        pd.testing.assert_frame_equal(table, second[key], check_exact=True)
    assert first["query@5"]["queries"].astype(int).between(1, 5).all()


def test_noise_of_a_clip_is_the_same_in_another_manifest(elsewhere: Path, manifest_csv: Path, tmp_path: Path) -> None:
    whole = Manifest.read(manifest_csv).frame.rename(columns={"id": "path"})
    some = whole.iloc[::-3].assign(split="test", label=["real" if one else "fake" for one in whole.iloc[::-3]["label"]])
    some.to_csv(tmp_path / "some.csv", index=False)
    data = {"name": "manifest", "path": str(tmp_path / "some.csv"), "root": str(manifest_csv.parent), "batch_size": 3}
    options = {"only": ["noise-brown", "rerecord"]}
    one = tables(suite(elsewhere, split="all", robustness=options))
    two = tables(suite(elsewhere, data=data, robustness=options))
    for key, table in two.items():
        there = one[key].set_index("id").loc[table["id"]]
        np.testing.assert_allclose(table["snr_db"], there["snr_db"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(table["score"], there["score"], rtol=1e-5, atol=1e-5)


def test_a_killed_suite_goes_on_and_scores_no_condition_twice(elsewhere: Path, dfad: Callable[..., Any]) -> None:
    words = [f"run={elsewhere}", "robustness=laundering", "robustness.only=[noise-white,noise-pink,opus,mp3]"]
    words += ["trainer.accelerator=cpu", "eval.resamples=0"]
    process = subprocess.Popen([sys.executable, str(ROOT / "eval.py"), *words], cwd=elsewhere, env=environment())
    deadline = time.monotonic() + 120
    while len(before := list(elsewhere.glob("evals/*/robustness/noise-*.csv"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (place,) = elsewhere.glob("evals/*")
    assert not (place / "robustness.json").exists()
    stored = {path.name: path.stat().st_mtime_ns for path in place.glob("robustness/*.csv")}
    assert {path.name for path in before} <= set(stored)
    again = dfad("eval", *words, cwd=elsewhere)
    assert again.returncode == 0, again.stderr
    assert f"scored already: {len(stored)} of 14 conditions" in again.stdout
    after = {path.name: path.stat().st_mtime_ns for path in place.glob("robustness/*.csv")}
    assert len(after) == 14
    assert stored.items() <= after.items()
    assert (place / "eval.log").read_text().count("mp3 16 kbit/s: ") == 1
    assert "noise-white" in again.stdout


@pytest.mark.parametrize("label", ["spoof", "bona-fide"])
def test_clips_of_one_class_alone(label: str, elsewhere: Path, manifest_csv: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(manifest_csv)
    frame[frame["label"] == label].to_csv(tmp_path / "one.csv", index=False)
    data = {"name": "manifest", "path": str(tmp_path / "one.csv"), "root": str(manifest_csv.parent)}
    options = {"families": ["laundering", "adversarial"], "only": ["noise-white", "fgsm", "malafide"]}
    options |= {"strengths": {"malafide": [9]}}
    results = suite(elsewhere, data=data, robustness=options).robust
    assert results is not None
    known, lost = ("false_alarm", "miss") if label == "spoof" else ("miss", "false_alarm")
    for one in results["conditions"]:
        assert one["eer"]["value"] is None
        assert one[lost]["value"] is None
        assert 0 <= one[known]["value"] <= 1


def test_what_cannot_be_done_is_named_and_the_rest_is_done(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfad.effects.codecs.find_spec", lambda name: None if name == "av" else True)
    said: list[str] = []
    options = {"families": ["laundering", "adversarial"], "only": ["noise-babble", "aac", "gsm", "transfer"]}
    results = suite(elsewhere, Screen(said.append, SILENT.watch, False), robustness=options).robust
    assert results is not None
    assert results["skipped"] == {
        "noise-babble": "it takes the voices of 6 other bona fide clips, and there are 6 in all",
        "aac": "it needs a package: pip install 'dfad[formats]'",
        "transfer": "it takes another detector, robustness.surrogate=RUN",
    }
    assert [one["key"] for one in results["conditions"]] == ["gsm"]
    assert "left out aac: it needs a package: pip install 'dfad\\[formats]'" in said
    assert any(note.startswith("3 left out") for note in results["notes"])


def test_a_surrogate_lends_its_gradients(elsewhere: Path, trained: Path, tmp_path: Path) -> None:
    options = {"families": ["adversarial"], "only": ["transfer"], "strengths": {"transfer": [0.001]}}
    with pytest.raises(ConfigError, match="is the detector that is attacked: transfer takes another one"):
        suite(elsewhere, robustness={**options, "surrogate": str(trained)})
    content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    content["state_dict"] = {name: 1.01 * weight for name, weight in content["state_dict"].items()}
    torch.save(content, tmp_path / "other.ckpt")
    results = suite(elsewhere, robustness={**options, "surrogate": str(tmp_path / "other.ckpt")}).robust
    assert results is not None
    assert [one["key"] for one in results["conditions"]] == ["transfer@0.001"]
    assert any("transfer" in check["name"] for check in results["checks"])
    assert all(set(check) == {"name", "passed", "words"} for check in results["checks"])


def test_a_few_clips_are_always_the_same_ones(elsewhere: Path) -> None:
    found = tables(suite(elsewhere, robustness={"clips": 5, "only": ["gsm"]}))
    assert len(found["clean"]) == len(found["gsm"]) == 5
    more = tables(suite(elsewhere, robustness={"clips": 7, "only": ["gsm"]}))
    assert set(found["gsm"]["id"]) < set(more["gsm"]["id"])


def test_wrong_options_are_refused_before_any_work(refusal: Callable[..., tuple[int, str]], elsewhere: Path) -> None:
    words = (f"run={elsewhere}", "robustness=laundering")
    code, said = refusal("eval", *words, "robustness.only=[nois-white]", cwd=elsewhere)
    assert code == 2
    assert "no perturbation 'nois-white' in laundering; did you mean 'noise-white'" in said
    words = (f"run={elsewhere}", "robustness=adversarial", "robustness.surrogate=runs/gone")
    said = refusal("eval", *words, cwd=elsewhere)[1]
    assert "robustness.surrogate: no checkpoint at runs/gone; dfad runs lists the runs that there are" in said
    assert not (elsewhere / "evals").exists()
