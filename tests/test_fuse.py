"""`dfad fuse`: weights, the network that hears as each member does, and that the run is taken by everything."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import dfad
from dfad.calibrate import Isotonic, Logistic, Temperature
from dfad.checkpoint import Checkpoint
from dfad.deployed import Deployed
from dfad.effects.resampling import to_rate
from dfad.errors import ConfigError, MetricError
from dfad.fusing import logistic, mean_of
from dfad.networks.fusion import Fusion
from dfad.scores import ScoreTable
from dfad.training.config import TrainConfig
from dfad.training.fit import train
from dfad.training.scoring import SILENT
from tests.conftest import SMALL, Called
from tests.test_config import composed
from tests.test_eval_command import evaluated
from tests.test_frontends import noise, tone

# --- weights -------------------------------------------------------------------------------------


def two_classes(clips: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two detectors, the second twice as far from its own noise; and a third that guesses."""
    random = np.random.default_rng(seed)
    labels = np.arange(clips) % 2
    sign = 2 * labels - 1
    scores = np.stack([sign + random.normal(size=clips), 10 * (sign + 0.5 * random.normal(size=clips)) + 3], -1)
    return np.concatenate([scores, random.normal(size=(clips, 1))], -1), labels


def test_the_mean_is_that_of_calibrated_scores() -> None:
    calibrators = [Logistic(slope=2.0, offset=-1.0), Temperature(temperature=4.0), Logistic(slope=0.5, offset=3.0)]
    weights, offset = mean_of(calibrators)
    scores = two_classes()[0]
    expected = np.mean([calibrate(scores[:, at]) for at, calibrate in enumerate(calibrators)], axis=0)
    np.testing.assert_allclose(scores @ weights + offset, expected)


@pytest.mark.parametrize("calibrator", [None, Isotonic(scores=(0.0, 1.0), ratios=(-1.0, 1.0))])
def test_a_mean_needs_straight_lines(calibrator: Isotonic | None) -> None:
    with pytest.raises(MetricError, match="which is no straight line"):
        mean_of([Temperature(temperature=1.0), calibrator])


def test_logistic_weights_are_the_best_ones() -> None:
    scores, labels = two_classes()
    weights, offset = logistic(scores, labels)
    target = np.where(labels == 1, 201 / 202, 1 / 202)  # Platt's, of 200 clips of each class

    def loss(line: np.ndarray) -> float:  # another optimiser, another parametrisation, no gradient
        logit = scores @ line[:3] + line[3]
        return float(np.mean(np.logaddexp(0, logit) - target * logit))

    best = minimize(loss, np.array([1, 0.1, 0, 0.0]), method="Nelder-Mead", options={"maxiter": 20000, "fatol": 1e-13})
    assert loss(np.array([*weights, offset])) == pytest.approx(best.fun, abs=2e-3)
    assert weights[1] * 10 > weights[0] > 5 * abs(weights[2])


def test_logistic_weights_do_not_depend_on_units() -> None:
    scores, labels = two_classes()
    weights, offset = logistic(scores, labels)
    units, shift = np.array([100.0, 0.01, 7.0]), np.array([5.0, -1.0, 40.0])
    others, other = logistic(scores * units + shift, labels)
    np.testing.assert_allclose((scores * units + shift) @ others + other, scores @ weights + offset, atol=1e-4)


def test_a_detector_that_counts_against_itself_is_left_out() -> None:
    scores, labels = two_classes()
    scores[:, 0] *= -1
    weights, _ = logistic(scores, labels)
    assert weights[0] == 0
    assert weights[1] > 0
    with pytest.raises(MetricError, match="do not rise from spoof to bona fide"):
        logistic(scores[:, :1], labels)


def test_twins_share_their_weight() -> None:
    scores, labels = two_classes()
    weights, _ = logistic(scores[:, [0, 0]], labels)
    assert weights[0] == pytest.approx(weights[1], rel=1e-3)


