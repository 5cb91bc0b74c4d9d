"""The convolutional network builds with any option and works on maps of any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfad.errors import ConfigError
from dfad.frontends import FRONTENDS, LogMelKnobs, RawKnobs
from dfad.networks import NETWORKS
from dfad.networks.cnn import CNN, CNNKnobs

OPTIONS = [
    {},
    {"channels": [8]},
    {"channels": [3, 7, 13]},
    {"kernel_size": 1},
    {"kernel_size": 15},
    {"convolutions": 2},
    *({"activation": name} for name in ("relu", "leaky_relu", "gelu", "silu")),
    *({"norm": name} for name in ("batch", "group", "none")),
    *({"norm": name, "channels": [8] * 9} for name in ("batch", "group", "none")),
    *({"pool": name} for name in ("max", "avg", "none")),
    *({"head_pool": name, "head": [6]} for name in ("mean", "max", "mean_std")),
    {"head": [32, 16]},
    {"dropout": 0.0},
    {"channels_last": False},
]
SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (80, 201), (257, 33)]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def build(**options: object) -> CNN:
    torch.manual_seed(0)
    return CNNKnobs.read({"name": "cnn", "channels": [8, 16, 8], **options}).build(LogMelKnobs())


def maps(clips: int, bands: int = 40, frames: int = 51) -> Tensor:
    return torch.randn(clips, 1, bands, frames, generator=torch.Generator().manual_seed(0))


@every_option
@pytest.mark.parametrize(("bands", "frames"), SIZES)
def test_every_option_trains_on_any_map(options, bands, frames):
    network, features = build(**options).train(), maps(2, bands, frames).requires_grad_()
    logits = network(features)
    logits.square().sum().backward()
    assert logits.shape == (2,)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@every_option
@pytest.mark.parametrize(("bands", "frames"), SIZES)
def test_a_lone_clip_can_be_trained_on_and_scored(options, bands, frames):
    network = build(**options)
    trained = network.train()(maps(1, bands, frames))
    trained.sum().backward()
    assert trained.shape == network.eval()(maps(1, bands, frames)).shape == (1,)
    assert all(p.isfinite().all() for p in network.state_dict().values())


@every_option
def test_the_gradient_reaches_the_input(options):
    features = maps(2).requires_grad_()
    build(**options).eval()(features).sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert features.grad.abs().amax((1, 2, 3)).min() > 0


@every_option
def test_a_score_does_not_depend_on_the_neighbours(options):
    network = build(**options)
    network.train()(maps(8))  # running statistics of their own
    with torch.inference_mode():
        together, alone = network.eval()(maps(8)), torch.cat([network(clip[None]) for clip in maps(8)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("head_pool", ["mean", "max", "mean_std"])
def test_the_memory_layout_does_not_matter(norm, head_pool):
    options = {"norm": norm, "head_pool": head_pool, "dropout": 0.0}
    networks = [build(channels_last=choice, **options) for choice in (True, False)]
    networks[1].load_state_dict(networks[0].state_dict())
    trained = [network.train()(maps(4)) for network in networks]
    scored = [network.eval()(maps(4)) for network in networks]
    torch.testing.assert_close(*trained, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(*scored, atol=1e-5, rtol=1e-5)


def test_scoring_is_repeatable_and_training_drops_out():
    network = build(dropout=0.5).eval()
    assert torch.equal(network(maps(3)), network(maps(3)))
    network.train()
    assert not torch.equal(network(maps(3)), network(maps(3)))


def test_one_value_per_channel_leaves_the_statistics_alone():
    network = build(channels=[8])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()(maps(1, 1, 1))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_group_norm_lets_a_lone_value_through():
    network = build(norm="group", channels=[8]).eval()
    assert not torch.equal(network(maps(1, 1, 1)), network(-3 * maps(1, 1, 1)))


def test_the_default_is_small():
    network = CNNKnobs().build(LogMelKnobs())
    assert sum(parameter.numel() for parameter in network.parameters()) == 60465


@pytest.mark.parametrize("name", [name for name, knobs in FRONTENDS.items() if knobs(name=name).spectral])
def test_it_works_on_every_map(name):
    frontend = FRONTENDS[name].read({"name": name, "crop_s": 0.5})
    wave = 0.1 * torch.randn(2, frontend.crop_samples, generator=torch.Generator().manual_seed(0))
    assert CNNKnobs().build(frontend)(frontend.build()(wave)).shape == (2,)


def test_a_waveform_is_refused():
    with pytest.raises(ConfigError, match="not frontend=raw"):
        CNNKnobs().build(RawKnobs())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size=4: should be odd"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"channels": []}, "channels"),
        ({"channels": [16, 0]}, r"channels.1=0"),
        ({"channels": [-8]}, r"channels.0=-8"),
        ({"head": [0]}, r"head.0=0"),
        ({"head": [16, -1]}, r"head.1=-1"),
        ({"channels": [8.5]}, "channels"),
        ({"activation": "tanh"}, "activation"),
        ({"dropout": 1.0}, "dropout"),
        ({"lr": 0.0}, "lr"),
        ({"chanels": [8]}, "did you mean 'channels'"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        CNNKnobs.read({"name": "cnn", **options})


@pytest.mark.parametrize("name", list(NETWORKS))
def test_options_survive_a_checkpoint(name):
    knobs = NETWORKS[name].read({"name": name})
    assert NETWORKS[name].read(knobs.plain()) == knobs
