"""Checks for a masked gradient: a sound detector passes all of them, one that hides its gradient does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dfad.robustness.checks import Check, Outcome, masking_checks, stronger
from dfad.robustness.verdict import verdict
from dfad.robustness.victim import Victim
from tests.victims import linear, small, targets, told_rightly


class Hidden(nn.Module):
    """A network whose input or output is spoilt for whoever needs its gradient."""

    def __init__(self, network: nn.Module, how: str) -> None:
        super().__init__()
        self.network, self.how = network, how

    def forward(self, wave: Tensor) -> Tensor:
        if self.how == "quantised input":
            wave = (wave * 2000).round() / 2000
        score = self.network(wave)
        if self.how == "saturated output":
            return torch.tanh(1e4 * score)
        if self.how == "wrong gradient":  # the value of one function, the slope of another
            other = wave.flip(-1) @ self.network.weights
            return score.detach() + other - other.detach()
        return score


def failed(victim: Victim, surrogate: Victim | None = None) -> tuple[list[str], str]:
    checks = masking_checks(victim, told_rightly(victim, targets(24)), surrogate)
    return [check.name for check in checks if not check.passed], said_of(checks)


def said_of(checks: tuple[Check, ...]) -> str:
    return verdict([check.plain() for check in checks])


def test_a_sound_detector_passes() -> None:
    names, said = failed(linear(), linear())
    assert names == []
    assert said == "all 6 checks for a masked gradient passed"


def test_a_sound_network_behind_a_frontend_passes() -> None:
    victim = small(samples=4000)
    found = told_rightly(victim, targets(16, 4000, threshold=float(victim.query(targets(16, 4000).clean).median())))
    checks = masking_checks(victim, found)
    assert all(check.passed for check in checks), said_of(checks)


@pytest.mark.parametrize("how", ["quantised input", "saturated output", "wrong gradient"])
def test_a_hidden_gradient_is_found_out(how: str) -> None:
    sound = linear()
    names, said = failed(Victim(sound.frontend, Hidden(sound.network, how)), sound)
    assert names
    assert said.startswith(f"{len(names)} of 6 checks for a masked gradient failed ({', '.join(names)}): attacks may")
    assert ("the gradient reaches the waveform" in names) == (how != "wrong gradient")
    assert "the white box is no weaker than transfer" in names


def test_silent_clips_need_no_gradient() -> None:
    victim, found = linear(), targets(4)
    found.wave[0] = 0
    assert masking_checks(victim, found)[0].words == "the score of 3 of 3 clips has a gradient"


def test_where_no_clip_was_right_nothing_can_be_told() -> None:
    victim = linear()
    right = told_rightly(victim, targets(8))
    checks = masking_checks(victim, replace(right, label=1 - right.label))
    assert [check.passed for check in checks][1:] == [None] * 4
    assert "no clip was right before" in checks[-1].words
    assert said_of(checks).startswith("4 of 5 checks for a masked gradient cannot be told (PGD is no weaker than FGSM")


def test_without_clips_there_is_nothing_to_check() -> None:
    with pytest.raises(ValueError, match="clips"):
        masking_checks(linear(), targets(4).some(torch.arange(0)))


@pytest.mark.parametrize(
    ("strong", "weak", "passed"),
    [
        (Outcome(20, 20, 3.0), Outcome(20, 10, 1.0), True),
        (Outcome(20, 9, 1.0), Outcome(20, 10, 1.0), True),  # one clip is chance
        (Outcome(20, 8, 1.0), Outcome(20, 10, 1.0), False),
        (Outcome(20, 20, 0.99), Outcome(20, 20, 1.0), True),
        (Outcome(20, 20, 0.9), Outcome(20, 20, 1.0), False),
        (Outcome(20, 0, 0.0), Outcome(20, 0, 0.0), True),
        (Outcome(0, 0, 1.0), Outcome(0, 0, 1.0), None),
        (Outcome(0, 0, 0.5), Outcome(0, 0, 1.0), False),
    ],
)
def test_who_is_stronger(strong: Outcome, weak: Outcome, passed: bool | None) -> None:
    check = stronger("a is no weaker than b", "a", strong, "b", weak)
    assert check.passed is passed
    assert check.words.startswith(f"a turned {strong}; b {weak}")
    assert check.plain() == {"name": check.name, "passed": passed, "words": check.words}
