"""Several devices: real processes over gloo."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from dfad.clips import Manifest
from dfad.errors import ConfigError, DataError
from dfad.scores import ScoreTable
from dfad.training.config import DeviceKnobs, EvalConfig, TrainConfig
from dfad.training.evaluation import evaluate_run
from dfad.training.fit import train
from dfad.training.norms import SyncedNorms
from dfad.training.ranks import ALONE, free_port
from dfad.training.scoring import SILENT
from dfad.training.together import together
from dfad.training.trainer import accelerator_of
from tests.conftest import SMALL
from tests.test_resume import start, stop_after

TWO = ("trainer.devices=2",)


def scored(run: Path, data: dict[str, Any], devices: int) -> pd.DataFrame:
    """Evaluate in this process, with others beside it; give the stored scores."""
    trainer = {"accelerator": "cpu", "devices": devices}
    config = EvalConfig.read({"run": str(run), "data": data, "trainer": trainer})
    return ScoreTable.read(evaluate_run(config, SILENT).place.folder / "scores.csv").frame


@pytest.mark.parametrize("clips", [1, 13, pytest.param(24, marks=pytest.mark.slow)])
def test_scores_are_the_same_on_one_and_two_devices(
    clips: int, elsewhere: Path, manifest_csv: Path, tmp_path: Path
) -> None:
    whole = Manifest.read(manifest_csv)
    path = tmp_path / "some.csv"
    whole.frame.rename(columns={"id": "path"}).iloc[:clips].assign(split="test", label="real").to_csv(path, index=False)
    data = {"name": "manifest", "path": str(path), "root": str(manifest_csv.parent), "batch_size": 8}
    one, two = scored(elsewhere, data, 1), scored(elsewhere, data, 2)
    assert two["id"].tolist() == whole.frame["id"].tolist()[:clips]
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.parametrize(
    ("model", "augment"),
    [
        ({"name": "cnn", "channels": [4, 8], "dropout": 0.0}, {"name": "none"}),
        (
            {"name": "cnn", "channels": [4, 8], "dropout": 0.0, "pool": "avg", "activation": "gelu", "lr": 1e-4},
            {"name": "adversarial", "adversarial": {"norm": "l2", "epsilon": 0.1, "steps": 2}},
        ),
        (
            {"name": "vgg16", "variant": "vgg11", "pretrained": "none", "unfreeze_from": 4, "unfreeze_every": 1}
            | {"hidden": 8, "dropout": 0.0},  # what is trained changes while it is trained
            {"name": "none"},
        ),
    ],
)
def test_two_devices_learn_what_one_learns(
    model: dict[str, Any], augment: dict[str, Any], manifest_csv: Path, tmp_path: Path
) -> None:
    weights = []
    for devices in (1, 2):
        done = train(configured(manifest_csv, tmp_path, model, devices, augment), SILENT)
        weights.append(torch.load(done.run.last, weights_only=True)["state_dict"])
    one, two = weights
    assert one.keys() == two.keys()
    for name in one:  # batch norm statistics among them
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4, msg=lambda said, name=name: name + said)


def configured(
    manifest_csv: Path, runs: Path, model: dict[str, Any], devices: int, augment: dict[str, Any] | None = None
) -> TrainConfig:
    return TrainConfig.read(
        {
            "data": {"name": "manifest", "path": str(manifest_csv), "batch_size": 8, "workers": 1},
            "frontend": {"name": "logmel", "crop_s": 0.5, "n_mels": 40},
            "model": model,
            "augment": augment or {"name": "none"},
            "trainer": {"accelerator": "cpu", "devices": devices, "max_epochs": 3},
            "logger": {"name": "none"},
            "runs": str(runs),
        }
    )


def test_another_rank_fails_with_a_line_of_its_own(elsewhere: Path, manifest_csv: Path, tmp_path: Path) -> None:
    frame = Manifest.read(manifest_csv).frame.rename(columns={"id": "path"}).assign(split="test")
    frame["label"] = frame["label"].map({0: "spoof", 1: "real"})
    frame["path"] = [str(manifest_csv.parent / path) for path in frame["path"]]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    frame.loc[9, "path"] = str(broken)  # in the second batch, which is for the second rank
    frame.to_csv(tmp_path / "broken.csv", index=False)
    data = {"name": "manifest", "path": str(tmp_path / "broken.csv"), "batch_size": 8, "scan": False}
    with pytest.raises(DataError, match=r"broken\.wav"):
        scored(elsewhere, data, 2)
    assert not torch.distributed.is_initialized()


def test_the_others_go_when_the_first_is_killed(manifest_csv: Path, tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, *TWO, "trainer.max_epochs=500"]
    process = start(words, tmp_path)
    children: list[int] = []

    def note(line: str) -> bool:
        children.extend(int(pid) for pid in ranks_below(process.pid))
        return line.startswith("epoch")

    assert process.stdout is not None
    assert any(note(line) for line in process.stdout)
    assert children
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in children):
        assert time.monotonic() < deadline, "another rank outlived the first"
        time.sleep(0.1)


def ranks_below(pid: int) -> list[str]:
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path(f"/proc/{pid}").exists() else False


@pytest.mark.slow
def test_a_sweep_on_two_devices_killed_inside_a_job_ends_like_an_undisturbed_one(
    manifest_csv: Path, dfad: Callable[..., Any], tmp_path: Path
) -> None:
    words = ["-m", "data=manifest", f"data.path={manifest_csv}", *SMALL, *TWO, "augment=light", "model.dropout=0.5"]
    words += ["seed=1,2", "trainer.max_epochs=3"]
    for home in ("whole", "killed"):
        (tmp_path / home).mkdir()
    whole = dfad("train", *words, cwd=tmp_path / "whole")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.count("epoch 3/3") == 2  # told by one rank only
    stop_after(start(words, tmp_path / "killed"), "epoch 2/3", signal.SIGKILL)
    again = dfad("train", *words, cwd=tmp_path / "killed")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("epoch 1/3") == 1
    one, other = (sorted((tmp_path / home / "runs").glob("cnn-*")) for home in ("whole", "killed"))
    assert [folder.name for folder in one] == [folder.name for folder in other]
    for first, second in zip(one, other, strict=True):
        for name in ("curves.csv", "scores/val.csv", "scores/test.csv", "metrics.json"):
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_sigterm_ends_all_ranks(manifest_csv: Path, tmp_path: Path) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, *TWO, "trainer.max_epochs=500"]
    process = start(words, tmp_path)
    said = stop_after(process, "epoch   2/500", signal.SIGTERM)
    assert process.returncode == 143, said
    assert "the same command goes on" in said
    assert "Traceback" not in said


def test_more_devices_than_there_are() -> None:
    with pytest.raises(ConfigError, match=r"this machine has \d+ cores?; use trainer\.devices="):
        accelerator_of(DeviceKnobs(accelerator="cpu", devices=100_000))


def test_a_batch_that_does_not_divide(manifest_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not divide by trainer\.devices=3; use data\.batch_size=6 or 9"):
        configured(manifest_csv, tmp_path, {"name": "cnn"}, 3)


def test_a_rank_that_fails_before_it_meets_the_others_is_not_waited_for() -> None:
    devices = DeviceKnobs(accelerator="cpu", devices=2)
    with pytest.raises(RuntimeError, match="unexpected keyword argument"), together(devices, "train", {"no": 1}):
        pytest.fail("it went on without the other rank")


def test_one_device_needs_no_other_process() -> None:
    with together(DeviceKnobs(accelerator="cpu"), "train", {}) as rank:
        assert rank is ALONE
        assert rank.environment == []


def test_norms_are_put_back_with_what_they_learned() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3))
    norm, names = network[1], list(network.state_dict())
    sync = SyncedNorms("cpu")
    sync.apply(network)
    assert network[1] is not norm
    assert list(network.state_dict()) == names
    network[1].running_mean += 1
    sync.revert(network)
    assert network[1] is norm
    assert torch.equal(norm.running_mean, torch.ones(3))


def norms_of_one_rank(rank: int, port: int) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    for affine in (True, False):
        torch.manual_seed(0)
        x = (2 + torch.randn(8, 5, 6, 7)).double().requires_grad_()
        upstream = torch.randn(8, 5, 6, 7).double()
        alone = nn.BatchNorm2d(5, affine=affine).double()
        if affine:
            nn.init.normal_(alone.weight)
            nn.init.normal_(alone.bias)
        synced = copy.deepcopy(nn.Sequential(alone))
        SyncedNorms("cpu").apply(synced)
        expected = alone(x)
        (expected * upstream).sum().backward()
        share = x.detach()[rank::2].clone().requires_grad_()
        found = synced(share)
        (found * upstream[rank::2]).sum().backward()
        torch.testing.assert_close(found, expected[rank::2])
        torch.testing.assert_close(share.grad, x.grad[rank::2])
        torch.testing.assert_close(synced[0].running_mean, alone.running_mean)
        torch.testing.assert_close(synced[0].running_var, alone.running_var)
        assert not synced[0].running_var.requires_grad
        for ours, theirs in zip(synced.parameters(), alone.parameters(), strict=True):
            torch.distributed.all_reduce(ours.grad)
            torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.slow
def test_norms_over_two_ranks_are_those_of_the_whole_batch() -> None:
    torch.multiprocessing.spawn(norms_of_one_rank, args=(free_port(),), nprocs=2)
