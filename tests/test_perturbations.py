"""Perturbations of the suite: what each does at its strengths, and what it draws for a clip."""

from __future__ import annotations

from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from dfad.augment import AugmentKnobs
from dfad.errors import ConfigError
from dfad.robustness.adversaries import ADVERSARIES
from dfad.robustness.budget import snr_db
from dfad.robustness.conditions import CLEAN
from dfad.robustness.given import Given, Voices, keys_of
from dfad.robustness.options import RobustnessKnobs, rows
from dfad.robustness.perturbations import LAUNDERING, Perturbation
from dfad.robustness.trained_by import seen_in
from tests.conftest import ROOT

RATE = 16000
ALL = [pytest.param(each, id=name) for name, each in LAUNDERING.items() if not each.lacking()]


def speechlike(clips: int = 3, seconds: float = 1.0) -> Tensor:
    """Bursts of harmonics and noise, some silence between: at several levels, one of them near full scale."""
    random = torch.Generator().manual_seed(0)
    time = torch.arange(round(seconds * RATE)) / RATE
    waves = []
    for clip in range(clips):
        buzz = sum(torch.sin(2 * torch.pi * (110 + 30 * clip) * k * time) / k for k in range(1, 20))
        noisy = buzz + 0.3 * torch.randn(len(time), generator=random)
        wave = noisy * (torch.sin(2 * torch.pi * (2 + clip) * time) > -0.5)
        waves.append(wave / wave.abs().max() * (0.99, 0.3, 0.05)[clip % 3])
    return torch.stack(waves)


def given(ids: list[str], seed: int = 0) -> Given:
    others = speechlike(12)
    return Given(seed, torch.from_numpy(keys_of(ids)), Voices(others, torch.from_numpy(keys_of(list("abcdefghijkl")))))


IDS = ["one.wav", "two.wav", "three.wav"]


@pytest.mark.parametrize("perturbation", [each for each in ALL if each.values[0].rest is not None])
def test_at_rest_a_clip_stays_as_it_is_bit_for_bit(perturbation: Perturbation) -> None:
    wave = speechlike()
    wave[0] *= 1.2  # as a float file may hold it
    assert torch.equal(perturbation(wave, RATE, perturbation.rest, given(IDS)), wave)


@pytest.mark.parametrize("perturbation", ALL)
def test_every_strength_changes_a_clip_and_keeps_it_usable(perturbation: Perturbation) -> None:
    wave = torch.cat([speechlike(), torch.zeros(1, RATE)])
    keys = given([*IDS, "silence.wav"])
    before = wave.clone()
    found = [perturbation(wave, RATE, strength, keys) for strength in perturbation.strengths]
    assert torch.equal(wave, before)
    for done in found:
        assert done.shape == wave.shape
        assert done.dtype == torch.float32
        assert done.isfinite().all()
        assert done.abs().amax() <= 1.0
        if perturbation.name != "trim":  # there may be no silence to take away
            assert not torch.equal(done[:3], wave[:3])
    for one, other in pairwise(found):
        if perturbation.name != "trim":
            assert not torch.equal(one, other)


@pytest.mark.parametrize("perturbation", ALL)
def test_strengths_go_from_the_mildest_to_the_hardest(perturbation: Perturbation) -> None:
    strengths = [strength for strength in perturbation.strengths if strength is not None]
    assert strengths == sorted(strengths, reverse=perturbation.harder == "lower")
    assert len({condition.key for condition in perturbation.conditions}) == len(perturbation.strengths)
    assert not [wrong for strength in strengths if (wrong := perturbation.takes(strength))]


@pytest.mark.parametrize("perturbation", ALL)
def test_a_clip_is_perturbed_alike_whatever_its_neighbours(perturbation: Perturbation) -> None:
    wave, strength = speechlike(), perturbation.strengths[-1]
    together = perturbation(wave, RATE, strength, given(IDS))
    backwards = perturbation(wave.flip(0), RATE, strength, given(IDS[::-1])).flip(0)
    alone = torch.cat([perturbation(wave[i : i + 1], RATE, strength, given(IDS[i : i + 1])) for i in range(3)])
    torch.testing.assert_close(backwards, together, rtol=0, atol=2e-6)
    torch.testing.assert_close(alone, together, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["noise-white", "noise-pink", "noise-babble", "reverb", "rerecord"])
