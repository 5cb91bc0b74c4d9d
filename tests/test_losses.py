"""Losses: what the papers say in plain NumPy, and what becomes of a run whose raw scores are cosines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import dfad
from dfad.deployed import Raw
from dfad.errors import ConfigError
from dfad.losses import LOSSES, LossKnobs, additive_margin, cross_entropy, focal, one_class
from dfad.report.tables import metric_rows, threshold_table
from dfad.scores import ScoreTable
from dfad.training.config import EvalConfig, TrainConfig
from dfad.training.evaluation import evaluate_run
from dfad.training.fit import train
from dfad.training.scoring import SILENT

LN2 = math.log(2)
every_loss = pytest.mark.parametrize("name", list(LOSSES))


def clips(count: int = 50, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outputs, labels and weights of clips."""
    random = np.random.default_rng(0)
    return random.normal(0, spread, count), random.integers(0, 2, count), random.uniform(0.5, 2, count)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def of(name: str, **options: Any) -> LossKnobs:
    return LOSSES[name].read({"name": name, **options})


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "output", "label", "expected"),
    [
        ("cross_entropy", 0.0, 1, LN2),
        ("cross_entropy", math.log(3), 1, math.log(4 / 3)),
        ("cross_entropy", math.log(3), 0, math.log(4)),
        ("focal", 0.0, 0, LN2 / 4),
        ("focal", math.log(3), 1, math.log(4 / 3) / 16),
        ("one_class", 0.9, 1, LN2),
        ("one_class", 0.2, 0, LN2),
        ("one_class", 0.9 + math.log(3) / 20, 1, math.log(4 / 3)),
        ("one_class", 0.2 - math.log(3) / 20, 0, math.log(4 / 3)),
        ("additive_margin", 0.9, 1, LN2),
        ("additive_margin", -0.9, 0, LN2),
        ("additive_margin", 0.9 - math.log(3) / 20, 1, math.log(4)),
    ],
)
def test_a_clip_worked_by_hand(name: str, output: float, label: int, expected: float) -> None:
    found = of(name)(*tensors(np.array([output]), np.array([label]), np.array([2.0])))
    assert found.item() == pytest.approx(2 * expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_probabilities(smoothing: float) -> None:
    s, y, w = clips()
    p, t = 1 / (1 + np.exp(-s)), (1 - smoothing) * y + smoothing / 2
    expected = np.mean(w * -(t * np.log(p) + (1 - t) * np.log(1 - p)))
    assert cross_entropy(*tensors(s, y, w), smoothing=smoothing).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, None), (2.0, None), (2.0, 0.25), (0.5, 0.9)])
def test_focal_is_that_of_probabilities(gamma: float, alpha: float | None) -> None:
    s, y, w = clips()
    p = 1 / (1 + np.exp(-s))
    right = np.where(y == 1, p, 1 - p)
    of_class = 1.0 if alpha is None else np.where(y == 1, alpha, 1 - alpha)
    expected = np.mean(w * of_class * -((1 - right) ** gamma) * np.log(right))
    assert focal(*tensors(s, y, w), gamma=gamma, alpha=alpha).item() == pytest.approx(expected, rel=1e-12)


def test_one_class_is_the_softplus_of_the_paper() -> None:
    s, y, w = clips(spread=0.4)
    paper = 1 - y  # there bona fide is 0
    expected = np.mean(w * np.log(1 + np.exp(7 * (np.where(y == 1, 0.8, 0.1) - s) * (-1.0) ** paper)))
    assert one_class(*tensors(s, y, w), scale=7, margins=(0.8, 0.1)).item() == pytest.approx(expected, rel=1e-12)


def test_additive_margin_is_a_softmax_over_two_cosines_and_knows_their_difference_only() -> None:
    cosines, y, w = np.random.default_rng(1).uniform(-1, 1, (50, 2)), *clips()[1:]
    rows = np.arange(50)
    logits = 9 * (cosines - 0.3 * np.eye(2)[y])  # spoof, bona fide
    expected = np.mean(w * (np.log(np.exp(logits).sum(1)) - logits[rows, y]))
    difference = cosines[:, 1] - cosines[:, 0]
    found = additive_margin(*tensors(difference, y, w), scale=9, margin=0.3)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@every_loss
