"""The model card: numbers of the run, robustness where it was measured, plain words where nothing was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dfad.export.about import describe
from dfad.report.card import card
from dfad.scorer import load_scorer
from tests.conftest import Called


def told(run: Path) -> str:
    return card(run, describe(load_scorer(run), run))


def copied(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "a-run")
    return tmp_path / "a-run"


def test_a_card_tells_what_the_run_has_stored(trained: Path, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    text, results = told(run), json.loads((run / "metrics.json").read_text())
    assert text.startswith("# a-run\n")
    assert f"| EER | {100 * results['values']['test/eer']:.2f} % |" in text
    assert json.loads((run / "manifest.json").read_text())["digest"] in text
    assert "| train | 12 | 12 |" in text
    assert "higher = more likely bona fide" in text
    assert "| hum |" in text
    assert "demo corpus" not in text
    assert "Expect more errors on sound that was compressed" in text  # nobody measured it
    assert str(tmp_path) not in text


def test_a_suite_fills_the_part_on_robustness(trained: Path, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    conditions = [
        {"title": f"mp3 {rate} | kb/s", "eer": {"value": 0.1 + rate / 1000}, "fake_to_real": {"value": None}}
        for rate in range(12)
    ]
    (run / "robustness.json").write_text(json.dumps({"clean": {"eer": {"value": 0.05}}, "conditions": conditions}))
    text = told(run)
    assert "On the test split: EER 5.00 % on clips as they are." in text
    assert "| mp3 11 \\| kb/s | 11.10 % | n/a |" in text
    assert "The 10 conditions with the highest EER of 12 are shown." in text
    assert "Expect more errors" not in text


def test_a_demo_run_says_that_it_proves_the_machinery_alone(trained: Path, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("name: manifest", "name: demo"))
    assert "it proves that the machinery works" in told(run)


def test_imported_weights_say_whose_they_are(trained: Path, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    (run / "metrics.json").unlink()
    (run / "deployed.json").unlink()
    about = {"system": "aasist", "sha256": "abc", "trained_on": "ASVspoof 2019 LA", "published": "aasist"}
    (run / "imported.json").write_text(json.dumps(about))
    text = told(run)
    assert "those of `aasist`, trained on\nASVspoof 2019 LA by others (SHA-256 of their file `abc`)" in text
    assert "Not evaluated: this run has no results" in text


def test_a_bare_checkpoint_has_a_card_too(trained: Path, command: Called, tmp_path: Path) -> None:
    checkpoint = shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "mine.ckpt")
    code, _, err = command("export", checkpoint, "--format", "card")
    assert code == 0, err
    text = (tmp_path / "mine" / "export" / "model_card.md").read_text()
    assert "what was exported is a bare checkpoint" in text
    assert "not calibrated" in text
