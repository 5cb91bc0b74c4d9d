"""Self-supervised backbones: the hidden states of `transformers`, and exactly what was asked for is trained."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.frontends import RawKnobs
from dfad.networks.back_ends import BACK_ENDS, AttentivePool, LayerSum
from dfad.networks.ssl import SSL, SSLKnobs
from dfad.robustness.budget import BUDGETS, on_grid
from dfad.robustness.gradient import fgsm
from dfad.robustness.victim import Victim
from dfad.scorer import load_scorer
from dfad.training.config import TrainConfig
from dfad.training.detectors import DETECTORS, SSLDetector
from dfad.training.fit import train
from dfad.training.scoring import SILENT
from tests import backbones

pytest.importorskip("transformers")
FRONTEND = RawKnobs(crop_s=0.5)
LAYERS = 3
WIDTHS = {"none": LAYERS, 1: 2, 2: 1, "all": 0}  # unfreeze → layers that stay as they are
every_kind = pytest.mark.parametrize("kind", list(backbones.KINDS))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A backbone of every kind."""
    home = tmp_path_factory.mktemp("backbones")
    return {kind: backbones.write(home / kind, kind) for kind in backbones.KINDS}


def ready(folder: Path, **options: Any) -> SSLKnobs:
    return SSLKnobs.read({"backbone": str(folder), "hidden": 8, **options}).ready()


def build(folder: Path, **options: Any) -> SSL:
    """A network with the weights of the folder."""
    knobs = ready(folder, **options)
    torch.manual_seed(0)
    network = knobs.build(FRONTEND)
    knobs.start(network)
    return network


def waves(clips: int = 2, samples: int = 8000) -> Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0)) + 0.02