def test_slopes_are_those_of_small_steps_and_pull_towards_the_label(name: str) -> None:
    loss, (s, y, w) = of(name), clips(8, spread=0.7)
    x, labels, weights = tensors(s, y, w)
    x.requires_grad_()
    loss(x, labels, weights).backward()
    assert x.grad is not None
    for clip in range(8):
        step = np.zeros(8)
        step[clip] = 1e-6
        up, down = (loss(torch.from_numpy(s + sign * step), labels, weights).item() for sign in (1, -1))
        assert x.grad[clip].item() == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-9)
    assert ((x.grad < 0) == (labels == 1)).all()


@every_loss
@pytest.mark.parametrize("far", [1e2, 1e4])
def test_far_outputs_have_finite_losses_and_slopes(name: str, far: float) -> None:
    x = torch.tensor([far, -far, far, -far], requires_grad=True)
    loss = of(name, **({"gamma": 0.5} if name == "focal" else {}))(x, torch.tensor([1, 1, 0, 0]), torch.ones(4))
    loss.backward()
    assert loss.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_default_is_the_loss_of_before_bit_for_bit() -> None:
    s, y, w = (tensor.float() if tensor.is_floating_point() else tensor for tensor in tensors(*clips(37)))
    slopes = []
    for loss in (of("cross_entropy"), lambda x, y, w: F.binary_cross_entropy_with_logits(x, y.float(), weight=w)):
        x = s.clone().requires_grad_()
        value = loss(x, y, w)
        value.backward()
        slopes.append((value, x.grad))
    assert torch.equal(slopes[0][0], slopes[1][0])
    assert torch.equal(slopes[0][1], slopes[1][1])


def test_smoothing_and_focus_of_nothing_are_cross_entropy() -> None:
    batch = tensors(*clips())
    expected = of("cross_entropy")(*batch)
    torch.testing.assert_close(of("focal", gamma=0.0)(*batch), expected)


def test_what_outputs_are() -> None:
    assert of("cross_entropy").raw == of("focal").raw == Raw()
    assert of("one_class").raw == Raw(unit="cosine", scale=20, middle=0.55)
    assert of("additive_margin", scale=30.0).raw == Raw(unit="cosine", scale=30)


def test_margins_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ConfigError, match="is below margin_spoof"):
        of("one_class", margin_bona_fide=0.1)


# --- in a run ------------------------------------------------------------------------------------


def config(manifest_csv: Path, runs: Path, loss: dict[str, Any] | None, **more: Any) -> TrainConfig:
    values = {
        "data": {"name": "manifest", "path": str(manifest_csv), "batch_size": 8},
        "frontend": {"name": "logmel", "crop_s": 0.5, "n_mels": 24},
        "model": {"name": "cnn", "channels": [4, 8], "lr": 0.02, "dropout": 0.0},
        "augment": {"name": "none"},
        "trainer": {"accelerator": "cpu", "max_epochs": 8},
        "eval": {"resamples": 50},
        "runs": str(runs),
        **more,
    }
    return TrainConfig.read(values | ({"loss": loss} if loss else {}))


def test_the_default_is_no_part_of_a_runs_name(manifest_csv: Path, tmp_path: Path) -> None:
    def identity(loss: dict[str, Any] | None) -> dict[str, Any]:
        return config(manifest_csv, tmp_path, loss).identity()

    assert "loss" not in identity(None)
    assert identity({"name": "cross_entropy", "smoothing": 0.0}) == identity(None)
    assert identity({"name": "cross_entropy", "smoothing": 0.1})["loss"]["smoothing"] == 0.1
    assert identity({"name": "focal"})["loss"]["name"] == "focal"


