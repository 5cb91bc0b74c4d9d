"""Copy synthesis in training: which copies an epoch has, that they are spoof, and alike on any workers and devices."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dfad.audio import LIMITS, fit, load
from dfad.augment import AugmentKnobs, Vocoded
from dfad.checkpoint import Checkpoint
from dfad.clips import Manifest
from dfad.corpora import CORPORA, CorpusKnobs
from dfad.draws import Draws
from dfad.effects.vocoders import VOCODERS
from dfad.errors import ConfigError, DataError
from dfad.frontends import FRONTENDS
from dfad.labels import Label
from dfad.networks import NETWORKS
from dfad.roots import Roots
from dfad.training.clip_copies import clip_copies
from dfad.training.config import TrainConfig
from dfad.training.dataset import ClipDataset
from dfad.training.fit import train
from dfad.training.frozen import keep_frozen
from dfad.training.sampling import Pick, TrainBatches
from dfad.training.scoring import SILENT
from dfad.training.shares import cells_of, copies_by_part, drawn_by_class
from tests.conftest import ROOT, SMALL
from tests.test_resume import only_run, start, stop_after
from tests.test_shares import SIZES, WEIGHTS, corpus, mix

QUICK = settings(deadline=None, derandomize=True, database=None, max_examples=25)


def epoch(
    manifest: Manifest, data: Any, copies: float, number: int = 0, *, rank: int = 0, world: int = 1, seed: int = 3
) -> list[Pick]:
    batches = TrainBatches(
        manifest.rows("train"),
        batch_size=7,
        seed=seed,
        epoch=lambda: number,
        cells=cells_of(manifest, data, copies),
        copies=sum(copies_by_part(manifest, data, copies).values()),
        rank=rank,
        world=world,
    )
    found = list(batches)
    assert len(found) == len(batches)
    return list(chain.from_iterable(found))


def alone(balance: str = "loss") -> CorpusKnobs:
    """A corpus that is no mix."""
    return CORPORA["demo"].read({"balance": balance})


# an epoch


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("balance", ["loss", "none"])
def test_copies_come_on_top_of_every_clip_once(p: float, balance: str) -> None:
    manifest, data = corpus((20, 30)), alone(balance)
    found = epoch(manifest, data, p)
    assert sorted(pick.row for pick in found if not pick.copied) == manifest.rows("train").tolist()
    copied = [pick.row for pick in found if pick.copied]
    assert len(copied) == round(20 * p)
    assert len(set(copied)) == len(copied)
    assert (manifest.labels[copied] == Label.BONA_FIDE).all()


def test_in_time_every_bona_fide_clip_is_copied_as_often_as_asked() -> None:
    manifest, data = corpus((20, 30)), alone()
    many = [pick.row for number in range(200) for pick in epoch(manifest, data, 0.25, number) if pick.copied]
    times = Counter(many)
    assert len(times) == 20
    assert all(abs(count / 200 - 0.25) < 4 * (0.25 * 0.75 / 200) ** 0.5 for count in times.values())


def test_without_copies_an_epoch_is_what_it_was() -> None:
    manifest = corpus((20, 30), (7, 2))
    for data in (mix([1, 1]), mix([1, 3]), mix([1, 3], balance="sampler")):
        plain = TrainBatches(
            manifest.rows("train"), batch_size=7, seed=3, epoch=lambda: 0, cells=cells_of(manifest, data)
        )
        assert epoch(manifest, data, 0.0) == list(chain.from_iterable(plain))


@QUICK
@given(sizes=SIZES, weights=WEIGHTS, p=st.floats(0.05, 1), balance=st.sampled_from(["none", "sampler"]))
def test_every_part_has_its_copies(sizes: list[tuple[int, int]], weights: list[float], p: float, balance: str) -> None:
    manifest, data = corpus(*sizes), mix(weights[: len(sizes)], balance=balance)
    total = sum(map(sum, sizes))
    amounts = [weight * sum(both) for weight, both in zip(weights, sizes, strict=False)]
    assume(min(total * amount / sum(amounts) for amount in amounts) >= 1)
    try:
        extra = copies_by_part(manifest, data, p)
    except DataError:
        assume(False)
    found = epoch(manifest, data, p)
    assert len(found) == total + sum(extra.values())
    frame = manifest.frame.iloc[[pick.row for pick in found]].assign(
        copied=[pick.copied for pick in found], draw=[pick.draw for pick in found]
    )
    assert not frame.duplicated(["id", "draw"]).any()  # every clip and copy is drawn afresh
    assert (frame.loc[frame["copied"], "label"] == Label.BONA_FIDE).all()
    heard = frame["label"].astype(int) * ~frame["copied"]
    if balance == "none":
        assert frame[frame["copied"]]["corpus"].value_counts().to_dict() == {k: n for k, n in extra.items() if n}
    else:
        both = heard.groupby(frame["corpus"]).agg(["sum", "size"])
        assert (both["size"] - 2 * both["sum"]).abs().max() <= 1
        assert abs(len(heard) - 2 * heard.sum()) <= 1


@pytest.mark.parametrize("balance", ["loss", "sampler"])
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_an_epoch_with_copies(balance: str, world: int) -> None:
    manifest, data = corpus((21, 30), (8, 3)), mix([1, 2], balance=balance)
    whole = epoch(manifest, data, 0.5)
    assert whole == epoch(manifest, data, 0.5)
    assert whole != epoch(manifest, data, 0.5, seed=4)
    shares = [epoch(manifest, data, 0.5, rank=rank, world=world) for rank in range(world)]
    count = len(whole) // world * world
    assert [shares[at % world][at // world] for at in range(count)] == whole[:count]


@pytest.mark.parametrize("balance", ["loss", "sampler"])
def test_classes_weigh_alike_with_copies(balance: str) -> None:
    manifest, data = corpus((40, 10), (10, 60)), mix([2, 1], balance=balance)
    counts = drawn_by_class(manifest, cells_of(manifest, data, 1.0))
    found = [pick for number in range(20) for pick in epoch(manifest, data, 1.0, number)]
    real = np.mean([manifest.labels[pick.row] * (not pick.copied) for pick in found])
    assert counts[1] / counts.sum() == pytest.approx(real, abs=0.02)


def test_copies_and_spoof_clips_share_their_half_in_proportion() -> None:
    manifest, data = corpus((40, 20)), alone("sampler")
    found = epoch(manifest, data, 1.0)
    assert len(found) == 100
    kinds = Counter("copy" if pick.copied else str(Label(manifest.labels[pick.row])) for pick in found)
    assert kinds["bona-fide"] == 50
    assert kinds["copy"] == pytest.approx(50 * 40 / 60, abs=1)


@pytest.mark.parametrize("balance", ["loss", "sampler"])
def test_real_speech_alone_is_enough(balance: str) -> None:
    manifest, data = corpus((10, 10), (12, 8)), mix([1, 1], balance=balance)
    frame = manifest.frame.assign(
        split=manifest.frame["split"].mask((manifest.labels == 0) & (manifest.frame["split"] == "train"), "val")
    )
    real = Manifest(frame, Roots({}))
    found = epoch(real, data, 1.0)
    assert Counter(pick.copied for pick in found) == {True: 22, False: 22}


def test_too_few_clips_for_a_single_copy_are_told() -> None:
    with pytest.raises(DataError, match=r"augment.vocoded.p=0.01 gives no copy of the 20 bona fide clips"):
        copies_by_part(corpus((20, 30)), alone(), 0.01)


# options


def test_wrong_options_are_told() -> None:
    with pytest.raises(ConfigError, match=r"vocoders.*no vocoder 'lpx'; did you mean 'lpc'\?"):
        AugmentKnobs.read({"vocoded": {"vocoders": ["lpx"]}}, at="augment")
    with pytest.raises(ConfigError, match="stands there twice"):
        AugmentKnobs.read({"vocoded": {"vocoders": ["lpc", "lpc"]}}, at="augment")
    with pytest.raises(ConfigError, match="at least 1"):
        AugmentKnobs.read({"vocoded": {"vocoders": []}}, at="augment")


def test_the_preset_is_light_with_every_vocoder() -> None:
    light, vocoded = (
        AugmentKnobs.read(yaml.safe_load((ROOT / f"conf/augment/{name}.yaml").read_text()))
        for name in ("light", "vocoded")
    )
    assert vocoded.vocoded is not None
    assert vocoded.vocoded.vocoders == tuple(VOCODERS)
    assert vocoded.model_copy(update={"name": "light", "vocoded": None}) == light
    assert "vocoded" not in light.identity()  # runs keep their names
    assert vocoded.identity()["vocoded"]["p"] == 0.5


def test_every_vocoder_is_drawn_equally_often() -> None:
    knobs = Vocoded(vocoders=("lpc", "griffin-lim", "sinusoidal", "residual-vq"))
    names = Counter(knobs.vocoder(Draws(0, 0, torch.tensor([row]), torch.tensor([-1]))) for row in range(1200))
    assert set(names) == set(knobs.vocoders)
    assert all(abs(count - 300) < 75 for count in names.values())


def test_nothing_frozen_is_kept_beside_copies(manifest_csv: Path) -> None:
    network = NETWORKS["vgg16"].read({"name": "vgg16", "pretrained": "none"})
    config = configured(manifest_csv, manifest_csv.parent, n_mels=40, augment={"vocoded": {"p": 1.0}})
    assert config.augment.random
    said: list[str] = []
    split = network.split(network.build(config.frontend)) or (torch.nn.Identity(), torch.nn.Identity())
    screen = type(SILENT)(said.append, SILENT.watch, False)
    assert keep_frozen(config, Manifest.read(manifest_csv), "", split, "run", screen) == []
    assert "hear other clips in every epoch" in said[0]


# clips


def test_a_copy_is_the_spoofed_clip_wherever_it_is_made(manifest_csv: Path) -> None:
    manifest, frontend = Manifest.read(manifest_csv), FRONTENDS["logmel"].read({"name": "logmel", "crop_s": 0.5})
    augment = AugmentKnobs.read({"vocoded": {"p": 1.0}})
    copies = clip_copies(augment, frontend, 5)
    assert copies is not None
    dataset = ClipDataset(manifest, frontend, LIMITS, copies=copies)
    picks = [Pick(0, 0, 0.3, 2), Pick(0, -1, 0.3, 2), Pick(0, -2, 0.3, 2), Pick(1, 0, 0.3, 2)]
    batch = dataset.collate([dataset[pick] for pick in picks])
    assert batch.label.tolist() == [1, 0, 0, 0]
    alone = dataset.collate([dataset[picks[2]], dataset[picks[1]]])
    assert torch.equal(alone.wave, batch.wave[[2, 1]])
    crop = load(manifest.path(0), sample_rate=16000, crop_s=0.5, position=0.3)
    assert np.array_equal(batch.wave[0].numpy(), fit(crop, 8000))
    draws = Draws(5, 2, torch.tensor([0]), torch.tensor([-1]))
    name, seed = copies.vocoder(picks[1]), int(draws.bits("vocoder seed")[0]) >> 1 & 2**31 - 1
    expected = VOCODERS[name](torch.from_numpy(crop)[None], 16000, seed)[0]
    torch.testing.assert_close(batch.wave[1], expected / expected.abs().max().clamp_min(1.0))


# real trainings


def configured(
    manifest_csv: Path, runs: Path, *, devices: int = 1, workers: int = 0, n_mels: int = 24, **more: Any
) -> TrainConfig:
    return TrainConfig.read(
        {
            "data": {"name": "manifest", "path": str(manifest_csv), "batch_size": 6, "workers": workers},
            "frontend": {"name": "logmel", "crop_s": 0.5, "n_mels": n_mels},
            "model": {"name": "cnn", "channels": [4, 8], "dropout": 0.0},
            "augment": {"vocoded": {"p": 0.5}, "noise": {"p": 0.5}},
            "trainer": {"accelerator": "cpu", "devices": devices, "max_epochs": 2},
            "eval": {"resamples": 50},
            "logger": {"name": "none"},
            "runs": str(runs),
            **more,
        }
    )


def test_two_devices_and_two_workers_learn_what_one_learns(manifest_csv: Path, tmp_path: Path) -> None:
    weights = []
    for devices, workers in ((1, 0), (1, 2), (2, 1)):
        config = configured(manifest_csv, tmp_path / f"{devices}{workers}", devices=devices, workers=workers)
        done = train(config, SILENT)
        weights.append(torch.load(done.run.last, weights_only=True)["state_dict"])
    assert set(VOCODERS) <= set(Checkpoint.read(done.run.best).knobs.attacks)
    alone, workers_too, both = weights
    assert all(torch.equal(alone[name], workers_too[name]) for name in alone)
    for name in alone:
        torch.testing.assert_close(alone[name], both[name], rtol=1e-3, atol=1e-4, msg=lambda said, n=name: n + said)


@pytest.mark.slow
def test_a_killed_run_with_copies_ends_bit_for_bit_alike(
    manifest_csv: Path, dfad: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    words = ["data=manifest", f"data.path={manifest_csv}", *SMALL, "augment=vocoded", "data.balance=sampler"]
    words += ["data.workers=1"]
    for home in ("whole", "killed"):
        (tmp_path / home).mkdir()
    whole = dfad("train", *words, cwd=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert "an epoch has 6 spoofed copies of bona fide clips more, by griffin-lim, lpc" in whole.stdout
    process = start(words, tmp_path / "killed")
    stop_after(process, "epoch 2/4", signal.SIGKILL)
    again = dfad("train", *words, cwd=tmp_path / "killed")
    assert again.returncode == 0, again.stderr
    one, other = only_run(tmp_path / "whole"), only_run(tmp_path / "killed")
    assert one.name == other.name
    for name in ("curves.csv", "scores/val.csv", "scores/test.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_detector_learns_from_real_speech_and_copies_alone(
    manifest_csv: Path, dfad: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    frame = pd.read_csv(manifest_csv)
    frame = frame[(frame["split"] != "train") | (frame["label"] == "bona-fide")]
    frame["path"] = [str(manifest_csv.parent / path) for path in frame["path"]]
    frame.to_csv(tmp_path / "real.csv", index=False)
    words = ["data=manifest", "data.path=real.csv", *SMALL, "trainer.max_epochs=1"]
    refused = dfad("train", *words, cwd=tmp_path)
    assert refused.returncode == 3
    assert "split 'train' has 12 bona-fide and 0 spoof clips" in refused.stderr
    done = dfad("train", *words, "augment=vocoded", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train 12 + 0" in done.stdout
    assert "EER, attacks not seen in training" in done.stdout
