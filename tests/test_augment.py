"""Augmentation: what is drawn hangs on a clip's address alone, and what is applied is what was drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

import dfad.augment as steps
from dfad.augment import STAGES, AugmentKnobs, Gain, Noise, Scene, Shift, Sometimes, SpecAugment
from dfad.draws import Draws
from dfad.errors import ConfigError

RATE = 16000
GOLDEN = [0.0310384, 0.0335551, 0.0293928, -0.0972149, -0.0063862, 0.015681, 0.0819552, 0.1116354]
CODEC = "codec"  # too slow for thousands of clips
STEPS: dict[str, type[Sometimes]] = {
    name: {"codec": steps.Recode, "rawboost": steps.RawBoost}.get(name) or getattr(steps, name.capitalize())
    for names in STAGES.values()
    for name in names
    if name != CODEC
}
SCENE = Scene(RATE)
PRESETS = Path(__file__).resolve().parents[1] / "conf/augment"
every_step = pytest.mark.parametrize("name", list(STEPS))


def draws(clips: int = 64, *, seed: int = 0, epoch: int = 0, draw: int = 0) -> Draws:
    return Draws(seed, epoch, torch.arange(clips), torch.full((clips,), draw))


def waves(clips: int = 64, samples: int = 1000, scale: float = 0.1) -> Tensor:
    return scale * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0)).clamp(-4, 4)


def maps(clips: int = 64, bands: int = 80, frames: int = 201) -> Tensor:
    return torch.randn(clips, 1, bands, frames, generator=torch.Generator().manual_seed(0))


def only(name: str, **options: float) -> AugmentKnobs:
    return AugmentKnobs.read({"name": "light", name: options})


def light() -> AugmentKnobs:
    return AugmentKnobs.read(yaml.safe_load((PRESETS / "light.yaml").read_text()))


# --- whether -------------------------------------------------------------------------------------


@every_step
def test_p_0_changes_no_bit(name):
    wave = waves()
    assert torch.equal(only(name, p=0.0).wave(wave, draws(), RATE), wave)


@every_step
def test_p_1_hits_every_clip(name):
    wave = waves(512)
    changed = (only(name, p=1.0).wave(wave, draws(512), RATE) != wave).any(-1)
    assert changed.sum() >= 511  # a shift may be by 0


@every_step
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_p_is_the_share_of_clips(name, p):
    wave = waves(4000, 500)
    share = (only(name, p=p).wave(wave, draws(4000), RATE) != wave).any(-1).float().mean()
    assert abs(share - p) < 4 * (p * (1 - p) / 4000) ** 0.5 + 0.002


@every_step
def test_clips_that_are_not_hit_keep_every_bit(name):
    wave = waves(400)
    found = only(name, p=0.5).wave(wave, draws(400), RATE)
    assert (found == wave).all(-1).sum() > 150


def test_effects_happen_independently_of_each_other():
    happens = torch.stack([draws(4000).uniform(f"{name}?") < 0.5 for name in STEPS]).float()
    assert torch.corrcoef(happens).fill_diagonal_(0).abs().max() < 4.5 / 4000**0.5


def test_nothing_is_done_by_default():
    wave, features = waves(), maps()
    assert AugmentKnobs().wave(wave, draws(), RATE) is wave
    assert AugmentKnobs().features(features, draws()) is features


# --- what hangs on what --------------------------------------------------------------------------


def test_a_clip_is_augmented_alike_in_any_batch():
    wave, features = waves(), maps()
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))[:20]
    some = draws()[order]
    whole_wave, whole_map = light().wave(wave, draws(), RATE), light().features(features, draws())
    torch.testing.assert_close(light().wave(wave[order], some, RATE), whole_wave[order], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(light().features(features[order], some), whole_map[order], atol=1e-6, rtol=1e-6)


def test_a_clip_is_augmented_alike_on_any_rank():
    wave = waves()
    whole = light().wave(wave, draws(), RATE)
    for rank in range(3):
        mine = torch.arange(rank, 64, 3)
        share = light().wave(wave[mine], Draws(0, 0, mine, torch.zeros_like(mine)), RATE)
        torch.testing.assert_close(share, whole[mine], atol=1e-6, rtol=1e-6)


def test_the_same_address_gives_the_same_bits():
    torch.manual_seed(1)
    one = light().wave(waves(), draws(), RATE), light().features(maps(), draws())
    torch.manual_seed(2)
    two = light().wave(waves(), draws(), RATE), light().features(maps(), draws())
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])


@pytest.mark.parametrize("other", [draws(seed=1), draws(epoch=1), draws(draw=1)], ids=["seed", "epoch", "draw"])
def test_another_address_gives_something_else(other):
    same_wave = (light().wave(waves(), draws(), RATE) == light().wave(waves(), other, RATE)).all(-1)
    same_map = (light().features(maps(), draws()) == light().features(maps(), other)).all((-3, -2, -1))
    assert same_wave.float().mean() < 0.1
    assert not same_map.any()


def test_an_oversampled_clip_is_never_augmented_alike():
    wave = waves(1).expand(8, -1)
    repeats = Draws(0, 0, torch.zeros(8, dtype=torch.int64), torch.arange(8))
    assert len(only("noise", p=1.0).wave(wave, repeats, RATE).unique(dim=0)) == 8


def test_augmenting_leaves_its_input_alone():
    wave, features = waves(), maps()
    light().wave(wave, draws(), RATE)
    light().features(features, draws())
    assert torch.equal(wave, waves())
    assert torch.equal(features, maps())


@every_step
def test_a_step_does_the_same_to_a_clip_in_any_batch(name):
    wave, step = waves(64, 4000), only(name, p=1.0)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))[:20]
    alone = step.wave(wave[order], draws()[order], RATE)
    torch.testing.assert_close(alone, step.wave(wave, draws(), RATE)[order], atol=2e-6, rtol=1e-5)


def test_steps_come_in_the_order_of_a_sounds_way(monkeypatch):
    order = [name for names in STAGES.values() for name in names]
    assert list(STAGES) == ["speaker", "room", "recording", "noise", "channel", "codec", "level"]
    assert [name for name in AugmentKnobs.model_fields if name in order] == order
    done = []
    everything = AugmentKnobs.read({name: {"p": 1.0} for name in reversed(order)})
    for name in order:
        kind = type(getattr(everything, name))
        monkeypatch.setattr(kind, "apply", lambda self, x, *rest: done.append(type(self)) or x)
    everything.wave(waves(), draws(), RATE)
    assert done == [type(getattr(everything, name)) for name in order]


def test_no_two_steps_draw_by_the_same_name(monkeypatch):
    asked = []
    bits = Draws.bits
    monkeypatch.setattr(Draws, "bits", lambda self, name, *shape: asked.append(name) or bits(self, name, *shape))
    everything = {name: {"p": 1.0} for names in STAGES.values() for name in names}
    everything["noise"]["kinds"] = ["pink", "babble"]
    knobs = AugmentKnobs.read({**everything, "crop": "random", "specaugment": {}})
    knobs.wave(waves(1), draws(1), RATE, lambda which, where: waves(1)[0].numpy())
    knobs.features(maps(1), draws(1))
    assert len(asked) > 50
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_clip_meets_does_not_depend_on_its_place_among_others(path):
    """A label is nowhere among what `wave` is given; neither is the order of the clips, which may go by label."""
    knobs = AugmentKnobs.read(yaml.safe_load(path.read_text()))
    one, other = (knobs.steps for _ in range(2))
    back = torch.arange(63, -1, -1)
    for (name, step), _ in zip(one, other, strict=True):
        forth = step.draw(draws(), 8000, RATE)
        again = step.draw(draws()[back], 8000, RATE)
        assert all(torch.equal(forth[key][back], again[key]) for key in forth), name
        assert torch.equal((draws().uniform(f"{name}?") < step.p)[back], draws()[back].uniform(f"{name}?") < step.p)


# --- how much ------------------------------------------------------------------------------------


@every_step
def test_drawing_and_applying_are_the_whole(name):
    step = STEPS[name](p=1.0)
    applied = step.apply(waves(), step.draw(draws(), 1000, RATE), draws(), SCENE)
    assert torch.equal(applied, only(name, p=1.0).wave(waves(), draws(), RATE))


def test_masks_drawn_and_applied_are_the_whole():
    step = SpecAugment()
    applied = step.apply(maps(), step.draw(draws(), 80, 201))
    assert torch.equal(applied, only("specaugment").features(maps(), draws()))


def test_gain_is_the_one_drawn():
    found = only("gain", p=1.0, low_db=-12.0, high_db=6.0).wave(waves(4000, 50), draws(4000), RATE)
    gain_db = 20 * (found.norm(dim=-1) / waves(4000, 50).norm(dim=-1)).log10()
    assert -12.01 < gain_db.min() < -11.8
    assert 5.8 < gain_db.max() < 6.01
    assert abs(gain_db.mean() + 3) < 0.4


def test_noise_has_the_ratio_drawn():
    step, wave = Noise(p=1.0, low_db=10.0, high_db=40.0), waves(200, 8000)
    snr_db = step.draw(draws(200), 8000, RATE)["snr_db"]
    noisy = step.apply(wave, {"snr_db": snr_db}, draws(200), SCENE)
    found = 10 * (wave.square().mean(-1) / (noisy - wave).square().mean(-1)).log10()
    torch.testing.assert_close(found, snr_db, atol=0.1, rtol=0)
    assert snr_db.min() < 11
    assert snr_db.max() > 39


def test_noise_keeps_its_ratio_where_full_scale_ends():
    step, wave = Noise(p=1.0, low_db=0.0, high_db=0.0), waves(20, 8000, scale=0.25)
    noisy = step.apply(wave, {"snr_db": torch.zeros(20)}, draws(20), SCENE).double()
    assert (noisy.abs().amax(-1) <= 1).all()
    share = (noisy * wave).sum(-1) / wave.double().square().sum(-1)  # the clip's own scale in the sum
    remainder = noisy - share[:, None] * wave
    assert (10 * (share.square() * wave.square().sum(-1) / remainder.square().sum(-1)).log10()).abs().max() < 0.5


@pytest.mark.parametrize("scale", [0.01, 0.1, 0.25])
def test_augmentation_stays_within_full_scale(scale):
    wave = waves(400, scale=scale)
    assert light().wave(wave, draws(400), RATE).abs().max() <= 1
    assert only("gain", p=1.0, low_db=0.0, high_db=40.0).wave(wave, draws(400), RATE).abs().max() <= 1
    assert only("noise", p=1.0, low_db=-40.0, high_db=0.0).wave(wave, draws(400), RATE).abs().max() <= 1


@pytest.mark.parametrize(("max_ms", "most"), [(10.0, 160), (500.0, 999), (0.01, 0)])
def test_shifts_reach_both_ends_alike(max_ms, most):
    found = Shift(max_ms=max_ms).draw(draws(50000), 1000, RATE)["samples"]
    assert found.min() == -most
    assert found.max() == most
    assert found.float().mean().abs() <= 4.5 * most / 50000**0.5


def test_silence_stays_silence():
    assert not light().wave(torch.zeros(64, 1000), draws(), RATE).any()


# --- masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["band", "time"])
@pytest.mark.parametrize(("size", "share", "widest"), [(80, 0.15, 12), (201, 0.15, 30), (100, 0.29, 29), (7, 1.0, 7)])
def test_stripes_are_as_wide_as_asked_and_lie_inside(axis, size, share, widest):
    step = SpecAugment.read({f"{axis}_masks": 3, f"{axis}_width": share})
    drawn = step.draw(draws(5000), size, size)
    start, width = drawn[f"{axis}_start"], drawn[f"{axis}_width"]
    assert start.shape == width.shape == (5000, 3)
    assert width.min() == 0
    assert width.max() == widest
    assert start.min() == 0
    assert (start + width).max() == size


@pytest.mark.parametrize(("bands", "frames"), [(0, 0), (0, 2), (2, 0), (16, 16)])
def test_any_number_of_stripes(bands, frames):
    features = maps()
    found = only("specaugment", band_masks=bands, time_masks=frames).features(features, draws())
    assert found.shape == features.shape
    assert torch.equal(found, features) == (bands == frames == 0)


def test_a_map_too_small_for_a_stripe_keeps_its_all():
    features = maps(64, 4, 4)
    assert torch.equal(only("specaugment", band_width=0.2, time_width=0.2).features(features, draws()), features)


def test_masks_hide_about_what_was_asked():
    found = only("specaugment", time_masks=0, band_masks=1, band_width=0.5).features(maps(500), draws(500))
    hidden = (found != maps(500)).all(-1).float().mean()
    assert abs(hidden - 0.25) < 0.03


def test_raw_waveforms_are_not_masked():
    wave = waves()
    assert only("specaugment").features(wave, draws()) is wave


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"gain": {"p": 1.5}},
        {"gain": {"low_db": 3.0, "high_db": 1.0}},
        {"noise": {"low_db": 30.0, "high_db": 10.0}},
        {"shift": {"max_ms": 0.0}},
        {"specaugment": {"band_width": 1.5}},
        {"specaugment": {"time_masks": -1}},
        {"nois": {}},
        {"noise": {"kinds": []}},
        {"noise": {"kinds": ["folder"]}},
        {"noise": {"folder": "somewhere"}},
        {"room": {"low_rt60_s": 0.9}},
        {"speed": {"low_factor": 1.2}},
        {"band": {"most_low_hz": 4000.0}},
        {"rerecord": {"most_low_hz": 5000.0}},
        {"rawboost": {"algorithms": ["stationary", "stationary"]}},
        {"noise": {"kinds": ["white", "pink", "white"]}},
        {"codec": {"codecs": ["mp3", "mp3"]}},
        {"companding": {"laws": ["mu-law", "mu-law"]}},
        {"adversarial": {"epsilon": 3e-5}},
        {"resample": {"rates": [8]}},
        {"requantise": {"low_bits": 15}},
        {"codec": {"codecs": ["mp4"]}},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError):
        AugmentKnobs.read({"name": "light", **options})


def test_what_stands_twice_is_named():
    with pytest.raises(ConfigError, match=r"augment\.noise.*: kinds: white stands there twice; name each once"):
        AugmentKnobs.read({"noise": {"kinds": ["white", "pink", "white"]}}, at="augment")


def test_options_that_came_later_name_no_run_while_they_are_off():
    off = {"crop": "start", "shift": None, "polarity": None, "noise": None, "gain": None, "specaugment": None}
    assert AugmentKnobs().identity() == off
    assert light().identity() == {
        "crop": "random",
        "shift": {"p": 0.5, "max_ms": 500.0},
        "polarity": {"p": 0.5},
        "noise": {"p": 0.5, "low_db": 20.0, "high_db": 40.0},
        "gain": {"p": 0.5, "low_db": -12.0, "high_db": 6.0},
        "specaugment": {"band_masks": 2, "band_width": 0.15, "time_masks": 2, "time_width": 0.15},
    }
    assert only("codec").identity() == off | {"codec": only("codec").codec.plain()}
    assert only("noise", kinds=["pink"]).identity()["noise"]["kinds"] == ["pink"]


def test_light_draws_what_it_always_drew():
    drawn = light().wave(waves(8, 64), draws(8), RATE)
    torch.testing.assert_close(drawn[:, 7], torch.tensor(GOLDEN), atol=1e-6, rtol=0)


def test_a_fixed_parameter_is_allowed():
    assert (Gain(low_db=3.0, high_db=3.0).draw(draws(), 1000, RATE)["gain_db"] == 3.0).all()