@pytest.mark.parametrize(
    ("loss", "calibrator", "answer"),
    [
        ("one_class", "none", "use eval.calibrator=logistic or isotonic"),
        ("additive_margin", "none", "use eval.calibrator=logistic or isotonic"),
        ("one_class", "temperature", "draws the line at 0.55"),
        ("additive_margin", "temperature", None),
        ("focal", "none", None),
    ],
)
def test_cosines_are_never_left_without_a_calibrator(
    loss: str, calibrator: str, answer: str | None, manifest_csv: Path, tmp_path: Path
) -> None:
    def made() -> TrainConfig:
        return config(manifest_csv, tmp_path, {"name": loss}, eval={"calibrator": calibrator})

    if answer is None:
        assert made().loss.name == loss
    else:
        with pytest.raises(ConfigError, match=answer):
            made()


@pytest.fixture(scope="module")
def cosines(manifest_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with the one-class loss."""
    made = config(manifest_csv, tmp_path_factory.mktemp("cosines"), {"name": "one_class"}, seed=2)
    return train(made, SILENT).run.folder


def test_a_run_of_cosines_shows_calibrated_log_odds(cosines: Path, manifest_csv: Path) -> None:
    results, table = json.loads((cosines / "metrics.json").read_text()), ScoreTable.read(cosines / "scores/test.csv")
    assert np.abs(table.scores).max() <= 1
    assert not {"test/cllr", "test/act_dcf", "val/cllr"} & set(results["values"])
    assert results["values"]["test/cllr_calibrated"] is not None
    assert results["raw"] == {"unit": "cosine", "scale": 20.0, "middle": 0.55}
    assert [note for note in results["notes"] if "cosines" in note] == [
        "scores and thresholds are cosines, as the loss gives them; Cllr, actDCF and P(spoof) are calibrated"
    ]
    header, rows = threshold_table(results, "test")
    assert (header[1], rows[0][1]) == ("0.55, as trained", "0.55")
    accepted = (table.scores >= 0.55) == (table.labels == 1)
    assert results["values"]["test/accuracy"] == pytest.approx(accepted.mean())
    assert "Cllr, bits" not in [row[0] for row in metric_rows(results, ("val", "test"))]
    result = dfad.load(cosines)(manifest_csv.parent / "test-spoof-0.wav")
    assert (result.calibrated, result.unit) == (True, "log-likelihood ratio")
    assert result.p_spoof == pytest.approx(1 / (1 + math.exp(result.score)))


def test_a_bare_checkpoint_of_cosines_says_so(cosines: Path, manifest_csv: Path, trained: Path) -> None:
    path, clip = cosines / "checkpoints" / "best.ckpt", manifest_csv.parent / "test-spoof-0.wav"
    result = dfad.load(path)(clip)
    assert (result.unit, result.calibrated, result.threshold) == ("cosine", False, 0.55)
    assert math.isnan(result.p_spoof)
    assert result.verdict == ("bona-fide" if result.score >= 0.55 else "spoof")
    assert dfad.load(trained / "checkpoints" / "best.ckpt")(clip).unit == "log-odds"


def test_evaluations_of_cosines_know_them(cosines: Path, manifest_csv: Path, tmp_path: Path) -> None:
    def evaluated(run: Path, **more: Any) -> dict[str, Any]:
        values = {"run": str(run), "trainer": {"accelerator": "cpu"}, **more}
        return evaluate_run(EvalConfig.read(values), SILENT).results

    assert evaluated(cosines)["raw"]["middle"] == 0.55
    with pytest.raises(ConfigError, match=r"use eval\.calibrator=logistic"):
        evaluated(cosines, eval={"calibrator": "none"})
    bare = tmp_path / "bare.ckpt"
    bare.write_bytes((cosines / "checkpoints" / "best.ckpt").read_bytes())
    results = evaluated(bare, data={"name": "manifest", "path": str(manifest_csv)})
    assert "no calibrator comes with them" in " ".join(results["notes"])
    assert "test/cllr" not in results["values"]


def test_the_report_of_cosines_calls_them_so(cosines: Path, command: Callable[..., Any]) -> None:
    code, out, err = command("evaluate", cosines, "--report", "page.html", "--resamples", "0")
    assert code == 0, err
    assert "0.55, as trained" in out
    page = Path("page.html").read_text()
    assert "Scores are cosines" in page
    assert "log-odds of bona fide: higher" not in page
    code, _, err = command("evaluate", cosines, "--calibrator", "none")
    assert (code, "use eval.calibrator=logistic" in err) == (2, True)
