"""Sweeps: jobs do not touch each other, the rest goes on where one fails, and a killed sweep ends like a whole one."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dfad.commands.jobs import Sweep, isolated, sweep_name
from dfad.errors import IN_RUN, ConfigError, DataError
from tests.conftest import SMALL
from tests.test_resume import start, stop_after

Run = Callable[..., subprocess.CompletedProcess[str]]
SAME = ("curves.csv", "scores/val.csv", "scores/test.csv", "metrics.json", "config.yaml")


def words(manifest: Path, *more: str) -> list[str]:
    # all that draws random numbers, so that a job which begins in another state would end in other numbers
    random = ["augment=light", "model.dropout=0.5", "model.head=[8]", "trainer.max_epochs=3"]
    return ["data=manifest", f"data.path={manifest}", *SMALL, *random, *more]


def runs_in(home: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in home.glob("runs/*/config.yaml")}


def record(home: Path) -> dict[str, Any]:
    (path,) = home.glob("runs/.sweeps/sweep-*.json")
    content = json.loads(path.read_text())
    assert isinstance(content, dict)
    return content


@pytest.fixture(scope="module")
def undisturbed(manifest_csv: Path, dfad: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three jobs and one that cannot be, `-m` typed last."""
    home = tmp_path_factory.mktemp("sweep")
    done = dfad("train", *words(manifest_csv, *SWEPT), "-m", cwd=home)
    assert done.returncode == 2, done.stderr
    (home / "said").write_text(done.stdout)
    (home / "errors").write_text(done.stderr)
    return home


SWEPT = ("model.channels=[4],[8]", "seed=1,-1")


def test_a_sweep_says_what_it_does_and_goes_on_after_a_job_that_fails(undisturbed: Path) -> None:
    said = (undisturbed / "said").read_text()
    assert "[1/4] model.channels=[4] seed=1\n" in said
    assert "[4/4] model.channels=[8] seed=-1\n" in said
    assert said.count("\ndone runs/") == 2
    assert "┃" not in said  # no table per job
    assert "2 of 4 jobs done" in said
    assert "failed model.channels=[8] seed=-1: seed=-1: input should be greater than or equal to 0" in said
    assert (undisturbed / "errors").read_text().count("error seed=-1") == 2


def test_values_are_shown_as_they_were_typed(manifest_csv: Path, dfad: Run, tmp_path: Path) -> None:
    done = dfad("train", *words(manifest_csv, "seed=-1", "data.hold_out=speaker:a,speaker:b"), "-m", cwd=tmp_path)
    assert "[1/2] data.hold_out=speaker:a\n" in done.stdout


def test_the_table_is_sorted_by_validation(undisturbed: Path) -> None:
    said = (undisturbed / "said").read_text()
    head, *rows = said[said.index("model.channels  seeds") :].splitlines()[:3]
    assert head.split() == ["model.channels", "seeds", "val/cllr", "val/eer", "test/eer"]
    stored = {
        f"[{','.join(map(str, json.loads(name)))}]": json.loads((folder / "metrics.json").read_text())["values"]
        for folder in runs_in(undisturbed).values()
        for line in (folder / "config.yaml").read_text().split("channels:\n")[1:]
        for name in [f"[{line.split()[1]}]"]
    }
    assert {row.split()[0] for row in rows} == {"[4]", "[8]"} == set(stored)
    assert [row.split()[2] for row in rows] == sorted(f"{values['val/cllr']:.4f}" for values in stored.values())


def test_the_record_holds_every_job(undisturbed: Path) -> None:
    kept = record(undisturbed)
    assert kept["words"][-2:] == list(SWEPT)
    assert kept["count"] == len(kept["jobs"]) == 4
    assert [job["exit_code"] for job in kept["jobs"]] == [0, 2, 0, 2]
    for job in kept["jobs"]:
        assert bool(job["run"]) == (not job["exit_code"])
        assert not job["run"] or (undisturbed / job["run"] / "metrics.json").is_file()
    assert kept["jobs"][1]["error"] == "seed=-1: input should be greater than or equal to 0"


def test_a_sweep_killed_inside_a_job_does_only_what_is_missing_and_ends_the_same(
    undisturbed: Path, manifest_csv: Path, dfad: Run, tmp_path: Path
) -> None:
    typed = words(manifest_csv, *SWEPT)
    process = start(["-m", *typed], tmp_path)
    said = stop_after_second(process)
    assert process.returncode == -signal.SIGKILL, said
    assert len(record(tmp_path)["jobs"]) == 2
    first = {name: (path / "curves.csv").stat().st_mtime_ns for name, path in runs_in(tmp_path).items()}
    again = dfad("train", "-m", *typed, cwd=tmp_path)
    assert again.returncode == 2, again.stderr
    assert again.stdout.count("finished already runs/") == 1
    assert "goes on after its last whole epoch" in again.stdout
    assert "epoch 1/3" not in again.stdout

    one, other = runs_in(undisturbed), runs_in(tmp_path)
    assert one.keys() == other.keys()
    for name, folder in one.items():
        for file in SAME:
            assert (folder / file).read_bytes() == (other[name] / file).read_bytes(), (name, file)
        assert {path.name for path in folder.iterdir()} == {path.name for path in other[name].iterdir()}
    unchanged = [name for name, when in first.items() if (other[name] / "curves.csv").stat().st_mtime_ns == when]
    assert len(unchanged) == 1
    assert record(tmp_path) == record(undisturbed)