def test_what_is_drawn_hangs_on_the_id_and_the_seed_alone(name: str) -> None:
    wave, perturbation = speechlike(1).expand(2, -1), LAUNDERING[name]

    def noise(ids: list[str], seed: int = 0) -> Tensor:
        return perturbation(wave, RATE, perturbation.strengths[0], given(ids, seed)) - wave

    first = noise(["one.wav", "two.wav"])
    assert not torch.allclose(first[0], first[1], atol=1e-3)
    torch.testing.assert_close(noise(["two.wav", "one.wav"]), first.flip(0))
    assert not torch.allclose(noise(["one.wav", "two.wav"], seed=1), first, atol=1e-3)


@pytest.mark.parametrize("name", ["noise-white", "noise-pink", "noise-brown", "noise-babble"])
@pytest.mark.parametrize("ratio", [20.0, 10.0])
def test_noise_has_the_ratio_that_it_should(name: str, ratio: float) -> None:
    wave = 0.2 * speechlike()
    torch.testing.assert_close(
        snr_db(wave, LAUNDERING[name](wave, RATE, ratio, given(IDS))),
        torch.full((3,), ratio, dtype=torch.float64),
        rtol=0,
        atol=0.01,
    )


def test_the_noise_of_a_clip_is_the_same_at_every_ratio() -> None:
    wave, perturbation = 0.1 * speechlike(), LAUNDERING["noise-pink"]
    weak, strong = (perturbation(wave, RATE, ratio, given(IDS)) - wave for ratio in (20.0, 10.0))
    torch.testing.assert_close(strong, weak * 10**0.5, rtol=1e-3, atol=1e-5)


def test_nobody_babbles_behind_himself_and_a_voice_that_goes_is_replaced_alone() -> None:
    voices = torch.arange(8.0)[:, None].expand(8, 4)
    keys = torch.from_numpy(keys_of([f"{n}.wav" for n in range(8)]))
    behind = Given(0, keys, Voices(voices, keys)).others(3)[:, :, 0]
    assert all(len(set(row.tolist())) == 3 for row in behind)
    assert not (behind == torch.arange(8.0)[:, None]).any()
    assert len({tuple(row.tolist()) for row in behind}) > 1
    fewer = Given(0, keys, Voices(voices[1:], keys[1:])).others(3)[:, :, 0]
    for before, now in zip(behind.tolist(), fewer.tolist(), strict=True):
        assert set(before) - {0.0} <= set(now)


def test_re_recording_farther_away_is_harder() -> None:
    wave = 0.3 * speechlike()
    means = [snr_db(wave, LAUNDERING["rerecord"](wave, RATE, far, given(IDS))).mean() for far in (0.3, 1.0, 3.0)]
    assert means[0] > means[1] > means[2]


def test_a_key_of_a_clip_is_the_same_on_every_machine() -> None:
    digest = blake2b(b"a/b.wav", digest_size=8).digest()
    assert keys_of(["a/b.wav"]).tolist() == [int.from_bytes(digest, "little", signed=True)] == [6181923766925363038]
    assert keys_of(np.array(["x", "y"])).dtype == np.int64


def test_presets_have_the_conditions_that_they_name() -> None:
    assert RobustnessKnobs().conditions() == ()
    laundering = RobustnessKnobs(families=("laundering",)).conditions()
    assert laundering[0] == CLEAN
    assert {condition.name for condition in laundering[1:]} == set(LAUNDERING)
    both = RobustnessKnobs(families=("laundering", "adversarial")).conditions()
    assert len({condition.key for condition in both}) == len(both) > len(laundering)


