"""What holds of every network: it learns, comes back from its checkpoint, passes gradients on, takes every head."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.frontends import FrontendKnobs, LogMelKnobs, RawKnobs
from dfad.losses import LOSSES
from dfad.networks import NETWORKS, NetworkKnobs
from dfad.networks.heads import Head
from dfad.robustness.budget import BUDGETS, on_grid
from dfad.robustness.gradient import fgsm
from dfad.robustness.victim import Victim
from dfad.scorer import load_scorer
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.scoring import SILENT
from tests import backbones

MAP, WAVE = LogMelKnobs(n_mels=32, crop_s=0.4), RawKnobs(crop_s=0.4)
HEARING: dict[str, FrontendKnobs] = dict.fromkeys(("rawnet2", "aasist", "ssl"), WAVE)  # all others take a map
SMALL: dict[str, list[dict[str, Any]]] = {  # options that make it quick; several where they make other networks
    "cnn": [{"channels": [4, 8]}],
    "lcnn": [{"width": 4, "hidden": 8}, {"width": 4, "hidden": 8, "pooling": "lstm", "norm": "published"}],
    "resnet18": [{"backbone_lr": 1e-4}],
    "vgg16": [{"variant": "vgg11", "pretrained": "none", "hidden": 8}],
    "rawnet2": [{"filters": 4, "taps": 33, "widths": [4, 8], "gru_layers": 2, "gru_width": 8, "hidden": 8}],
    "aasist": [{"filters": 12, "taps": 33, "widths": [4, 4, 8], "graph_width": 8, "joint_width": 8}],
    "ssl": [{"backbone": "", "hidden": 8, "unfreeze": "all", "freeze_convolutions": False, "backbone_dropout": 0.0}],
}
CASES = [(name, options) for name, cases in SMALL.items() for options in cases]
LARGE = ("resnet18", "vgg16")  # millions of weights, which two epochs write into two checkpoints
every_network = pytest.mark.parametrize(("name", "options"), CASES, ids=str, indirect=["options"])
HEADS = get_args(Head)


def test_none_is_forgotten() -> None:
    assert set(SMALL) == set(NETWORKS)


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for a published backbone."""
    pytest.importorskip("transformers")
    return backbones.write(tmp_path_factory.mktemp("backbones") / "wav2vec2")


