"""What holds for every effect: length, type, finite values, rest, neighbours, gradients, determinism."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from dfad.effects import companding, filters, level, noise, resampling, time

RATE, SAMPLES, INF = 16000, 4100, float("inf")
DEVIATES = torch.randn(8, SAMPLES, generator=torch.Generator().manual_seed(1))
Effect = Callable[[Tensor, Tensor], Tensor]


def noisy(wave: Tensor, snr_db: Tensor) -> Tensor:
    return noise.add_noise(wave, DEVIATES[: len(wave), : wave.shape[-1]].to(wave), snr_db)


def whole(effect: Effect) -> Effect:
    return lambda wave, value: effect(wave, value.long())


EFFECTS: dict[str, tuple[Effect, float, float]] = {  # name: effect, value at rest, another value
    "gain": (level.gain, 0.0, 3.0),
    "clip": (level.clip, 1.0, 0.4),
    "requantise": (level.requantise, 32.0, 6.0),
    "high-pass": (lambda x, hertz: filters.band(x, RATE, hertz, torch.full_like(hertz, RATE / 2)), 0.0, 400.0),
    "low-pass": (lambda x, hertz: filters.band(x, RATE, torch.zeros_like(hertz), hertz), 8000.0, 3000.0),
    "tilt": (lambda x, slope: filters.tilt(x, RATE, slope), 0.0, -6.0),
    "through": (lambda x, rate: resampling.through(x, RATE, rate), 16000.0, 8000.0),
    "mu-law": (companding.mu_law, 32.0, 8.0),
    "noise": (noisy, INF, 10.0),
    "shift": (whole(time.shift), 0.0, 300.0),
    "speed": (time.speed, 1.0, 1.1),
    "trim": (lambda x, db: time.trim_silence(x, RATE, db), -INF, -20.0),
    "insert": (whole(time.insert_silence), 0.0, 300.0),
}
ALWAYS: dict[str, Callable[[Tensor], Tensor]] = {  # effects without a rest
    "telephone": lambda x: filters.telephone(x, RATE),
    "a-law": companding.a_law,
    "invert": level.invert,
    "within_full_scale": level.within_full_scale,
}
ALL = EFFECTS.keys() | ALWAYS.keys()


def waves() -> Tensor:
    """Silence, a click, an offset, full scale, the least that a float holds, speech-like noise and a tone."""
    place = torch.arange(SAMPLES)
    click = (place == 2000).float()
    square = 1.0 - 2.0 * (place // 40 % 2)
    burst = 0.1 * DEVIATES[7] * (place > 1000) * (place < 3000)
    tone = 0.5 * torch.sin(0.3 * place)
    return torch.stack([0 * click, click, 0.5 + 0 * click, square, 1e-40 * square, burst, tone, 2 * square])


def act(name: str, wave: Tensor, value: float | None = None) -> Tensor:
    """Apply an effect with one value to all clips."""
    if name in ALWAYS:
        return ALWAYS[name](wave)
    effect, _, other = EFFECTS[name]
    return effect(wave, torch.full((len(wave),), other if value is None else value))


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", EFFECTS)
def test_at_rest_a_clip_stays_bit_for_bit_beside_one_that_changes(name):
    effect, rest, other = EFFECTS[name]
    wave = waves()
    assert torch.equal(act(name, wave, rest), wave)
    burst = wave[5].repeat(4, 1)
    found = effect(burst, torch.tensor([rest, other, other, rest]))
    assert torch.equal(found[[0, 3]], burst[[0, 3]])
    assert (found[1] != burst[1]).any()


@pytest.mark.parametrize("name", sorted(ALL))
def test_length_and_type_are_kept_and_all_is_finite(name):
    for dtype in (torch.float32, torch.float64):
        found = act(name, waves().to(dtype))
        assert (found.shape, found.dtype) == (waves().shape, dtype)
        assert found.isfinite().all()


@pytest.mark.parametrize(
    "name", sorted(ALL - {"gain", "noise", "tilt", "speed", "high-pass", "low-pass", "through", "telephone"})
)
def test_what_is_no_filter_and_adds_nothing_keeps_the_range(name):
    assert act(name, waves()[:7]).abs().max() <= 1


@pytest.mark.parametrize("name", sorted(ALL - {"a-law", "noise"}))
def test_silence_stays_silent(name):
    assert not act(name, torch.zeros(1, SAMPLES)).any()


@pytest.mark.parametrize("name", sorted(ALL - {"noise"}))  # of which every clip has its own
def test_neighbours_do_not_matter(name):
    together = act(name, waves())
    alone = torch.cat([act(name, waves()[row : row + 1]) for row in range(8)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.usefixtures("deterministic")
def test_gradients_are_finite_and_reach_the_waveform(name):
    wave = waves().requires_grad_()
    found = act(name, wave)
    (found * DEVIATES).sum().backward()
    assert torch.equal(wave, waves())
    assert wave.grad is not None
    assert wave.grad.isfinite().all()
    assert wave.grad[5:7].any(-1).all()


@pytest.mark.parametrize("name", sorted(ALL - {"requantise", "mu-law", "a-law"}))
def test_gradients_are_right(name):
    wave = 0.3 * torch.randn(2, 160, generator=torch.Generator().manual_seed(3)).double()
    direction = torch.randn(2, 160, generator=torch.Generator().manual_seed(4)).double()
    _, slope = torch.autograd.functional.jvp(lambda x: act(name, x), wave, direction)
    step = 1e-6 * direction
    torch.testing.assert_close(slope, (act(name, wave + step) - act(name, wave - step)) / 2e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(ALL - {"trim"}))  # of which rounding may move a frame
@pytest.mark.usefixtures("deterministic")
def test_a_gpu_gives_the_same(name):
    device = torch.device("cuda")
    wave = waves().to(device).requires_grad_()
    value = None if name in ALWAYS else torch.full((8,), EFFECTS[name][2], device=device)
    found = ALWAYS[name](wave) if value is None else EFFECTS[name][0](wave, value)
    found.square().sum().backward()
    torch.testing.assert_close(found.detach().cpu(), act(name, waves()), atol=1e-5, rtol=0)
