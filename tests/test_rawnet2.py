"""RawNet2: its published size, its scaling of feature maps, what it refuses, and gradients down to the waveform."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from dfad.errors import ConfigError
from dfad.frontends import LogMelKnobs, RawKnobs
from dfad.networks.heads import Head
from dfad.networks.rawnet2 import Block, RawNet2, RawNet2Knobs
from tests.test_frontends import noise

SMALL = {"taps": 129, "widths": [4, 4, 8], "filters": 4, "gru_layers": 2, "gru_width": 8, "hidden": 8}


def small(head: Head = "linear") -> RawNet2:
    torch.manual_seed(0)
    return RawNet2Knobs.read(SMALL).build(RawKnobs(crop_s=0.3), head)


def test_it_has_the_size_of_the_baseline_of_asvspoof_2021() -> None:
    network = RawNet2Knobs().build(RawKnobs(crop_s=4.0375))
    found = sum(parameter.numel() for parameter in network.parameters())

    def block(width: int, out: int, first: bool = False) -> int:
        convolutions = 3 * width * out + out + 3 * out * out + out
        norms = 2 * out + (0 if first else 2 * width)
        return convolutions + norms + (width * out + out if width != out else 0) + out * out + out

    blocks = block(20, 20, True) + block(20, 20) + block(20, 128) + 3 * block(128, 128)
    gru = sum(3 * 1024 * (width + 1024 + 2) for width in (128, 1024, 1024))
    assert found == 2 * 20 + blocks + 2 * 128 + gru + 1024 * 1024 + 1024 + 1025
    assert found + 1025 == 17_621_410  # the baseline ends in two logits


def test_maps_are_scaled_by_what_their_means_say() -> None:
    torch.manual_seed(0)
    block, x = Block(4, 4, first=True).eval(), torch.randn(2, 4, 31)
    with torch.no_grad():
        block.scale.weight.zero_()
        block.scale.bias.copy_(torch.tensor([-100.0, 100.0, 0.0, 0.0]))
        inner = block.convolutions(x) + x
        pooled = inner[..., :30].unflatten(-1, (10, 3)).amax(-1)
        expected = pooled * torch.tensor([0, 1, 0.5, 0.5])[:, None] + torch.tensor([0, 1, 0.5, 0.5])[:, None]
        torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("head", get_args(Head))
def test_gradients_reach_the_waveform_in_eval_mode(head: Head) -> None:
    network, wave = small(head).eval(), noise(3, 4800).requires_grad_()
    scores = network(wave)
    scores.sum().backward()
    assert scores.shape == (3,)
    assert wave.grad is not None
    assert (wave.grad.abs().amax(1) > 0).all()


def test_neighbours_do_not_matter() -> None:
    network, wave = small().eval(), noise(4, 4800)
    with torch.inference_mode():
        alone = torch.cat([network(clip[None]) for clip in wave])
        torch.testing.assert_close(network(wave), alone, atol=1e-5, rtol=1e-5)


def test_it_learns_to_tell_noise_from_a_buzz() -> None:
    network = small().train()
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    wave = noise(16, 4800)
    wave[:8] = 0.1 * torch.sign(
        torch.sin(2 * torch.pi * torch.linspace(80, 300, 8)[:, None] * torch.arange(4800) / 16000)
    )
    label = torch.arange(16) // 8
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(wave), label.float())
        loss.backward()
        optimiser.step()
    assert loss < 0.2


def test_what_it_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="model=rawnet2 hears the waveform: use frontend=raw, not frontend=logmel"):
        RawNet2Knobs().build(LogMelKnobs())
    with pytest.raises(ConfigError, match=r"needs frontend.crop_s=0.201 or more, as it pools 7 times by 3; now 0.2"):
        RawNet2Knobs().build(RawKnobs(crop_s=0.2))
    with pytest.raises(ConfigError, match="should be odd"):
        RawNet2Knobs.read({"taps": 1024})