@pytest.fixture
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options of a case, which may need a backbone."""
    given: dict[str, Any] = request.param
    return given | ({"backbone": str(request.getfixturevalue("backbone"))} if "backbone" in given else {})


def hearing(name: str) -> FrontendKnobs:
    return HEARING.get(name, MAP)


def knobs(name: str, options: dict[str, Any]) -> NetworkKnobs:
    return NETWORKS[name].read({"name": name, **options}).ready()


def waves(clips: int = 4) -> Tensor:
    return 0.1 * torch.randn(clips, MAP.crop_samples, generator=torch.Generator().manual_seed(0))


def build(name: str, options: dict[str, Any], head: Head = "linear") -> torch.nn.Module:
    torch.manual_seed(0)
    return knobs(name, options).build(hearing(name), head)


def configured(manifest_csv: Path, runs: Path, name: str, options: dict[str, Any], **more: Any) -> TrainConfig:
    values = {
        "data": {"name": "manifest", "path": str(manifest_csv), "batch_size": 8},
        "frontend": hearing(name).plain(),
        "model": {"name": name, **options},
        "augment": {"name": "none"},
        "trainer": {"accelerator": "cpu", "max_epochs": 2},
        "eval": {"resamples": 0},
        "runs": str(runs),
    }
    return TrainConfig.read(values | more)


@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(*case, marks=pytest.mark.slow if case[0] in LARGE else ()) for case in CASES],
    ids=str,
    indirect=["options"],
)
def test_two_epochs_give_a_checkpoint_with_the_same_scores(
    name: str, options: dict[str, Any], manifest_csv: Path, tmp_path: Path
) -> None:
    run = train(configured(manifest_csv, tmp_path, name, options), SILENT).run
    before = DetectorKnobs(frontend=hearing(name), model=knobs(name, options)).network().state_dict()
    trained = Checkpoint.read(run.best).network().state_dict()
    assert before.keys() == trained.keys()
    scorer, table = load_scorer(run.folder), ScoreTable.read(run.folder / "scores" / "test.csv").frame
    for clip, score in zip(table["id"][:4], table["score"][:4], strict=True):
        assert scorer(manifest_csv.parent / clip, first=True).raw_score == pytest.approx(score, abs=1e-5)


@every_network
@pytest.mark.parametrize("head", HEADS)
def test_every_head_gives_what_its_losses_take(name: str, options: dict[str, Any], head: Head) -> None:
    network, features = build(name, options, head).train(), hearing(name).build()(waves())
    outputs, labels = network(features), torch.tensor([1, 0, 1, 0])
    assert outputs.shape == (4,)
    if head != "linear":
        assert outputs.abs().max() <= (1 if head == "cosine" else 2)
    for loss in (LOSSES[loss].read({"name": loss}) for loss in LOSSES if LOSSES[loss].head == head):
        network.zero_grad()
        loss(network(features), labels, torch.ones(4)).backward()
        slopes = [parameter.grad for parameter in network.parameters() if parameter.requires_grad]
        assert all(slope is not None and slope.isfinite().all() for slope in slopes)
    assert network(features[:1]).shape == network.eval()(features[:1]).shape == (1,)


@every_network
def test_gradients_reach_the_waveform_and_an_attack_follows_them(name: str, options: dict[str, Any]) -> None:
    network, wave = build(name, options), on_grid(waves())
    network.train()(hearing(name).build()(waves(8)))  # running statistics of its own
    victim, label = Victim(hearing(name).build(), network), torch.tensor([1, 0, 1, 0])
    score, slope = victim.slope(wave)
    assert slope.isfinite().all()
    assert slope.abs().amax(1).min() > 0
    attacked = fgsm(victim, wave, label, BUDGETS["linf"](wave, 0.002))
    push = (victim.query(attacked) - score) * (1 - 2 * label)
    assert push.mean() > 0  # away from the label
    torch.testing.assert_close(victim.query(wave), score, atol=1e-6, rtol=1e-5)


@pytest.mark.gpu
@every_network
def test_gradients_reach_the_waveform_on_a_gpu(name: str, options: dict[str, Any]) -> None:
    network, wave = build(name, options).to("cuda"), on_grid(waves()).to("cuda")
    slope = Victim(hearing(name).build().to("cuda"), network).slope(wave)[1]
    assert slope.isfinite().all()
    assert slope.abs().amax(1).min() > 0


@every_network
def test_a_score_does_not_depend_on_the_neighbours(name: str, options: dict[str, Any]) -> None:
    network, features = build(name, options), hearing(name).build()(waves(5))
    network.train()(features)
    with torch.inference_mode():
        together, alone = network.eval()(features), torch.cat([network(clip[None]) for clip in features])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@every_network
def test_two_devices_learn_what_one_learns(
    name: str, options: dict[str, Any], manifest_csv: Path, tmp_path: Path
) -> None:
    options = options | {"dropout": 0.0, "lr": 1e-4}  # dropout draws by rank
    weights = []
    for devices in (1, 2):
        trainer = {"accelerator": "cpu", "max_epochs": 2, "devices": devices}
        run = train(configured(manifest_csv, tmp_path, name, options, trainer=trainer), SILENT).run
        weights.append(torch.load(run.last, weights_only=True)["state_dict"])
    assert weights[0].keys() == weights[1].keys()
    for key in weights[0]:
        torch.testing.assert_close(
            weights[0][key], weights[1][key], rtol=1e-3, atol=1e-3, msg=lambda m, key=key: key + m
        )