# --- resampling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11025])
def test_resampling_keeps_what_fits_and_drops_what_does_not(rate: int) -> None:
    inner = slice(500, -500)
    kept = to_rate(tone(1000), 16000, rate)
    assert kept.shape[-1] == rate
    torch.testing.assert_close(kept[:, inner], tone(1000, rate, rate)[:, inner], atol=1e-3, rtol=0)
    assert to_rate(tone(6500), 16000, rate)[:, inner].abs().max() < 1e-3
    assert to_rate(tone(1000), 16000, 16000).equal(tone(1000))


# --- runs ----------------------------------------------------------------------------------------

OTHERS = {  # crop, features and rate of their own
    "lfcc": ("frontend=lfcc", "frontend.crop_s=0.4", "seed=1"),
    "slow": ("frontend=logmel", "frontend.sample_rate=8000", "frontend.n_fft=256", "frontend.n_mels=20", "seed=2"),
}


@pytest.fixture(scope="module")
def runs(trained: Path, manifest_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three finished runs of the same clips."""
    home = tmp_path_factory.mktemp("fused") / "runs"
    found = {"logmel": shutil.copytree(trained, home / trained.name)}
    small = [word for word in SMALL if not word.startswith(("frontend.", "trainer.max"))]
    for name, words in OTHERS.items():
        usual = ("data=manifest", f"data.path={manifest_csv}", f"runs={home}", "trainer.max_epochs=2")
        found[name] = train(TrainConfig.read(composed("train", *usual, *small, *words)), SILENT).run.folder
    return found


@pytest.fixture
def fuse(command: Called, monkeypatch: pytest.MonkeyPatch) -> Called:
    """Call the command; pictures take seconds."""
    monkeypatch.setattr("dfad.commands.reports.report_of", lambda *_, **__: None)
    return partial(command, "fuse")


@pytest.fixture
def fused(runs: dict[str, Path], fuse: Called, tmp_path: Path) -> Path:
    """The mean of two runs that hear at the same rate."""
    code, out, err = fuse(runs["logmel"], runs["lfcc"], "--out", tmp_path / "runs" / "both")
    assert code == 0, err
    assert "by mean" in out
    return tmp_path / "runs" / "both"


def test_a_fusion_is_the_mean_of_what_its_members_ship(runs: dict[str, Path], fused: Path, manifest_csv: Path) -> None:
    both, apart = dfad.load(fused), [dfad.load(runs[name]) for name in ("logmel", "lfcc")]
    for clip in ("test-spoof-1.wav", "test-bona-fide-2.wav"):
        found = both(manifest_csv.parent / clip, first=True)
        expected = np.mean([each(manifest_csv.parent / clip, first=True).score for each in apart])
        assert found.raw_score == pytest.approx(expected, abs=1e-5)
        assert found.calibrated
    short = 0.1 * noise(samples=5000)[0].numpy()  # shorter than either crop: repeated, as for each
    assert both(short, 16000).raw_score == pytest.approx(
        np.mean([each(short, 16000).score for each in apart]), abs=1e-5
    )


def test_its_stored_scores_are_those_that_it_gives(fused: Path) -> None:
    folder, results = evaluated(fused)
    stored, found = ScoreTable.read(fused / "scores" / "test.csv"), ScoreTable.read(folder / "scores.csv")
    assert list(stored.frame["id"]) == list(found.frame["id"])
    np.testing.assert_allclose(found.scores, stored.scores, atol=1e-5)
    kept = Deployed.of_run(fused)
    assert kept is not None
    assert kept.calibrator is not None
    assert results["values"]["test/eer"] == json.loads((fused / "metrics.json").read_text())["values"]["test/eer"]
    assert not any("not finished" in note for note in results["notes"])


def test_a_fusion_can_be_attacked(fused: Path) -> None:
    words = ("robustness=adversarial", "robustness.only=[fgsm]", "robustness.clips=4")
    suite = json.loads((evaluated(fused, *words)[0] / "robustness.json").read_text())
    assert suite["conditions"]
    network, wave = Checkpoint.read(fused / "checkpoints" / "best.ckpt").network(), noise(2).requires_grad_()
    assert isinstance(network, Fusion)
    network(wave).sum().backward()
    assert wave.grad is not None
    assert (wave.grad.abs().sum(-1) > 0).all()


def test_runs_and_compare_take_it(fused: Path, runs: dict[str, Path], command: Called) -> None:
    code, out, _ = command("runs", fused.parent, "--json")
    (row,) = json.loads(out)
    assert (code, row["status"], row["model"]) == (0, "finished", "fusion")
    assert command("compare", fused, runs["lfcc"])[0] == 0


def test_members_of_other_rates_hear_at_theirs(runs: dict[str, Path], fuse: Called, manifest_csv: Path) -> None:
    code, out, _ = fuse(*runs.values(), "--by", "logistic")
    assert code == 0
    assert "different sample rates" in out
    (folder,) = runs["lfcc"].parent.glob("fusion-raw-manifest-*")
    made = json.loads((folder / "made.json").read_text())
    network, clip = (
        Checkpoint.read(folder / "checkpoints" / "best.ckpt").network(),
        manifest_csv.parent / "test-spoof-0.wav",
    )
    assert isinstance(network, Fusion)
    wave = torch.from_numpy(dfad.audio.load(clip, sample_rate=16000)[:32000])
    wave = torch.from_numpy(dfad.audio.fit(wave.numpy(), network.knobs.hears.crop_samples))[None]
    apart = [dfad.load(run)(clip, first=True).raw_score for run in runs.values()]
    np.testing.assert_allclose(network.each(wave)[0].detach(), apart, atol=2e-2)
    values = np.dot([member["weight"] for member in made["members"]], apart) + made["offset"]
    table = ScoreTable.read(folder / "scores" / "test.csv").frame.set_index("id")["score"]
    assert table["test-spoof-0.wav"] == pytest.approx(values, abs=1e-4)
    again = fuse(*runs.values(), "--by", "logistic")
    assert "is there already" in again[1]
    shutil.rmtree(folder)


def test_what_cannot_be_fused_is_refused(runs: dict[str, Path], fused: Path, fuse: Called, tmp_path: Path) -> None:
    one, other = runs["logmel"], shutil.copytree(runs["lfcc"], tmp_path / "other")
    assert "two runs or more" in fuse(one)[2]
    assert "two runs or more" in fuse(one, one)[2]
    assert "a fusion itself" in fuse(one, fused)[2]
    assert "there is no" in fuse(one, tmp_path / "nowhere")[2]
    assert "holds another run" in fuse(one, runs["slow"], "--by", "logistic", "--out", fused)[2]
    deployed = json.loads((other / "deployed.json").read_text())
    (other / "deployed.json").write_text(json.dumps({**deployed, "calibrator": None, "notes": []}))
    assert ": no calibrator, which is no straight line; type the command that trained it with" in fuse(one, other)[2]
    reason = "no calibrator could be fitted on validation: for a reason"
    (other / "deployed.json").write_text(json.dumps({**deployed, "calibrator": None, "notes": [reason]}))
    assert f"{reason}; leave it out, or fuse by --by logistic" in fuse(one, other)[2]
    table = ScoreTable.read(other / "scores" / "val.csv")
    table.where(np.arange(len(table)) > 0).write(other / "scores" / "val.csv")
    code, _, err = fuse(one, other, "--by", "logistic")
    assert code == 2
    assert "validated or tested on different clips" in err
    (other / "metrics.json").unlink()
    assert "has no results of validation yet" in fuse(one, other)[2]


def test_a_fusion_takes_the_waveform_that_its_members_need(fused: Path) -> None:
    knobs = Checkpoint.read(fused / "checkpoints" / "best.ckpt").knobs
    assert knobs.frontend.crop_s == 0.5
    with pytest.raises(ConfigError, match="needs frontend=raw"):
        knobs.model.build(knobs.frontend.model_copy(update={"crop_s": 1.0}))