def test_some_perturbations_at_other_strengths() -> None:
    knobs = RobustnessKnobs(families=("laundering",), only=("mp3", "gsm"), strengths={"mp3": (16.0, 32.0)})
    assert [condition.key for condition in knobs.conditions()] == ["clean", "mp3@16", "mp3@32", "gsm"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ["mp4"]}, r"no perturbation 'mp4' in laundering; did you mean 'mp3'"),
        ({"only": ["pgd-linf"]}, r"no perturbation 'pgd-linf' in laundering"),
        ({"strengths": {"mp3": [17.0]}}, r"strengths\.mp3=17: choose from: 16, 32, 64, 128 kbit/s"),
        ({"strengths": {"gsm": [13.0]}}, r"strengths\.gsm=13: it has only one strength"),
        ({"strengths": {"clipping": [1.5]}}, r"strengths\.clipping=1\.5: should be 0 to 1 of the peak"),
        ({"strengths": {"gain": [5000]}}, r"strengths\.gain=5000: should be -100 to 100 dB"),
        ({"strengths": {"noise-white": [-4000]}}, r"strengths\.noise-white=-4000: should be -60 to 100 dB"),
        ({"strengths": {"silence": [1e9]}}, r"strengths\.silence=1e\+09: should be 0 to 60 s"),
        ({"strengths": {"requantise": [7.5]}}, r"requantise=7\.5: should be 2 to 32 bits, whole numbers"),
        ({"strengths": {"silence": [0.1, 0.10000000001]}}, r"two strengths would both be called silence@0\.1"),
        ({"strengths": {"gain": []}}, r"robustness\.strengths\.gain=\[\]: needs at least 1"),
        ({"only": []}, r"robustness\.only=\[\]: needs at least 1"),
        ({"only": ["mp3"], "strengths": {"gain": [3]}}, r"strengths\.gain: gain is not among robustness\.only=\[mp3\]"),
        ({"families": [], "only": ["mp3"]}, r"robustness\.only chooses from a suite, .* add robustness=laundering"),
        ({"families": [], "strengths": {"mp3": [16]}}, r"robustness\.strengths chooses from a suite"),
        *(
            ({"families": ["adversarial"], "strengths": {name: [strength]}}, rf"strengths\.{name}={strength:g}: {said}")
            for name, strength, said in (
                ("fgsm", 0.0, "should be 3.05176e-05 to 1 of full scale"),
                ("pgd-linf", 3e-5, "should be 3.05176e-05 to 1 of full scale"),
                ("pgd-snr", 500.0, "should be -60 to 100 dB"),
                ("query", 0.5, "should be 2 to 100000 queries, whole numbers"),
                ("malafide", 33.7, "should be 2 to 65536 taps, whole numbers"),
            )
        ),
    ],
)
def test_what_there_is_not_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RobustnessKnobs.read({"families": ["laundering"], **options}, at="robustness").conditions()


def test_what_training_had_the_like_of() -> None:
    augment = AugmentKnobs.read(
        {"noise": {"kinds": ["white", "pink"]}, "codec": {"codecs": ["mp3"]}, "room": {}, "gain": {"p": 0.0}}
    )
    assert seen_in(augment) == {
        "noise-white": "augment.noise",
        "noise-pink": "augment.noise",
        "mp3": "augment.codec",
        "reverb": "augment.room",
    }
    assert seen_in(AugmentKnobs()) == {}


@pytest.mark.parametrize(
    ("augment", "seen"),
    [
        ({"rawboost": {}}, {"noise-white", "noise-pink", "noise-brown", "rawboost"}),
        ({"rawboost": {"algorithms": ["impulsive"]}}, {"rawboost"}),
        ({"rerecord": {}}, {"rerecord", "reverb", "noise-pink", "low-pass"}),
        ({"noise": {"kinds": ["folder"], "folder": "noises"}}, set()),
        ({"silence": {"trim_p": 0.0}}, {"silence"}),
        ({"silence": {"max_ms": 0.0}}, {"trim"}),
        ({"adversarial": {}}, {"fgsm", "pgd-linf", "pgd-restarts", "pgd-eot"}),
        ({"adversarial": {"norm": "l2", "epsilon": 0.1}}, {"pgd-l2", "pgd-snr"}),
        ({"shift": {}, "tilt": {}, "polarity": {}}, {"shift", "tilt", "polarity"}),
    ],
)
def test_what_an_effect_trains_for(augment: dict[str, object], seen: set[str]) -> None:
    assert set(seen_in(AugmentKnobs.read(augment))) == seen


def test_every_option_that_trains_is_one_of_augment() -> None:
    names = {
        option.split(":")[0] for each in (*LAUNDERING.values(), *ADVERSARIES.values()) for option in each.trained_by
    }
    assert names <= set(AugmentKnobs.model_fields)


@pytest.mark.parametrize("name", ["noise-white", "noise-brown", "noise-babble"])
def test_the_ratio_of_a_clip_that_is_scaled_down_is_that_of_its_noise(name: str) -> None:
    perturbation, wave = LAUNDERING[name], speechlike()
    wave = 0.99 * wave / wave.abs().amax(-1, keepdim=True)
    done, scale = perturbation.scaled(wave, RATE, 0.0, given(IDS))
    assert (scale < 0.9).all()
    torch.testing.assert_close(snr_db(wave * scale, done), torch.zeros(3, dtype=torch.float64), rtol=0, atol=0.1)


def test_tables_in_the_docs_are_those_of_the_suite() -> None:
    text = (ROOT / "docs" / "robustness.md").read_text()
    for table in (LAUNDERING, ADVERSARIES):
        lines = ["|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows(table))]
        assert "\n".join(["| name | strengths | can be asked for | what it does |", *lines, "", ""]) in text
