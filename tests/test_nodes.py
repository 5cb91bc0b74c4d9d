"""Processes that torchrun or srun has started: who they are, and that they train what one command's own ranks train."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfad.errors import ConfigError
from dfad.scores import ScoreTable
from dfad.training.config import DeviceKnobs
from dfad.training.launched import Place, place, spread
from dfad.training.meeting import require_shared
from dfad.training.ranks import free_port
from dfad.training.together import require_hosts
from tests.conftest import ROOT, SMALL, environment
from tests.test_resume import STORED, only_run, require_same
from tests.test_stops import WORDS
from tests.test_sweep_command import command

TORCHRUN = {
    **{"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
    **{"MASTER_ADDR": "one", "MASTER_PORT": "29500", "TORCHELASTIC_USE_AGENT_STORE": "True"},
    "TORCHELASTIC_RUN_ID": "abc",
}
SRUN = {
    **{"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"},
    **{"SLURM_STEP_NODELIST": "gpu[07-08,11]", "SLURM_JOB_ID": "123456", "SLURM_STEP_ID": "2"},
}


def test_variables_of_launchers() -> None:
    assert place(TORCHRUN) == Place(3, 4, 1, 2, "one", 29500, hosted=True, name="abc")
    assert place(SRUN) == Place(5, 8, 1, 4, "gpu07", 15_000 + (31 * 123_456 + 2) % 15_000, name="123456.2")
    assert place(SRUN | {"MASTER_ADDR": "x", "MASTER_PORT": "7"}) == Place(5, 8, 1, 4, "x", 7, name="123456.2")
    assert place({**SRUN, **TORCHRUN}) == place(TORCHRUN)  # torchrun within a step
    assert place(SRUN).nodes == 2  # type: ignore[union-attr]


def test_a_process_that_was_started_alone_waits_for_nobody() -> None:
    assert place({}) is None
    assert place(TORCHRUN | {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}) is None
    step = {name: value for name, value in SRUN.items() if "STEP" not in name}
    assert place(step | {"SLURM_NTASKS": "8"}) is None  # the shell of a batch script


def test_hosts_with_unequal_numbers_are_refused() -> None:
    for variables in (TORCHRUN | {"WORLD_SIZE": "5"}, SRUN | {"SLURM_STEP_TASKS_PER_NODE": "4,2"}):
        with pytest.raises(ConfigError, match="equally many processes"):
            place(variables)


def test_devices_and_hosts_are_those_of_the_launcher() -> None:
    assert spread({"trainer": {"devices": 7}}, None) == {"trainer": {"devices": 7}}
    here, there = place(SRUN), {"trainer": {"devices": 4, "num_nodes": 2}}
    assert spread({"trainer": {"devices": 1}}, here) == there
    assert spread(there, here) == there
    with pytest.raises(
        ConfigError, match=r"trainer\.devices=8 trainer\.num_nodes=1, but 8 processes .* 4 on each host"
    ):
        spread({"trainer": {"devices": 8}}, here)


def test_a_command_that_does_not_follow_meets_nobody(manifest_csv: Path, tmp_path: Path) -> None:
    typed = command(manifest_csv, "n_trials=1", "trainer.max_epochs=1")
    task = {**environment(), **SRUN, "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(typed, cwd=tmp_path, env=task, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_several_hosts_need_a_launcher() -> None:
    with pytest.raises(ConfigError, match="torchrun --nnodes 2"):
        require_hosts(DeviceKnobs(num_nodes=2))


def test_several_hosts_are_asked_for_before_any_work(dfad: Callable[..., Any], tmp_path: Path) -> None:
    done = dfad("train", "trainer.num_nodes=2", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "but this process was started alone" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_a_host_does_not_see(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shared file system"):
        require_shared(tmp_path / "runs" / "x")


def torchrun(*words: str, cwd: Path, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", *words]
    return subprocess.Popen(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**environment(), "PYTHONPATH": str(ROOT)}, **more,
    )  # fmt: skip


def srun(*words: str, cwd: Path) -> list[subprocess.Popen[str]]:
    """Start what srun starts of two tasks."""
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "localhost"}
    step |= {"SLURM_JOB_ID": str(free_port()), "SLURM_NTASKS": "2", "PYTHONPATH": str(ROOT)}
    return [
        subprocess.Popen(
            [sys.executable, *words],
            cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment(), **step, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)},
        )
        for task in range(2)
    ]  # fmt: skip


def ended(tasks: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """The exit code of each, and what it has said."""
    try:
        said = [task.communicate(timeout=120) for task in tasks]
    finally:
        for task in tasks:
            task.kill()
    return [(task.returncode, *texts) for task, texts in zip(tasks, said, strict=True)]


def test_jobs_of_a_sweep_that_fail_lose_no_rank(manifest_csv: Path, tmp_path: Path) -> None:
    words = ["-m", "data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=1", "model.lr=1e30,1e-3"]
    first, other = ended(srun(str(ROOT / "train.py"), *words, cwd=tmp_path))
    assert "1 of 2 jobs done" in first[1], first
    assert "training diverged" in first[1]
    assert (first[0], other) == (1, (1, "", ""))


@pytest.mark.slow
def test_an_error_of_rank_0_alone_is_that_of_all(manifest_csv: Path, tmp_path: Path) -> None:
    broken = (
        "from dfad.commands import train; from dfad.errors import DataError; from dfad.training import detectors\n"
        "real = detectors.Detector.training_step\n"
        "def step(self, clips, index):\n"
        "    if self.global_rank == 0 and index: raise DataError('a clip is gone')\n"
        "    return real(self, clips, index)\n"
        "detectors.Detector.training_step = step\n"
        "train.main()"
    )
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL]
    first, other = ended(srun("-c", broken, *words, cwd=tmp_path))
    assert (first[0], other) == (3, (3, "", "")), first
    assert "a clip is gone" in first[2]


@pytest.mark.slow
def test_an_interrupt_is_told_once(manifest_csv: Path, tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "trainer.max_epochs=500"]
    tasks = srun(str(ROOT / "train.py"), *words, cwd=tmp_path)
    while not list(tmp_path.glob("runs/*/curves.csv")):
        assert [task.poll() for task in tasks] == [None, None]
        time.sleep(0.1)
    for task in tasks:
        task.send_signal(signal.SIGINT)
    first, other = ended(tasks)
    assert (first[0], other) == (130, (130, "", "")), first


def test_a_rank_that_is_killed_inside_an_epoch_is_started_again(
    manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *WORDS, "trainer.checkpoint_steps=1"]
    for home in ("whole", "cut"):
        (tmp_path / home).mkdir()
    whole = dfad("train", *words, "trainer.devices=2", cwd=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    start = ["--standalone", "--nproc-per-node=2", "--max-restarts=1", "-m"]
    process = torchrun(*start, "tests.interrupted", "SIGKILL:training:1:2:1", *words, cwd=tmp_path / "cut")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert "goes on after batch 2 of epoch 2 of 3" in out
    assert out.count("epoch 3/3") == 1
    require_same(only_run(tmp_path / "whole"), only_run(tmp_path / "cut"))
    process = torchrun(*start, "dfad", "train", *words, cwd=tmp_path / "cut")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert out.count("is finished already") == 1


@pytest.mark.slow
def test_two_hosts_train_what_two_devices_train(manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *WORDS]
    for home in ("one", "two"):
        (tmp_path / home).mkdir()
    assert dfad("train", *words, "trainer.devices=2", cwd=tmp_path / "one").returncode == 0
    start = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}"]
    hosts = [torchrun(*start, str(ROOT / "train.py"), *words, cwd=tmp_path / "two") for _ in range(2)]
    said = [host.communicate(timeout=240) for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], said
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    for name in STORED:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    process = torchrun(
        "--standalone", "--nproc-per-node=2", str(ROOT / "eval.py"), f"run={one}", "split=val",
        "trainer.accelerator=cpu", cwd=tmp_path,
    )  # fmt: skip
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (scores,) = one.glob("evals/*/scores.csv")
    assert ScoreTable.read(scores).frame.equals(ScoreTable.read(one / "scores" / "val.csv").frame)


@pytest.mark.slow
def test_a_sweep_and_a_wrong_word(manifest_csv: Path, tmp_path: Path) -> None:
    words = ["-m", "data=manifest", f"data.path={manifest_csv}", *WORDS, "trainer.max_epochs=1", "seed=1,2"]
    process = torchrun("--standalone", "--nproc-per-node=2", str(ROOT / "train.py"), *words, cwd=tmp_path)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    assert out.count("epoch 1/1") == 2
    process = torchrun("--standalone", "--nproc-per-node=2", str(ROOT / "train.py"), "model.lrr=1", cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1  # torchrun's own
    assert err.count("did you mean 'model.lr'?") == 1


@pytest.mark.slow
def test_tasks_of_a_step_that_a_scheduler_asks_to_end_and_starts_again(
    manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *WORDS]
    for home in ("whole", "cut"):
        (tmp_path / home).mkdir()
    assert dfad("train", *words, "trainer.devices=2", cwd=tmp_path / "whole").returncode == 0
    typed = ("-m", "tests.interrupted", "SIGUSR1:training:1:1:1", *words)
    first, other = ended(srun(*typed, cwd=tmp_path / "cut"))
    assert (first[0], other) == (143, (143, "", "")), first
    assert "the same command goes on after batch 3 of 3 in epoch 2 of 3" in first[2]  # asked one step before
    first, other = ended(srun(*typed, cwd=tmp_path / "cut"))
    assert (first[0], other) == (0, (0, "", "")), first
    require_same(only_run(tmp_path / "whole"), only_run(tmp_path / "cut"))
