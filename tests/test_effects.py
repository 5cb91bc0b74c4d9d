"""Effects do exactly what their parameters say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfad.effects.level import gain, invert, within_full_scale
from dfad.effects.mask import mask
from dfad.effects.noise import add_noise
from dfad.effects.time import shift


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def level_db(wave: Tensor) -> Tensor:
    return 10 * wave.double().square().mean(-1).log10()


WAVES = 0.1 * random(5, 4000)
LEVELS = torch.tensor([-20.0, 0.0, 7.5, 40.0, 100.0])


def test_gain_is_exact():
    torch.testing.assert_close(level_db(gain(WAVES, LEVELS)) - level_db(WAVES), LEVELS.double(), atol=1e-4, rtol=0)


def test_gain_of_0_db_changes_nothing():
    assert torch.equal(gain(WAVES, torch.zeros(5)), WAVES)


def test_invert_twice_is_nothing():
    assert torch.equal(invert(invert(WAVES)), WAVES)
    assert torch.equal(WAVES + invert(WAVES), torch.zeros_like(WAVES))


def test_only_clips_beyond_full_scale_are_scaled():
    loud = torch.stack([WAVES[0], 50 * WAVES[1], torch.zeros(4000)])
    found = within_full_scale(loud)
    assert torch.equal(found[0], loud[0])
    assert torch.equal(found[2], loud[2])
    assert found[1].abs().max() == 1
    assert torch.allclose(found[1] * loud[1].abs().max(), loud[1])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 100.0])
def test_noise_has_the_signal_to_noise_ratio(scale):
    noisy = add_noise(WAVES.double() * scale, 3 * random(5, 4000, seed=1).double(), LEVELS.double())
    found = level_db(WAVES.double() * scale) - level_db(noisy - WAVES.double() * scale)
    torch.testing.assert_close(found, LEVELS.double(), atol=1e-6, rtol=0)


def test_noise_in_float32_is_within_a_tenth_of_a_decibel():
    levels = LEVELS[:4]
    found = level_db(WAVES[:4]) - level_db(add_noise(WAVES[:4], random(4, 4000, seed=1), levels) - WAVES[:4])
    torch.testing.assert_close(found, levels.double(), atol=0.1, rtol=0)


def test_a_silent_clip_and_silent_noise_stay_silent():
    assert not add_noise(torch.zeros(1, 100), random(1, 100), torch.zeros(1)).any()
    assert torch.equal(add_noise(WAVES, torch.zeros_like(WAVES), LEVELS), WAVES)


@pytest.mark.parametrize("samples", [0, 1, -1, 3999, -3999, 4000, -9001, 12345])
def test_shift_is_a_rotation(samples):
    found = shift(WAVES, torch.full((5,), samples))
    assert torch.equal(found, torch.roll(WAVES, samples, -1))
    assert torch.equal(found.sort(-1).values, WAVES.sort(-1).values)


def test_every_clip_has_its_own_shift():
    found = shift(WAVES, torch.arange(5))
    assert all(torch.equal(found[row], WAVES[row].roll(row)) for row in range(5))


@pytest.mark.parametrize(("dim", "size"), [(-2, 20), (-1, 30)])
@pytest.mark.parametrize(("start", "width"), [(0, 1), (3, 5), (19, 1), (0, 20), (7, 0)])
def test_a_mask_hides_its_stripe_and_no_more(dim, size, start, width):
    features = random(1, 1, 20, 30)
    found = mask(features, torch.tensor([[start]]), torch.tensor([[width]]), dim).movedim(dim, 0)
    before = features.movedim(dim, 0)
    hidden = torch.zeros(size, dtype=torch.bool)
    hidden[start : start + width] = True
    assert torch.equal(found[~hidden], before[~hidden])
    assert (found[hidden] == features.mean()).all()


def test_every_clip_has_its_own_stripes_and_mean():
    features = random(2, 1, 20, 30) + torch.tensor([0.0, 5.0])[:, None, None, None]
    found = mask(features, torch.tensor([[0, 10], [4, 5]]), torch.tensor([[2, 1], [2, 2]]), -2)
    hidden = [(found[row] != features[row]).all(-1)[0].nonzero()[:, 0].tolist() for row in range(2)]
    assert hidden == [[0, 1, 10], [4, 5, 6]]
    assert torch.equal(found[0, 0, 0], features[0].mean().expand(30))
    assert torch.equal(found[1, 0, 4], features[1].mean().expand(30))


@pytest.mark.parametrize(
    "effect",
    [
        lambda x: gain(x, LEVELS),
        invert,
        within_full_scale,
        lambda x: add_noise(x, random(5, 4000, seed=1), LEVELS),
        lambda x: shift(x, torch.arange(5)),
    ],
    ids=["gain", "invert", "within_full_scale", "add_noise", "shift"],
)
def test_effects_are_pure_and_differentiable(effect):
    wave = WAVES.clone().requires_grad_()
    found = effect(wave)
    found.square().sum().backward()
    assert torch.equal(wave, WAVES)
    assert found.dtype == torch.float32
    assert wave.grad is not None
    assert wave.grad.isfinite().all()
    torch.testing.assert_close(effect(WAVES[:5]), found.detach())
