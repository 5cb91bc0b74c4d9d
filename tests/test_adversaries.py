"""Adversaries: optimal where the optimum is known, within their budget, and gone without a trace."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfad.draws import Draws
from dfad.errors import ConfigError
from dfad.frontends import FRONTENDS
from dfad.robustness.adversaries import ADVERSARIES, Knowledge
from dfad.robustness.budget import BUDGETS, SCALE, on_grid
from dfad.robustness.gradient import fgsm, pgd
from dfad.robustness.malafide import filtered, malafide
from dfad.robustness.query import query_attack
from dfad.robustness.targets import Targets
from dfad.robustness.transfer import Surrogate
from dfad.robustness.universal import universal
from dfad.robustness.victim import Victim
from tests.victims import SAMPLES, linear, small, targets

every_adversary = pytest.mark.parametrize("name", list(ADVERSARIES))
EPSILON = 32 / SCALE


def gain(victim: Victim, found: Targets, wave: Tensor) -> Tensor:
    """By how much scores moved where they were pushed. Shape: (batch,)."""
    return found.push * (victim.query(wave) - victim.query(found.clean))


def attacked(name: str, victim: Victim, found: Targets, strength: float | None = None) -> Tensor:
    adversary = ADVERSARIES[name]
    knowledge = Knowledge(victim, found, small("logspec", 5000))
    return adversary(knowledge, adversary.strengths[0] if strength is None else strength)(found).wave


# --- the optimum of a linear detector ------------------------------------------------------------


def test_one_step_is_the_best_change_of_a_linear_detector() -> None:
    victim, found = linear(), targets()
    best = EPSILON * victim.network.weights.detach().abs().sum()
    wave = fgsm(victim, found.wave, found.label, BUDGETS["linf"](found.clean, EPSILON))
    torch.testing.assert_close(gain(victim, found, wave), best.expand(8), atol=1e-4, rtol=1e-4)


def test_pgd_finds_the_best_change_in_linf() -> None:
    victim, found = linear(), targets()
    best = EPSILON * victim.network.weights.detach().abs().sum()
    wave = pgd(victim, found.wave, found.label, BUDGETS["linf"](found.clean, EPSILON), found.draws)
    torch.testing.assert_close(gain(victim, found, wave), best.expand(8), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["l2", "snr"])
def test_pgd_finds_the_best_change_in_l2(kind: str) -> None:
    victim, found = linear(), targets()
    budget = BUDGETS[kind](found.clean, {"l2": 0.1, "snr": 30.0}[kind])
    best = budget.radius.float() * victim.network.weights.detach().norm()
    wave = pgd(victim, found.wave, found.label, budget, found.draws, steps=40)
    share = gain(victim, found, wave) / best
    assert (share > 0.98).all()  # what is left of a random start
    assert (share < 1.0001).all()


def test_a_universal_perturbation_is_the_best_change_of_a_linear_detector() -> None:
    victim, found = linear(), targets(32)
    best = EPSILON * victim.network.weights.detach().abs().sum()
    wave = universal(victim, found, EPSILON)(found)
    torch.testing.assert_close(gain(victim, found, wave), best.expand(32), atol=1e-4, rtol=1e-4)


def test_the_best_iterate_is_kept() -> None:
    class Peak(nn.Module):
        """The score is highest half-way to the border, beyond which PGD steps."""

        def forward(self, wave: Tensor) -> Tensor:
            return -(wave - EPSILON / 2).abs().sum(-1)

    victim = Victim(linear().frontend, Peak())
    found = Targets(torch.zeros(4, SAMPLES), torch.zeros(4).long(), torch.arange(4), ["A01"] * 4)
    budget = BUDGETS["linf"](found.clean, EPSILON)
    few, many = (pgd(victim, found.wave, found.label, budget, found.draws, steps=n) for n in (1, 10))
    assert (gain(victim, found, few) >= 0).all()
    assert (gain(victim, found, many) > 0.5 * SAMPLES * EPSILON / 2).all()


def test_restarts_are_no_weaker() -> None:
    victim, found = small(), targets(samples=4000)
    budget = BUDGETS["linf"](found.clean, EPSILON)
    one, more = (pgd(victim, found.wave, found.label, budget, found.draws, steps=3, restarts=n) for n in (1, 3))
    assert (gain(victim, found, more) >= gain(victim, found, one)).all()


def test_what_expects_noise_survives_it_better() -> None:
    class Fragile(nn.Module):
        """Half of the weights are turned over by a shift of one sample."""

        def forward(self, wave: Tensor) -> Tensor:
            sign = torch.where(torch.arange(SAMPLES) % 2 == 0, 1.0, -1.0)
            return (wave[:, 400:] * sign[400:]).sum(-1) + 0.5 * wave[:, :400].sum(-1)

    victim, found = Victim(linear().frontend, Fragile()), targets()
    budget = BUDGETS["linf"](found.clean, EPSILON)

    def effects(wave: Tensor, draws: object) -> Tensor:
        return (wave + wave.roll(1, -1)) / 2  # the mean over both shifts

    for each, way in ((None, "plain"), (effects, "expecting")):
        wave = pgd(victim, found.wave, found.label, budget, found.draws, effects=each)
        heard = found.push * (victim.query(effects(wave, None)) - victim.query(effects(found.clean, None)))
        best = 0.5 * 400 * EPSILON
        assert (heard > 0.9 * best).all(), way
        if each:
            fragile = (wave - found.clean)[:, 401:-1]
            assert fragile.abs().mean() < 0.9 * EPSILON  # nothing is gained there, so it stays as it began


def test_luck_on_the_way_is_not_taken_for_success() -> None:
    """Noise moves the score by more than the attack can, and by another amount at every step."""
    victim, found = linear(), targets()
    best = EPSILON * victim.network.weights.detach().abs().sum()

    def effects(wave: Tensor, draws: Draws) -> Tensor:
        return wave + 0.1 * draws.normal("luck", SAMPLES)

    budget = BUDGETS["linf"](found.clean, EPSILON)
    for restarts in (1, 3):
        wave = pgd(victim, found.wave, found.label, budget, found.draws, restarts=restarts, effects=effects, expect=2)
        torch.testing.assert_close(gain(victim, found, wave), best.expand(8), atol=1e-4, rtol=1e-4)


# --- without a trace -----------------------------------------------------------------------------


def state(victim: Victim) -> list[object]:
    network = victim.network
    return [
        {name: value.clone() for name, value in network.state_dict().items()},
        [part.training for part in network.modules()],
        [parameter.requires_grad for parameter in network.parameters()],
        [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()],
    ]


def mixed_up() -> Victim:
    """A network in the midst of a training: parts in other modes, a frozen weight, gradients gathered."""
    victim = small()
    victim.network.train()
    victim.network.blocks[1].eval()
    parameters = list(victim.network.parameters())
    parameters[0].requires_grad_(False)
    for parameter in parameters[2:]:
        parameter.grad = torch.ones_like(parameter)
    return victim


def assert_alike(one: list[object], other: list[object]) -> None:
    torch.testing.assert_close(one[0], other[0], atol=0, rtol=0)
    assert one[1:3] == other[1:3]
    for first, second in zip(one[3], other[3], strict=True):  # type: ignore[call-overload]
        assert (first is None) == (second is None)
        assert first is None or torch.equal(first, second)


@every_adversary
def test_an_attack_leaves_the_detector_as_it_was(name: str) -> None:
    victim = mixed_up()
    before = state(victim)
    attacked(name, victim, targets(samples=4000), {"query": 5, "malafide": 9}.get(name))
    assert_alike(state(victim), before)


def test_an_attack_that_fails_leaves_it_as_it_was() -> None:
    victim = mixed_up()
    before = state(victim)
    victim.network.head.register_forward_hook(lambda *_: (_ for _ in ()).throw(MemoryError("full")))
    with pytest.raises(MemoryError):
        attacked("pgd-linf", victim, targets(samples=4000))
    assert_alike(state(victim), before)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_attacks_work_where_no_gradients_are_recorded(mode: type) -> None:
    victim, found = small(), targets(samples=4000)
    expected = attacked("pgd-linf", victim, found), attacked("malafide", victim, found, 9)
    with mode():
        inside = targets(samples=4000)
        done = attacked("pgd-linf", victim, inside), attacked("malafide", victim, inside, 9)
        assert not torch.is_grad_enabled()
    torch.testing.assert_close(done, expected, atol=0, rtol=0)


# --- every adversary -----------------------------------------------------------------------------


@every_adversary
def test_an_adversary_pushes_both_classes_over(name: str) -> None:
    victim, found = small(), targets(16, 4000)
    middle = victim.query(found.clean).median()
    found = Targets(found.wave, (victim.query(found.clean) > middle).long(), found.keys, ["A01"] * 16, 0, float(middle))
    victim.network.eval()
    wave = attacked(name, victim, found, {"query": 100, "malafide": 33}.get(name))
    assert torch.equal(wave, on_grid(wave))
    moved = gain(victim, found, wave)
    if name not in ("transfer", "universal"):  # made from strangers, which random weights treat in another way
        assert moved[found.label == 0].mean() > 0
        assert moved[found.label == 1].mean() > 0


@every_adversary
def test_an_attack_is_the_same_when_it_is_repeated(name: str) -> None:
    strength = {"query": 20, "malafide": 9}.get(name)
    torch.manual_seed(1)
    one = attacked(name, small(), targets(samples=4000), strength)
    torch.manual_seed(2)
    assert torch.equal(one, attacked(name, small(), targets(samples=4000), strength))


@pytest.mark.parametrize("name", ["fgsm", "pgd-linf", "pgd-l2", "pgd-snr", "pgd-eot", "query", "transfer"])
def test_a_clip_is_attacked_alike_in_any_company(name: str) -> None:
    victim, found = small(), targets(samples=4000)
    rows = torch.tensor([6, 1, 4])
    strength = 20 if name == "query" else None
    alone, among = attacked(name, victim, found.some(rows), strength), attacked(name, victim, found, strength)[rows]
    assert (alone == among).double().mean() > 0.99  # rounding decides the sign of a gradient that is almost 0
    torch.testing.assert_close(victim.query(alone), victim.query(among), atol=1e-3, rtol=1e-3)


@every_adversary
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_silent_and_loud_clips_come_out_finite_and_in_range(name: str, scale: float) -> None:
    found = targets(samples=4000, scale=scale)
    wave = attacked(name, small(), found, {"query": 5, "malafide": 9}.get(name))
    assert torch.isfinite(wave).all()
    assert wave.abs().max() <= 1
    if name == "pgd-snr" and not scale:
        assert not wave.any()


@pytest.mark.parametrize("name", list(FRONTENDS))
@pytest.mark.parametrize("clip", ["noise", "silence", "click", "clipped"])
def test_gradients_reach_the_waveform_through_every_frontend(name: str, clip: str) -> None:
    wave = {
        "noise": targets(1, 4000).wave,
        "silence": torch.zeros(1, 4000),
        "click": torch.zeros(1, 4000).index_fill_(1, torch.tensor(2000), 1.0),
        "clipped": targets(1, 4000, scale=5.0).wave.clamp(-1, 1),
    }[clip]
    victim = small(name)
    leaf = wave.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(victim.score(leaf).sum(), leaf)
    assert torch.isfinite(gradient).all()
    if clip != "silence" or name == "raw":
        assert (gradient != 0).double().mean() > (0.05 if clip == "click" else 0.9)


@pytest.mark.parametrize("name", list(FRONTENDS))
def test_the_gradient_is_the_one_of_finite_differences(name: str) -> None:
    victim, wave = small(name), targets(2, 4000).wave
    _, gradient = victim.slope(wave)
    length, size = (
        gradient.norm(dim=-1),
        3e-5 if name in ("logspec", "cqt") else 5e-4,
    )  # some power is near 0: it bends at once
    step = size * gradient / length[:, None]
    found = (victim.query(wave + step) - victim.query(wave - step)) / (2 * size)
    torch.testing.assert_close(found, length, atol=0, rtol=0.03)


# --- what each one is ----------------------------------------------------------------------------


class Counted(Victim):
    """Says how often it was asked, and refuses to give a gradient."""

    asked = 0

    def score(self, wave: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        assert not wave.requires_grad
        self.asked += len(wave)
        return super().score(wave)

    def slope(self, *_: object) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        raise AssertionError("a black box has no gradient")


@pytest.mark.parametrize("queries", [1, 2, 25])
def test_a_query_attack_asks_no_more_than_it_may_and_needs_no_gradient(queries: int) -> None:
    plain, found = small(), targets(samples=4000, threshold=-100.0)
    victim = Counted(plain.frontend, plain.network)
    done = query_attack(victim, found, EPSILON, queries)
    assert victim.asked == done.noted["queries"].sum()
    assert done.noted["queries"].max() <= queries
    assert BUDGETS["linf"](found.clean, EPSILON).holds(found.clean, done.wave).all()
    spoof = found.label == 0  # at this threshold all of it passes, and no bona fide clip can be kept out
    assert (done.noted["queries"][spoof] == 1).all()
    assert torch.equal(done.wave[spoof], found.clean[spoof])
    assert (done.noted["queries"][~spoof] == queries).all()


def test_a_query_attack_stops_when_a_clip_has_crossed() -> None:
    victim, found = small(), targets(16, 4000)
    found = Targets(
        found.wave, torch.zeros(16).long(), found.keys, found.groups, 0, float(victim.query(found.clean).max())
    )
    done = query_attack(victim, found, 0.01, 60)
    crossed = found.crossed(victim.query(done.wave))
    assert crossed.any()
    assert (done.noted["queries"][~crossed] == 60).all()
    assert (done.noted["queries"][crossed] <= 60).all()


@pytest.mark.parametrize("make", [lambda v, t: universal(v, t, 0.01), lambda v, t: malafide(v, t, 9, passes=3)])
def test_what_a_clip_meets_was_not_made_from_it(make: object) -> None:
    victim, known = small(), targets(16, 4000)
    one = 5
    other = known.wave.clone()
    other[one] = 0.3 * torch.randn(4000, generator=torch.Generator().manual_seed(9))
    changed = Targets(other, known.label, known.keys, known.groups)
    rows = torch.tensor([one])
    first, second = (make(victim, each)(known.some(rows)) for each in (known, changed))  # type: ignore[operator]
    assert torch.equal(first, second)  # its own sound is no part of what it meets
    elsewhere = ((known.fold != known.fold[one]) & (known.label == known.label[one])).nonzero()[:, 0]
    met = [make(victim, each)(known.some(elsewhere)) for each in (known, changed)]  # type: ignore[operator]
    assert not torch.equal(*met)  # but of what the other half meets


def test_clips_of_which_nothing_is_known_stay_as_they_are() -> None:
    victim, found = small(), targets(4, 4000)
    bona_fide = found.some((found.label == 1).nonzero()[:, 0])
    spoof = found.some((found.label == 0).nonzero()[:, 0])
    for made in (universal(victim, bona_fide, 0.01), malafide(victim, bona_fide, 9, passes=1)):
        assert torch.equal(made(spoof), spoof.clean)


def test_a_system_of_its_own_meets_the_filter_of_all() -> None:
    victim, known = small(), targets(16, 4000)
    new = known.some((known.label == 0).nonzero()[:1, 0])
    made = malafide(victim, known, 9, passes=2)
    stranger = Targets(new.wave, new.label, new.keys, ["A99"])
    assert not torch.equal(made(stranger), new.clean)


@pytest.mark.parametrize("taps", [1, 2, 9, 4001])
def test_a_filter_of_a_single_1_changes_nothing(taps: int) -> None:
    wave = targets(2, 4000).wave
    kernel = torch.zeros(1, taps)
    kernel[0, taps // 2] = 1.0
    torch.testing.assert_close(filtered(wave, kernel), wave, atol=1e-6, rtol=1e-5)


def test_a_filter_is_a_convolution_at_the_same_power() -> None:
    wave, kernel = targets(2, 4000, scale=0.01).wave, torch.tensor([[0.2, 1.0, -0.5]])
    found = filtered(wave, kernel)
    expected = torch.nn.functional.conv1d(wave[:, None], kernel.flip(-1)[:, None], padding=1)[:, 0]
    expected = expected * (wave.square().sum(-1) / expected.square().sum(-1)).sqrt()[:, None]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("rate", "samples"), [(8000, 4000), (8000, 2500), (8000, 9000), (16000, 8000)])
def test_a_surrogate_hears_clips_at_its_own_rate_and_length(rate: int, samples: int) -> None:
    own = small(samples=4000)
    other = Surrogate(own, rate)
    wave = targets(2, samples).wave
    score, gradient = other.slope(wave)
    assert (gradient[:, :100] != 0).any()
    if rate == 8000:
        repeated = torch.cat([wave, wave], -1)[:, :4000] if samples < 4000 else wave[:, :4000]
        torch.testing.assert_close(score, own.query(repeated))


@pytest.mark.parametrize(("name", "word"), [("transfer", "surrogate"), ("malafide", "clips"), ("universal", "clips")])
def test_what_an_adversary_lacks_is_told(name: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        ADVERSARIES[name](Knowledge(small()), 0.001)


def test_conditions_go_from_the_mildest_to_the_hardest() -> None:
    for adversary in ADVERSARIES.values():
        ordered = sorted(adversary.strengths, reverse=adversary.harder == "lower")
        assert list(adversary.strengths) == ordered
        assert adversary.conditions[0].family == "adversarial"
        assert adversary.about
