"""AASIST is its authors' network: their weights give their logits; and it is trained and attacked like any other."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from dfad.audio import fit
from dfad.errors import ConfigError
from dfad.frontends import LogMelKnobs, RawKnobs
from dfad.networks.aasist import AASIST, AASISTKnobs
from dfad.networks.heads import make_head
from dfad.networks.published import translated
from dfad.networks.sinc import SincBank, band_pass, mel_edges
from dfad.training.config import TrainConfig
from tests.test_config import composed, preset

SAMPLES = 64_600
SMALL = {"filters": 12, "taps": 33, "widths": [4, 4, 6], "graph_width": 5, "joint_width": 7}
SYSTEMS = {"AASIST": "aasist", "AASIST-L": "aasist_l", "AASIST-asvspoof5": "aasist"}


def build(**options: Any) -> AASIST:
    torch.manual_seed(0)
    return AASISTKnobs.read({"name": "aasist", **SMALL, **options}).build(RawKnobs(crop_s=0.25))


def noise(clips: int, samples: int = 4000) -> Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0))


def published(system: str, reference: Path) -> AASIST:
    """Their weights in our network."""
    knobs = AASISTKnobs.read(preset("model", SYSTEMS[system]))
    network = knobs.build(RawKnobs(crop_s=SAMPLES / 16000))
    path = reference / "reference" / "aasist" / f"{system}.pth"
    given = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(translated(given, network))
    return network.eval()


def golden(reference: Path, system: str, clips: slice) -> tuple[list[Tensor], np.ndarray]:
    """Clips as the authors' code hears them, and the log-odds that it gave."""
    with (reference / "reference" / "aasist" / "logits.csv").open() as file:
        rows = list(csv.DictReader(file))[clips]
    waves = [soundfile.read(reference / "corpus" / row["path"], dtype="float32")[0] for row in rows]
    wanted = [float(row[f"{system}_logit_bona_fide"]) - float(row[f"{system}_logit_spoof"]) for row in rows]
    return [torch.from_numpy(fit(wave, SAMPLES)[None]) for wave in waves], np.array(wanted)


def scored(network: AASIST, waves: list[Tensor]) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([network(wave) for wave in waves]).numpy()


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_authors_weights_give_the_authors_log_odds(system: str, reference: Path) -> None:
    waves, wanted = golden(reference, system, slice(None, None, 15))
    assert len(waves) == 4
    np.testing.assert_allclose(scored(published(system, reference), waves), wanted, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_on_sixty_clips_too(system: str, reference: Path) -> None:
    waves, wanted = golden(reference, system, slice(None))
    away = np.abs(scored(published(system, reference), waves) - wanted)
    assert len(away) == 60
    assert away.max() < 1e-3
    assert (away < 1e-4).sum() >= 57  # a graph drops nodes by rank, and two may score almost alike


@pytest.mark.parametrize(("name", "count"), [("aasist", 297_866), ("aasist_l", 85_306)])
def test_it_has_as_many_parameters_as_published(name: str, count: int) -> None:
    network = AASISTKnobs.read(preset("model", name)).build(RawKnobs(crop_s=1))
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_bare_presets_bring_all_that_the_network_needs() -> None:
    for name in ("aasist", "aasist_l"):
        config = TrainConfig.read(composed("train", f"model={name}"))
        assert config.frontend.name == "raw"
        assert config.frontend.crop_samples == SAMPLES
        assert config.augment.specaugment is None
    over = TrainConfig.read(composed("train", "model=aasist", "frontend.crop_s=2", "augment=full", "data.batch_size=3"))
    assert (over.frontend.crop_s, over.augment.name, over.data.batch_size) == (2, "full", 3)
    with pytest.raises(ConfigError, match="model=aasist hears the waveform: use frontend=raw, not frontend=logmel"):
        TrainConfig.read(composed("train", "model=aasist", "frontend=logmel"))


def test_what_it_cannot_hear_is_refused() -> None:
    with pytest.raises(ConfigError, match="frontend=raw, not frontend=logmel"):
        AASISTKnobs().build(LogMelKnobs())
    knobs = AASISTKnobs()
    with pytest.raises(ConfigError, match=r"needs frontend.crop_s=0.281 or more"):
        knobs.build(RawKnobs(crop_s=0.28))
    network = knobs.build(RawKnobs(crop_s=0.2815)).train()
    network(noise(1, knobs.least_samples)).sum().backward()  # one clip of the shortest length can be trained on


@pytest.mark.parametrize("head", ["linear", "cosine", "cosines"])
def test_all_that_is_trained_has_a_gradient_and_so_has_the_waveform(head: Any) -> None:
    torch.manual_seed(0)
    network = AASISTKnobs.read({"name": "aasist", **SMALL}).build(RawKnobs(crop_s=0.25), head).train()
    wave = noise(3).requires_grad_()
    logits = network(wave)
    logits.square().sum().backward()
    assert logits.shape == (3,)
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (".idle." in name), name
    assert wave.grad is not None
    assert wave.grad.isfinite().all()
    assert wave.grad.abs().amax(1).min() > 0
    if head != "linear":
        assert isinstance(network.head, type(make_head(7, head)))


def test_a_score_does_not_depend_on_the_neighbours() -> None:
    network = build().train()
    network(noise(8))  # running statistics of its own
    together = scored(network.eval(), [noise(8)])
    np.testing.assert_allclose(scored(network, list(noise(8)[:, None])), together, atol=1e-5)


def test_filters_pass_their_band_and_stop_others() -> None:
    edges = mel_edges(20, 16000)
    kernels = band_pass(edges, 1025, 16000)
    response = torch.fft.rfft(kernels, 16000).abs()  # one value per hertz
    for (low, high), gain in zip(edges.tolist(), response, strict=True):
        inside = gain[round(low) + 40 : round(high) - 40]  # a Hamming window of 1025 samples is 52 Hz wide to its zero
        assert len(inside) == 0 or (inside - 1).abs().max() < 0.01
        outside = torch.cat([gain[: max(0, round(low) - 40)], gain[round(high) + 40 :]])
        assert outside.max() < 0.01
    assert (edges[1:, 0] == edges[:-1, 1]).all()


def test_learned_filters_begin_as_the_fixed_ones_and_have_gradients() -> None:
    fixed, learned = SincBank(9, 65, 16000), SincBank(9, 65, 16000, learned=True)
    torch.testing.assert_close(learned.kernels(), fixed.kernels(), atol=1e-6, rtol=0)
    assert not list(fixed.parameters())
    assert not fixed.state_dict()
    learned(noise(2)).square().sum().backward()
    assert learned.edges.grad is not None
    assert (learned.edges.grad != 0).flatten().tolist() == [False] + [True] * 17  # an edge at 0 Hz stays there


@pytest.mark.parametrize("word", ["taps=128", "keep=[0.5,0.5]", "keep=[0,1,1]", "widths=[]", "temperatures=[0,1,1]"])
def test_wrong_options_are_told(word: str) -> None:
    with pytest.raises(ConfigError, match=f"model.{word.split('=')[0]}"):
        TrainConfig.read(composed("train", "model=aasist", f"model.{word}"))