def stop_after_second(process: subprocess.Popen[str]) -> str:
    """Kill the sweep in the second epoch of its second training."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("epoch 2/3") and said.count("epoch 2/3") == 2:
            process.kill()
    process.wait()
    return said


def test_a_job_of_a_sweep_and_the_same_run_alone_are_bit_for_bit_the_same(
    undisturbed: Path, manifest_csv: Path, dfad: Run, tmp_path: Path
) -> None:
    done = dfad("train", *words(manifest_csv, "model.channels=[8]", "seed=1"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ((name, alone),) = runs_in(tmp_path).items()
    swept = runs_in(undisturbed)[name]
    for file in SAME:
        assert (alone / file).read_bytes() == (swept / file).read_bytes(), file
    for file in ("best", "last"):
        first, second = (
            torch.load(folder / "checkpoints" / f"{file}.ckpt", weights_only=True)["state_dict"]
            for folder in (alone, swept)
        )
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow), (signal.SIGINT, 130)]
)
def test_signals_stop_the_whole_sweep(number: signal.Signals, code: int, manifest_csv: Path, tmp_path: Path) -> None:
    typed = ["-m", "data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=500", "seed=1,2"]
    process = start([*typed, "runs=mine"], tmp_path)
    said = stop_after(process, "epoch   2/500", number)
    assert process.returncode == code, said
    assert said.count("the same command goes on") == 1
    assert "[2/2]" not in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]  # nothing of ours in ./runs


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (["-m", "model=cnn,cn"], "model=cn: there is no such configuration; did you mean 'cnn'?"),
        (["seed=1,2", "-m", "model.channels=[4],[8"], "cannot read model.channels=[4],[8: write key=value"),
        (["-m", "seed=1,2", "runs=/proc/nope"], "cannot write to /proc/nope; choose another folder, runs=…"),
        (["seed=1,2"], "add --multirun"),
    ],
)
def test_wrong_words_end_a_sweep_before_it_begins(
    typed: list[str], answer: str, refusal: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, said = refusal("train", *typed, cwd=tmp_path)
    assert code == 2
    assert answer in said
    assert said.count("error ") == 1


class TestSweep:
    """The jobs of a sweep whose command is made up."""

    def sweep(self, home: Path, command: Callable[[dict[str, Any]], Path | None], *jobs: dict[str, Any]) -> Sweep:
        sweep = Sweep(["seed=1,2"])
        for number, job in enumerate(jobs):
            values = {"runs": str(home / "runs"), **job}
            sweep.job(lambda v=values: v, command, words=[f"job={number}"], count=len(jobs))  # type: ignore[misc]
        return sweep

    def test_the_same_job_is_done_once(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        done = []
        self.sweep(tmp_path, lambda values: done.append(values), {"seed": 1}, {"seed": 2}, {"seed": 1})
        assert len(done) == 2
        assert "the same as job 1" in capsys.readouterr().out
        assert len(record(tmp_path)["jobs"]) == 3

    def test_the_worst_exit_code_is_that_of_the_sweep(self, tmp_path: Path) -> None:
        def command(values: dict[str, Any]) -> None:
            raise values["error"]() if isinstance(values["error"], type) else AssertionError

        kinds: list[Any] = [DataError, ConfigError, RuntimeError]
        sweep = Sweep(["x"])
        for kind in kinds:
            folder = tmp_path / kind.__name__
            folder.mkdir()

            def fail(_: dict[str, Any], kind: Any = kind, folder: Path = folder) -> Path:
                error = kind("no such thing")
                error.add_note(f"{IN_RUN}{folder}")  # as a run folder does
                raise error

            sweep.job(lambda k=kind: {"runs": str(tmp_path), "x": k.__name__}, fail, words=[], count=3)  # type: ignore[misc]
        assert sweep.finish() == 3
        assert [Path(job["run"]).name for job in sweep.jobs] == [kind.__name__ for kind in kinds]
        assert sweep.jobs[2]["error"] == "RuntimeError: no such thing"

    def test_jobs_of_which_nothing_is_heard_have_failed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        job = {"overrides": ["seed=1"], "run": None, "exit_code": 0, "error": None}
        for found in range(2):
            sweep = Sweep(["x"], "t", place=tmp_path)
            assert sweep.finish() == 1
            assert f"jobs {found} have left word" in capsys.readouterr().err
            parts = tmp_path / f"{sweep.name}.t"
            parts.mkdir(exist_ok=True)
            (parts / "000000.json").write_text(json.dumps({"job": job, "home": None, "count": 2}))

    def test_ctrl_c_passes_through(self, tmp_path: Path) -> None:
        def command(values: dict[str, Any]) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.sweep(tmp_path, command, {"seed": 1})
        assert sweep_name() is None

    def test_a_job_knows_its_sweep(self, tmp_path: Path) -> None:
        names = []
        sweep = self.sweep(tmp_path, lambda values: names.append(sweep_name()), {})
        assert names == [sweep.name]
        assert sweep.name == Sweep(["seed=1,2"]).name != Sweep(["seed=1,3"]).name
        assert sweep_name() is None


def test_what_a_job_sets_is_undone() -> None:
    def state() -> list[Any]:
        return [
            dict(os.environ),
            torch.get_rng_state().tolist(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_num_threads(),
            list(warnings.filters),
            logging.getLogger().handlers[:],
        ]

    before = state()
    with isolated():
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
        os.environ.pop("OMP_NUM_THREADS", None)
        torch.manual_seed(5)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(2)
        warnings.filterwarnings("error")
    assert state() == before
