"""LCNN: the larger of two maps, the published layers, any map of bands over frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dfad.errors import ConfigError
from dfad.frontends import FRONTENDS, LogMelKnobs, RawKnobs
from dfad.networks.lcnn import LCNN, LCNNKnobs, MaxFeatureMap

FRONTEND = LogMelKnobs(n_mels=40, crop_s=0.5)


def build(**options: Any) -> LCNN:
    torch.manual_seed(0)
    return LCNNKnobs.read({"name": "lcnn", "width": 8, "hidden": 6, **options}).build(FRONTEND)


def test_the_larger_of_two_maps_is_kept() -> None:
    x = torch.tensor([[[1.0, -2.0], [3.0, 4.0], [0.0, 5.0], [-3.0, 4.5]]])  # (1, 4 channels, 2)
    assert MaxFeatureMap()(x).tolist() == [[[1.0, 5.0], [3.0, 4.5]]]


def test_the_layers_are_the_published_ones() -> None:
    layers = LCNNKnobs(width=32, norm="published").build(FRONTEND).layers
    convolutions = [(m.kernel_size[0], m.out_channels) for m in layers if isinstance(m, nn.Conv2d)]
    published = [(5, 64), (1, 64), (3, 96), (1, 96), (3, 128), (1, 128), (3, 64), (1, 64), (3, 64)]
    assert convolutions == published
    kinds = {nn.Conv2d: "", MaxFeatureMap: "m", nn.MaxPool2d: "p"}
    order = "".join(kinds.get(type(layer), "n") for layer in layers)
    assert order == "mp" + "mn" + "mpn" + "mn" + "mp" + "mn" + "mn" + "mn" + "mp"
    every = LCNNKnobs().build(FRONTEND).layers
    assert (
        "".join(kinds.get(type(layer), "n") for layer in every)
        == "nmp" + "nm" + "nmp" + "nm" + "nmp" + "nm" * 3 + "nmp"
    )


@pytest.mark.parametrize("bands", [1, 15, 16, 17, 60])
@pytest.mark.parametrize("pooling", ["mean", "lstm"])
def test_any_number_of_bands_and_frames_is_taken(bands: int, pooling: str) -> None:
    knobs = LCNNKnobs.read({"name": "lcnn", "width": 4, "hidden": 4, "pooling": pooling})
    network = LCNN(knobs, bands)
    for frames in (1, 16, 33):
        for clips in (1, 3):
            outputs = network.train()(torch.randn(clips, 1, bands, frames))
            outputs.sum().backward()
            assert outputs.shape == (clips,)
            assert outputs.isfinite().all()


@pytest.mark.parametrize("name", [name for name, knobs in FRONTENDS.items() if knobs(name=name).spectral])
def test_it_works_on_every_map(name: str) -> None:
    frontend = FRONTENDS[name].read({"name": name, "crop_s": 0.5})
    network = LCNNKnobs(width=4, pooling="lstm").build(frontend)
    assert network(frontend.build()(torch.randn(2, frontend.crop_samples))).shape == (2,)


def test_frames_come_in_order_to_the_recurrent_layers_only() -> None:
    x = torch.randn(2, 1, 40, 64, generator=torch.Generator().manual_seed(0))
    mean, lstm = build().eval(), build(pooling="lstm").eval()
    maps = mean.layers(x)
    torch.testing.assert_close(mean.over_time(maps), mean.over_time(maps.flip(-1)))
    maps = lstm.layers(x)
    assert (lstm.over_time(maps) - lstm.over_time(maps.flip(-1))).abs().max() > 1e-4


def test_what_passes_around_the_recurrent_layers_is_added() -> None:
    over_time = build(pooling="lstm").eval().over_time
    for parameter in over_time.parameters():
        nn.init.zeros_(parameter)  # LSTM that say nothing
    maps = torch.randn(2, 8, 3, 5)
    torch.testing.assert_close(over_time(maps), maps.flatten(1, 2).mean(-1))


def test_a_waveform_is_refused_and_a_width_must_divide() -> None:
    with pytest.raises(ConfigError, match="not frontend=raw"):
        LCNNKnobs().build(RawKnobs())
    with pytest.raises(ConfigError, match="width=30: input should be a multiple of 4"):
        LCNNKnobs.read({"name": "lcnn", "width": 30})
