"""ResNet-18: torchvision's own network on one channel, its weights from a file, exactly the chosen stages trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from dfad.checkpoint import DetectorKnobs
from dfad.errors import ConfigError, RunError
from dfad.frontends import LogMelKnobs, RawKnobs
from dfad.networks.resnet18 import ResNet, ResNet18Knobs
from dfad.training.config import TrainerKnobs
from dfad.training.detectors import DETECTORS, ResNet18Detector

FRONTEND = LogMelKnobs(n_mels=40, crop_s=0.5)  # 40 bands, 51 frames


def knobs(**options: Any) -> ResNet18Knobs:
    return ResNet18Knobs.read({"name": "resnet18", **options})


def started(dtype: torch.dtype = torch.float32, **options: Any) -> ResNet:
    torch.manual_seed(0)
    network = knobs(**options).build(FRONTEND).to(dtype)
    knobs(**options).start(network)
    assert isinstance(network, ResNet)
    return network


def maps(clips: int = 2, **more: Any) -> Tensor:
    return torch.randn(clips, 1, 40, 51, generator=torch.Generator().manual_seed(0), **more)


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """Torchvision's network, running statistics of its own, in eval mode."""
    torch.manual_seed(1)
    network = torchvision.models.resnet18().train()
    network(torch.randn(4, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def weights(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(theirs.state_dict(), path)
    return path


def test_embeddings_equal_torchvisions_on_the_repeated_channel(theirs: Any, weights: Path) -> None:
    network = started(torch.float64, pretrained=str(weights)).eval()
    whole = torchvision.models.resnet18()
    whole.load_state_dict(theirs.state_dict())
    whole.fc = nn.Identity()
    x = maps(dtype=torch.float64)
    with torch.no_grad():
        expected = whole.double().eval()(x.repeat(1, 3, 1, 1))
        torch.testing.assert_close(network.pool(network.blocks(x)), expected, rtol=1e-9, atol=1e-9)


def test_weights_of_another_variant_are_told_apart(weights: Path) -> None:
    with pytest.raises(RunError, match=r"does not fit model\.variant=resnet34\n(.|\n)*it fits model\.variant=resnet18"):
        started(variant="resnet34", pretrained=str(weights))
    with pytest.raises(ConfigError, match="there is no such file; give imagenet, none or a file"):
        started(pretrained="gone.pth")


@pytest.mark.parametrize(
    ("options", "first"),
    [({}, 1), ({"pretrained": "imagenet"}, 6), ({"pretrained": "x", "unfreeze_from": 4}, 4), ({"unfreeze_from": 2}, 2)],
)
def test_exactly_the_chosen_stages_are_trained(options: dict[str, Any], first: int) -> None:
    assert knobs(**options).trained_from == first
    network = knobs(**options).build(FRONTEND).train()
    for number, block in enumerate(network.blocks, 1):
        assert all(parameter.requires_grad == (number >= first) for parameter in block.parameters())
        assert all(module.training == (number >= first) for module in block.modules())
    split = knobs(**options).split(network)
    assert (split is None) == (first == 1)
    if split:
        network.head[0].p = 0.0
        network.eval()
        torch.testing.assert_close(split[1](split[0](maps())), network(maps()), rtol=0, atol=0)


def test_gradients_pass_frozen_stages() -> None:
    network, x = knobs(unfreeze_from="none").build(FRONTEND), maps().requires_grad_()
    network(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().amax((1, 2, 3)).min() > 0
    assert all(parameter.grad is None for parameter in network.blocks.parameters())


def test_head_and_stages_learn_at_rates_of_their_own() -> None:
    described = DetectorKnobs(frontend=FRONTEND, model=knobs(unfreeze_from=5, lr=0.5, backbone_lr=0.25))
    detector = DETECTORS["resnet18"](described, TrainerKnobs())
    assert isinstance(detector, ResNet18Detector)
    rates = {id(p): group["lr"] for group in detector.parameter_groups() for p in group["params"]}
    network = detector.network
    assert isinstance(network, ResNet)
    expected = {id(p): 0.5 for p in network.head.parameters()} | {id(p): 0.25 for p in network.blocks[4].parameters()}
    assert rates == expected


def test_features_it_cannot_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="model=resnet18 needs a map of bands over frames, not frontend=raw"):
        knobs().build(RawKnobs())
    with pytest.raises(ConfigError, match=r"there are 24 bands: raise frontend\.n_mels \(now 24\)"):
        knobs().build(LogMelKnobs(n_mels=24))


def test_the_34_layers_are_there() -> None:
    network = knobs(variant="resnet34").bare()
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 36  # 33, and 3 of shortcuts