# --- what it computes ----------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("unfreeze", list(WIDTHS))
def test_hidden_states_are_those_of_transformers(kind: str, unfreeze: Any, folders: dict[str, Path]) -> None:
    encoder = build(folders[kind], unfreeze=unfreeze, normalise=False).eval().encoder
    with torch.no_grad():
        theirs = backbones.model_of(kind)(waves(), output_hidden_states=True)
        ours = encoder(waves())
    torch.testing.assert_close(ours[:, :-1], torch.stack(theirs.hidden_states[:-1], 1), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(ours[:, -1], theirs.last_hidden_state, rtol=1e-5, atol=2e-6)


def test_clips_are_normalised_as_the_feature_extractor_does(folders: dict[str, Path]) -> None:
    from transformers import Wav2Vec2FeatureExtractor

    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)(waves().numpy(), sampling_rate=16000, return_tensors="pt")
    plain, normalised = (build(folders["xlsr"], normalise=choice).encoder for choice in (False, None))
    with torch.no_grad():
        torch.testing.assert_close(normalised(waves()), plain(theirs.input_values), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(normalised(3 * waves() + 0.1), normalised(waves()), rtol=1e-3, atol=1e-4)


def test_the_sum_over_layers_begins_as_their_mean_and_can_choose_one() -> None:
    layers, states = LayerSum(4), torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(layers(states), states.mean(1))
    with torch.no_grad():
        layers.weight[2] = 100
    torch.testing.assert_close(layers(states), states[:, 2])


def test_an_even_attention_pools_mean_and_deviation() -> None:
    pool, frames = AttentivePool(6), torch.randn(2, 50, 6)
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.zero_()
        expected = torch.cat([frames.mean(1), frames.var(1, correction=0).add(1e-5).sqrt()], 1)
        torch.testing.assert_close(pool(frames), expected)
        pool.attention[0].weight[0, 0], pool.attention[2].weight[0, 0] = 100, 100  # to where the first channel is > 0
        frames[..., 0] = -1
        frames[:, 7, 0] = 1
        torch.testing.assert_close(pool(frames)[:, :6], frames[:, 7])


@pytest.mark.parametrize("back_end", list(BACK_ENDS))
@pytest.mark.parametrize("head", ["linear", "cosine", "cosines"])
def test_every_back_end_takes_every_last_layer(back_end: str, head: Any, folders: dict[str, Path]) -> None:
    network = ready(folders["wav2vec2"], back_end=back_end).build(FRONTEND, head)
    network(waves(3)).square().sum().backward()
    idle = {p for name, p in network.named_parameters() if ".idle." in name}  # of AASIST's published weights
    learning = [p for part in (network.sum, network.back_end) for p in part.parameters() if p not in idle]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)
    network.eval()
    with torch.no_grad():
        together, alone = network(waves(3)), torch.cat([network(wave[None]) for wave in waves(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


# --- what is frozen, and what is trained ---------------------------------------------------------


@every_kind
@pytest.mark.parametrize("unfreeze", list(WIDTHS))
def test_what_is_frozen_is_the_same_in_training_bit_for_bit(kind: str, unfreeze: Any, folders: dict[str, Path]) -> None:
    knobs = ready(folders[kind], unfreeze=unfreeze, backbone_dropout=0.5, layer_drop=0.5, dropout=0.0)
    network = knobs.build(FRONTEND)
    knobs.start(network)
    fresh = network.encoder(waves())  # nothing has set a mode yet
    assert torch.equal(fresh, network.eval().encoder(waves())) == (unfreeze == "none")
    parts = knobs.split(network)
    assert parts is not None
    frozen, rest = parts
    scored = network.eval()(waves())
    evaluated, trained = frozen.eval()(waves()), None
    for _ in range(3):
        network.train()
        trained = frozen(waves())
        assert torch.equal(trained, evaluated)
    assert torch.equal(rest.eval()(evaluated), scored)
    assert torch.equal(network.train()(waves()), scored) == (unfreeze == "none")  # dropout elsewhere


@pytest.mark.parametrize("unfreeze", list(WIDTHS))
def test_exactly_what_was_asked_for_is_trained(unfreeze: Any, folders: dict[str, Path]) -> None:
    network = build(folders["xlsr"], unfreeze=unfreeze).train()
    network(waves()).sum().backward()
    learning = {name for name, tensor in network.encoder.pretrained().items() if _moves(network, tensor)}
    everything = set(network.encoder.pretrained())
    convolutions = {name for name in everything if name.startswith("feature_extractor.")}
    layers = {name for name in everything for n in range(WIDTHS[unfreeze], LAYERS) if f"encoder.layers.{n}." in name}
    last = {name for name in everything if name.startswith("encoder.layer_norm.")}
    wanted = {"none": set(), "all": everything - convolutions}.get(unfreeze, layers | last)
    assert learning == wanted
    assert all(p.grad is not None for part in (network.sum, network.back_end) for p in part.parameters())


def _moves(network: SSL, tensor: Tensor) -> bool:
    parameter = next(p for p in network.parameters() if p.data_ptr() == tensor.data_ptr())
    assert parameter.requires_grad == (parameter.grad is not None)
    return parameter.requires_grad


def test_the_convolutions_are_trained_when_asked(folders: dict[str, Path]) -> None:
    knobs = ready(folders["hubert"], unfreeze="all", freeze_convolutions=False)
    network = knobs.build(FRONTEND).train()
    assert knobs.split(network) is None
    network(waves()).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_gradients_reach_the_waveform_through_a_frozen_backbone(folders: dict[str, Path]) -> None:
    network, wave = build(folders["wavlm"]).train(), waves().requires_grad_()
    network(wave).sum().backward()
    assert wave.grad is not None
    assert wave.grad.abs().amax(1).min() > 0
    assert all(p.grad is None for p in network.encoder.parameters())


def test_a_dropped_layer_hands_on_what_it_got_in_training_only(folders: dict[str, Path]) -> None:
    network = build(folders["hubert"], unfreeze=2, layer_drop=0.999999, backbone_dropout=0.0)
    dropped, whole = network.train().encoder(waves()), network.eval().encoder(waves())
    assert torch.equal(dropped[:, 2], dropped[:, 1])
    assert torch.equal(dropped[:, :2], whole[:, :2])
    assert not torch.equal(whole[:, 2], whole[:, 1])


def test_every_layer_learns_slower_than_the_one_above(folders: dict[str, Path]) -> None:
    knobs = ready(folders["xlsr"], unfreeze="all", freeze_convolutions=False, lr=1.0, backbone_lr=0.1, layer_decay=0.5)
    detector = SSLDetector(DetectorKnobs(frontend=FRONTEND, model=knobs))
    assert DETECTORS["ssl"] is SSLDetector
    groups = list(detector.parameter_groups())
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(detector.network.parameters()))
    network = detector.network
    assert isinstance(network, SSL)
    for name, tensor in network.encoder.pretrained().items():
        parameter = next(p for p in network.parameters() if p.data_ptr() == tensor.data_ptr())
        top_down = {"layers.2.": 0, "encoder.layer_norm": 0, "layers.1.": 1, "layers.0.": 2}
        depth = next((depth for part, depth in top_down.items() if part in name and "conv" not in name), 3)
        assert rates[id(parameter)] == pytest.approx(0.1 * 0.5**depth), name
    assert {rates[id(p)] for part in (network.sum, network.back_end) for p in part.parameters()} == {1.0}


# --- the whole path ------------------------------------------------------------------------------


def config(manifest_csv: Path, runs: Path, folder: Path, **model: Any) -> TrainConfig:
    return TrainConfig.read(
        {
            "data": {"name": "manifest", "path": str(manifest_csv), "batch_size": 8},
            "frontend": {"name": "raw", "crop_s": 0.5},
            "model": {"name": "ssl", "backbone": str(folder), "hidden": 8, **model},
            "augment": {"name": "none"},
            "trainer": {"accelerator": "cpu", "max_epochs": 2},
            "eval": {"resamples": 50},
            "runs": str(runs),
        }
    )


class _Killed(Callback):
    """Ends a training after its first epoch, as a power cut does."""

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt


def weights(path: Path) -> dict[str, Tensor]:
    return dict(torch.load(path, weights_only=True)["state_dict"])


@pytest.mark.parametrize(("kind", "unfreeze"), [("wav2vec2", "all"), ("hubert", "none"), ("wavlm", 1)])
def test_a_run_goes_on_bit_for_bit_and_is_scored_and_attacked_without_its_backbone(
    kind: str, unfreeze: Any, manifest_csv: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    options = {"unfreeze": unfreeze, "backbone_lr": 1e-3, "layer_drop": 0.2}
    mine = shutil.copytree(folders[kind], tmp_path / "mine")
    whole = train(config(manifest_csv, tmp_path / "whole", folders[kind], **options), SILENT).run
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(config(manifest_csv, tmp_path / "cut", mine, **options), SILENT, [_Killed()])
    cut = train(config(manifest_csv, tmp_path / "cut", mine, **options), SILENT).run
    assert cut.folder.name == whole.folder.name  # named by what is in the folder, not by where it lies
    one, other = weights(whole.last), weights(cut.last)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (whole.folder / "scores" / "test.csv").read_bytes() == (cut.folder / "scores" / "test.csv").read_bytes()

    shutil.rmtree(mine)  # a checkpoint holds all that it needs
    scorer = load_scorer(cut.folder)
    wave = waves(4)
    victim = Victim(scorer.frontend, scorer.network)
    label = torch.tensor([1, 0, 1, 0])
    attacked = fgsm(victim, wave, label, BUDGETS["linf"](on_grid(wave), 0.001))
    push = torch.tensor([-1.0, 1.0, -1.0, 1.0])
    assert (push * (victim.query(attacked) - victim.query(on_grid(wave))) > 0).all()


def test_a_checkpoint_is_loaded_without_network_or_frameworks(
    manifest_csv: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    run = train(config(manifest_csv, tmp_path, folders["wavlm"]), SILENT).run
    about = Checkpoint.read(run.best).knobs.model
    assert isinstance(about, SSLKnobs)
    assert about.architecture is not None
    assert about.architecture.model_type == "wavlm"
    assert about.normalise is True
    clip = next(manifest_csv.parent.glob("test-spoof-*.wav"))
    code = (
        "import socket, sys\n"
        "socket.socket.connect = None\n"
        f"import dfad; print(dfad.load({str(run.folder)!r})({str(clip)!r}).raw_score)\n"
        "print({'lightning', 'hydra', 'omegaconf', 'wandb'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    score, loaded = done.stdout.splitlines()
    assert float(score) == pytest.approx(load_scorer(run.folder)(clip).raw_score, abs=1e-6)
    assert loaded == "set()"
    assert done.stderr == ""


def test_outputs_of_a_frozen_backbone_are_kept_and_change_nothing(
    manifest_csv: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    results = []
    for keep in (True, False):
        knobs = config(manifest_csv, tmp_path / str(keep), folders["hubert"])
        knobs = knobs.model_copy(update={"trainer": knobs.trainer.model_copy(update={"keep_frozen": keep})})
        results.append(weights(train(knobs, SILENT).run.last))
        assert (tmp_path / str(keep) / ".frozen").exists() == keep
    one, other = results
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "unfreeze"), [("wav2vec2", "all"), ("wavlm", 2), ("xlsr", "none")])
def test_two_devices_learn_what_one_learns(
    kind: str, unfreeze: Any, manifest_csv: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    found = []
    for devices in (1, 2):
        knobs = config(
            manifest_csv, tmp_path / str(devices), folders[kind],
            unfreeze=unfreeze, backbone_lr=1e-3, backbone_dropout=0.0, dropout=0.0,
        )  # fmt: skip
        values = knobs.plain()
        values["trainer"]["devices"] = devices
        found.append(weights(train(TrainConfig.read(values), SILENT).run.last))
    one, two = found
    assert one.keys() == two.keys()
    for name in one:
        if not name.endswith("k_proj.bias"):  # a softmax does not see it: its gradient is rounding, which Adam enlarges
            torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4, msg=lambda said, n=name: n + said)
