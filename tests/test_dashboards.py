"""Weights & Biases shows what the run folder holds, without a key and without a network: real processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import soundfile
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from dfad import load
from dfad.commands.train import run
from dfad.training.config import TrainConfig
from tests.conftest import ROOT, SMALL, environment
from tests.test_config import composed
from tests.test_resume import only_run, start, stop_after
from tests.wandb_files import OfflineRun

Command = Callable[..., subprocess.CompletedProcess[str]]


def words(manifest: Path, *more: str) -> list[str]:
    return ["data=manifest", f"data.path={manifest}", *SMALL, *more]


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


@pytest.fixture(scope="module", autouse=True)
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home without a key, and a server that does not answer."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # closed again below
    with pytest.MonkeyPatch.context() as patch:
        for name in environment():
            if name.startswith("WANDB_") or name == "NETRC":
                patch.delenv(name)
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # looking for fonts takes long
        patch.setenv("HOME", str(home))
        patch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        patch.setenv("WANDB_HTTP_TIMEOUT", "1")
        yield home


@pytest.fixture(scope="module")
def said(manifest_csv: Path, dfad: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    home = tmp_path_factory.mktemp("offline")
    done = dfad("train", *words(manifest_csv, "logger=wandb"), cwd=home, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return home, done.stdout


@pytest.fixture(scope="module")
def folder(said: tuple[Path, str]) -> Path:
    return only_run(said[0])


@pytest.fixture(scope="module")
def sent(folder: Path) -> OfflineRun:
    (part,) = parts(folder)
    return OfflineRun(part)


class TestOffline:
    """One training where there is neither key nor network."""

    def test_it_says_so_and_how_to_sync(self, said: tuple[Path, str], sent: OfflineRun) -> None:
        home, text = said
        assert text.count("Weights & Biases is offline: there is no API key; wandb login stores one\n") == 1
        assert text.splitlines()[-1] == f"dashboard offline: wandb sync {sent.folder.relative_to(home)}"
        assert "wandb:" not in text  # nothing of its own

    def test_nothing_lies_outside_of_the_run(self, said: tuple[Path, str], nobody: Path) -> None:
        assert [path.name for path in said[0].iterdir()] == ["runs"]
        assert not list(nobody.iterdir())

    def test_it_is_the_same_run_as_without(self, folder: Path, trained: Path) -> None:
        assert folder.name == trained.name
        for name in ("curves.csv", "metrics.json", "scores/test.csv"):
            assert (folder / name).read_bytes() == (trained / name).read_bytes()

    def test_the_run_is_described(self, folder: Path, sent: OfflineRun) -> None:
        assert sent.run.run_id == folder.name.rpartition("-")[2]
        assert (sent.run.project, sent.run.display_name, sent.run.run_group) == ("dfad", folder.name, "")
        for name, value in yaml.safe_load((folder / "config.yaml").read_text()).items():
            assert sent.config[name] == value
        assert sent.config["environment"]["packages"]
        assert sent.complete

    def test_there_is_a_row_for_each_epoch(self, folder: Path, sent: OfflineRun) -> None:
        assert_has_every_epoch(sent, folder)

    def test_the_summary_has_the_results(self, folder: Path, sent: OfflineRun) -> None:
        values = json.loads((folder / "metrics.json").read_text())["values"]
        assert "test/eer" in values
        for name, value in values.items():
            if value is not None:
                assert sent.summary[name] == pytest.approx(value), name

    def test_figures_and_files_are_there(self, folder: Path, sent: OfflineRun) -> None:
        for name in ("confusion_as_trained", "by_attack", "det", "histogram", "curves", "inputs"):
            (path,) = (sent.folder / "files" / "media" / "images" / "figures").glob(f"{name}_*.png")
            assert path.read_bytes() == (folder / "figures" / f"{name}.png").read_bytes()
            assert str(path.relative_to(sent.folder / "files")) in sent.files
        assert {"config.yaml", "metrics.json", "deployed.json", "curves.csv", "report.html"} <= sent.files

    def test_the_scores_are_an_artifact(self, folder: Path, sent: OfflineRun) -> None:
        scores = sent.contents("scores")
        assert scores.keys() == {"val.csv", "test.csv"}
        for name, path in scores.items():
            assert path.read_bytes() == (folder / "scores" / name).read_bytes()

    def test_the_worst_clips_can_be_heard_and_seen(self, folder: Path, sent: OfflineRun) -> None:
        kept, scorer = sent.contents("run_table"), load(folder)
        table = json.loads(kept["worst_clips.table.json"].read_text())
        assert table["columns"] == ["id", "label", "attack", "score", "P(spoof)", "error", "audio", "features"]
        assert len(table["data"]) == 12  # all test clips: fewer than logger.worst
        for id_, label, attack, score, p_spoof, error, audio, picture in table["data"]:
            assert label in id_
            assert bool(attack) == (label == "spoof")
            assert p_spoof == pytest.approx(scorer.judge(score).p_spoof)
            assert error in ("", "miss" if label == "bona-fide" else "false alarm")
            wave, rate = soundfile.read(kept[audio["path"]])
            assert (rate, wave.shape) == (16000, (8000,))  # frontend.crop_s=0.5
            assert np.sqrt(np.mean(wave**2)) > 0.01
            assert kept[picture["path"]].read_bytes().startswith(b"\x89PNG")
        metrics = json.loads((folder / "metrics.json").read_text())["values"]
        right = sum(not row[5] for row in table["data"])
        assert right / 12 == pytest.approx(metrics["test/accuracy_at_val"])

    def test_the_tables_of_the_report_are_there(self, folder: Path, sent: OfflineRun) -> None:
        kept, results = sent.contents("run_table"), json.loads((folder / "metrics.json").read_text())
        table = json.loads(next(path for name, path in kept.items() if "thresholds" in name).read_text())
        assert [row[:2] for row in table["data"]] == [
            ["as trained", 0],
            ["val", results["threshold"]],
            ["oracle", results["values"]["test/eer_threshold"]],
        ]
        columns = dict(zip(table["columns"], zip(*table["data"], strict=True), strict=True))
        assert columns["miss"][1] == results["values"]["test/miss_at_val"]
        table = json.loads(next(path for name, path in kept.items() if "by_attack" in name).read_text())
        assert [row[:4] for row in table["data"]] == [
            [part["value"], part["n_bona_fide"], part["n_spoof"], part["eer"]]
            for part in results["breakdowns"]["test"]["attack"]
        ]


def assert_has_every_epoch(sent: OfflineRun, folder: Path) -> None:
    head, *lines = (folder / "curves.csv").read_text().splitlines()
    assert {"epoch", "train/loss", "val/eer", "lr"} <= set(head.split(","))
    assert len(sent.epochs) == len(lines) == 4
    for row, line in zip(sent.epochs, lines, strict=True):
        for name, value in zip(head.split(","), line.split(","), strict=True):
            assert row[name] == pytest.approx(float(value)), name


def test_a_run_trained_without_is_mirrored_later_and_once(
    elsewhere: Path,
    manifest_csv: Path,
    dfad: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)  # no network: it goes on offline after all
    typed = words(manifest_csv, "logger=wandb", "logger.project=mine", "logger.worst=2")
    first = dfad("train", *typed, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert first.returncode == 0, first.stderr
    assert "is finished already" in first.stdout
    (reason,) = (line for line in first.stdout.splitlines() if line.startswith("Weights & Biases is offline: "))
    assert "API key" not in reason
    assert "Traceback" not in first.stdout + first.stderr
    (part,) = parts(elsewhere)
    sent = OfflineRun(part)
    assert_has_every_epoch(sent, elsewhere)
    assert sent.run.project == "mine"
    assert {"scores", "run_table"} <= {artifact.type for artifact in sent.artifacts}
    assert "test/eer" in sent.summary

    monkeypatch.chdir(tmp_path)
    assert run(composed("train", *typed)).name == elsewhere.name  # typed again
    assert parts(elsewhere) == [part]
    assert capsys.readouterr().out.splitlines()[-1] == first.stdout.splitlines()[-1]


def test_a_killed_run_goes_on_as_the_same_one(manifest_csv: Path, dfad: Command, tmp_path: Path) -> None:
    typed = words(manifest_csv, "logger=wandb", "logger.worst=1")
    process = start(typed, tmp_path)
    stop_after(process, "epoch 2/4", signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    (half,) = parts(only_run(tmp_path))
    again = dfad("train", *typed, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "epoch 1/4" not in again.stdout
    (part,) = parts(only_run(tmp_path))
    assert part != half
    assert part.name.rpartition("-")[2] == half.name.rpartition("-")[2]
    sent = OfflineRun(part)
    assert sent.complete
    assert_has_every_epoch(sent, only_run(tmp_path))


@pytest.mark.slow
def test_the_jobs_of_a_sweep_are_a_group(manifest_csv: Path, dfad: Command, tmp_path: Path) -> None:
    typed = words(manifest_csv, "trainer.max_epochs=1", "logger=wandb", "logger.worst=0", "seed=1,2")
    done = dfad("train", "-m", *typed, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    sent = [OfflineRun(path) for path in tmp_path.glob("runs/*/wandb/offline-run-*")]
    (record,) = tmp_path.glob("runs/.sweeps/*.json")
    assert [each.run.run_group for each in sent] == [record.stem] * 2
    assert {each.config["seed"] for each in sent} == {1, 2}
    assert {each.run.run_id for each in sent} == {path.name[-8:] for path in tmp_path.glob("runs/cnn-*")}


def test_online_or_nothing_is_refused_before_the_training(
    manifest_csv: Path, refusal: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, said = refusal("train", *words(manifest_csv, "logger=wandb", "logger.mode=online"), cwd=tmp_path)
    assert code == 2
    assert "logger.mode=online, but there is no API key" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_without_it_nothing_imports_wandb(elsewhere: Path, manifest_csv: Path, tmp_path: Path) -> None:
    code = (
        "import atexit, sys\nfrom dfad.commands.train import main\n"
        "atexit.register(lambda: print({'wandb', 'tensorboard'} & set(sys.modules)))\nmain()"
    )
    command = [sys.executable, "-c", code, *words(manifest_csv)]
    env = {**environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert "is finished already" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_every_job_of_the_wandb_sweep_file_composes() -> None:
    path = ROOT / "docs" / "wandb-sweep.yaml"
    assert path.read_text().startswith("# wandb sweep docs/wandb-sweep.yaml")
    sweep = yaml.safe_load(path.read_text())
    assert sweep["command"] == ["${env}", "python", "train.py", "logger=wandb", "${args_no_hyphens}"]
    assert sweep["metric"] == {"name": "val/cllr", "goal": "minimize"}
    options = [[(name, value) for value in option["values"]] for name, option in sweep["parameters"].items()]
    identities = set()
    for job in product(*options):
        dealt = {"args": {name: {"value": value} for name, value in job}}
        typed = create_sweep_command_args(dealt)["args_no_hyphens"]  # what `wandb agent` types
        config = TrainConfig.read(composed("train", "logger=wandb", *typed))
        assert config.logger.name == "wandb"
        identities.add(json.dumps(config.identity(), sort_keys=True))
    assert len(identities) == np.prod([len(values) for values in options])
