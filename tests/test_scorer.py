"""The scorer: a checkpoint alone gives the score, and nothing that is not one is trusted."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import dfad
from dfad.checkpoint import FORMAT, Checkpoint, DetectorKnobs
from dfad.deployed import Deployed
from dfad.errors import AudioError, RunError
from dfad.frontends import LogMelKnobs
from dfad.networks.cnn import CNNKnobs
from dfad.scorer import Scorer

KNOBS = DetectorKnobs(frontend=LogMelKnobs(crop_s=0.5), model=CNNKnobs(channels=(4, 8)), attacks=("A01",))
RATE = 16000


def content(**changes: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    weights = KNOBS.model.build(KNOBS.frontend).state_dict()
    return {
        "dfad": {**KNOBS.plain(), **changes},
        "state_dict": {f"network.{name}": value for name, value in weights.items()},
        "optimizer_states": [],
    }


def saved(path: Path, what: Any) -> Path:
    torch.save(what, path)
    return path


def noise(samples: int = 12000, channels: int | None = None, seed: int = 0) -> np.ndarray:
    shape = samples if channels is None else (samples, channels)
    return (0.1 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("scorer") / "best.ckpt", content())


@pytest.fixture(scope="module")
def scorer(checkpoint: Path) -> Scorer:
    return dfad.load(checkpoint)


def give_score(scorer: Scorer, score: float, monkeypatch: pytest.MonkeyPatch) -> dfad.Result:
    monkeypatch.setattr(scorer, "score", lambda wave: torch.full((len(wave),), score))
    return scorer(noise(), RATE)


def run_folder(checkpoint: Path, folder: Path, deployed: str | None = None) -> None:
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/best.ckpt").write_bytes(checkpoint.read_bytes())
    if deployed is not None:
        (folder / "deployed.json").write_bytes(deployed.encode("latin-1"))


def lone_line(error: pytest.ExceptionInfo[RunError]) -> str:
    assert "Traceback" not in str(error.value)
    return str(error.value).splitlines()[0]


# --- what it says --------------------------------------------------------------------------------


def test_the_score_is_that_of_frontend_and_network(checkpoint, scorer):
    wave = torch.from_numpy(noise()[None, :8000])
    network, frontend = Checkpoint.read(checkpoint).network(), KNOBS.frontend.build()
    assert scorer(noise(), RATE, first=True).score == pytest.approx(network(frontend(wave)).item(), abs=1e-6)


def test_a_checkpoint_says_what_it_is(checkpoint):
    found = Checkpoint.read(checkpoint)
    assert found.knobs == KNOBS
    assert not found.network().training


@pytest.mark.parametrize("score", [-3e38, -1e4, -700.5, -3.0, 0.0, 3.0, 700.5, 1e4, 3e38, float("inf"), -float("inf")])
def test_p_spoof_is_the_rest_of_the_sigmoid(scorer, monkeypatch, score):
    result = give_score(scorer, score, monkeypatch)
    assert 0 <= result.p_spoof <= 1
    assert result.p_spoof + torch.sigmoid(torch.tensor(score, dtype=torch.float64)).item() == pytest.approx(1)
    assert result.score == pytest.approx(score)
    assert not result.calibrated


def test_p_spoof_of_a_moderate_score(scorer, monkeypatch):
    assert give_score(scorer, 1.0, monkeypatch).p_spoof == pytest.approx(1 / (1 + exp(1.0)))


@pytest.mark.parametrize(("score", "verdict"), [(0.5, "bona-fide"), (0.499, "spoof"), (0.501, "bona-fide")])
def test_the_verdict_falls_at_the_threshold(checkpoint, monkeypatch, score, verdict):
    result = give_score(Scorer(Checkpoint.read(checkpoint), Deployed(threshold=0.5)), score, monkeypatch)
    assert (result.verdict, result.threshold) == (verdict, 0.5)


def test_scores_do_not_depend_on_the_batch(scorer):
    waves = torch.from_numpy(np.stack([noise(8000, seed=seed) for seed in range(5)]))
    alone = torch.cat([scorer.score(wave[None]) for wave in waves])
    torch.testing.assert_close(scorer.score(waves), alone, atol=1e-5, rtol=1e-5)


# --- what it hears -------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
@pytest.mark.parametrize("channels", [None, 1, 2])
@pytest.mark.parametrize("seconds", [0.3, 0.5, 2.0])
def test_file_and_array_give_the_same(scorer, tmp_path, rate, channels, seconds):
    wave = noise(round(seconds * rate), channels)
    soundfile.write(tmp_path / "x.wav", wave, rate, subtype="FLOAT")
    from_file, from_array = scorer(tmp_path / "x.wav"), scorer(wave, rate)
    assert from_file.score == pytest.approx(from_array.score, abs=1e-4)
    assert scorer(str(tmp_path / "x.wav")) == from_file


def test_only_the_first_seconds_count_where_that_is_asked_for(scorer):
    other = np.concatenate([noise()[:8000], noise(4000, seed=1)])
    assert scorer(noise(), RATE, first=True) == scorer(other, RATE, first=True)
    assert scorer(noise(), RATE).score != scorer(other, RATE).score


def test_a_short_clip_is_repeated(scorer):
    repeated = scorer(np.tile(noise(3000), 3), RATE, first=True)
    assert scorer(noise(3000), RATE).score == scorer(noise(3000), RATE, first=True).score == repeated.score


@pytest.mark.parametrize(
    "wave",
    [
        noise().astype(np.float64),
        noise().astype(">f4"),
        np.asfortranarray(noise(12000, 2)),
        noise()[::-1],
        noise(24000)[::2],
        np.broadcast_to(noise()[:, None], (12000, 2)),
    ],
    ids=["float64", "big-endian", "Fortran", "reversed", "strided", "read-only"],
)
def test_any_layout_of_an_array_will_do(scorer, wave):
    same = np.ascontiguousarray(wave, dtype=np.float32)
    assert scorer(wave, RATE).score == pytest.approx(scorer(same, RATE).score, abs=1e-6)


def test_silence_has_a_score(scorer):
    assert np.isfinite(scorer(np.zeros(8000, np.float32), RATE).score)


@pytest.mark.parametrize(
    ("wave", "rate", "message"),
    [
        (noise(), None, "needs its sample rate"),
        (noise(), 0, "sample rate 0 Hz, expected 4000"),
        (noise(), -16000, "sample rate -16000 Hz"),
        (noise(), 10**9, "expected 4000 to 384000"),
        ((noise() * 32767).astype(np.int16), RATE, "floating-point samples.*int16"),
        (noise(12000, 2).T, RATE, r"\(samples, channels\), found the shape \(2, 12000\)"),
        (noise().reshape(10, 30, 40), RATE, "found the shape"),
        (np.full((), 0.5), RATE, "found the shape"),
        (np.zeros((12000, 0), np.float32), RATE, "found the shape"),
        (np.zeros(0, np.float32), RATE, "0.000 s long, at least 0.1 s"),
        (noise(1), RATE, "at least 0.1 s"),
        (np.array([np.nan] * 8000), RATE, "NaN or infinite"),
        (np.array([np.inf] * 8000), RATE, "NaN or infinite"),
        (np.array([1e300] * 8000), RATE, "NaN or infinite"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_arrays_that_are_no_sound_are_refused(scorer, wave, rate, message):
    with pytest.raises(AudioError, match=message):
        scorer(wave, rate)


def test_a_file_that_is_no_sound_is_refused(scorer, tmp_path):
    (tmp_path / "x.wav").write_text("hello")
    with pytest.raises(AudioError, match=r"x\.wav"):
        scorer(tmp_path / "x.wav")
    with pytest.raises(AudioError, match="no such file"):
        scorer(tmp_path / "y.wav")


# --- what it trusts ------------------------------------------------------------------------------


def test_a_checkpoint_loads_with_weights_only(checkpoint):
    assert torch.load(checkpoint, weights_only=True)["dfad"] == KNOBS.plain()


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(RunError, match="no checkpoint at"):
        dfad.load(tmp_path / "best.ckpt")
    with pytest.raises(RunError, match="no run folder"):
        dfad.load(tmp_path)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"weights": torch.zeros(3)}, "not a checkpoint of dfad; give one that train.py wrote"),
        ({"state_dict": {}}, "not a checkpoint of dfad"),
        ({"dfad": KNOBS.plain()}, "not a checkpoint of dfad"),
        ({"dfad": KNOBS.plain(), "state_dict": [1, 2]}, "not a checkpoint of dfad"),
        ({"dfad": "0.1", "state_dict": {}}, "not a checkpoint of dfad"),
        (torch.zeros(3), "not a checkpoint of dfad"),
        ([1, 2, 3], "not a checkpoint of dfad"),
        (content(format=FORMAT + 1, news=1), f"is of format {FORMAT + 1}, this dfad reads up to {FORMAT}: pip install"),
        (content(format="new"), "does not describe a detector"),
        (content(model={"name": "transformer"}), "does not describe a detector"),
        (content(frontend=torch.zeros(2)), "does not describe a detector"),
        (content(extra=1), "does not describe a detector"),
        (content(model={**KNOBS.model.plain(), "channels": [4, 9]}), "the weights do not fit"),
        ({**content(), "state_dict": {}}, "the weights do not fit"),
        ({**content(), "state_dict": dict(list(content()["state_dict"].items())[1:])}, "the weights do not fit"),
    ],
)
def test_something_else_is_refused(tmp_path, what, message):
    path = saved(tmp_path / "best.ckpt", what)
    with pytest.raises(RunError, match=message) as error:
        dfad.load(path)
    assert str(path) in lone_line(error)


@pytest.mark.parametrize("data", [b"", b"hello\n", b"PK", b"PK\x03\x04" + bytes(100), b"\x80\x02}q\x00.", bytes(5000)])
def test_bytes_that_are_no_checkpoint_are_refused(tmp_path, data):
    (tmp_path / "best.ckpt").write_bytes(data)
    with pytest.raises(RunError, match="damaged, or no checkpoint that can be loaded safely"):
        dfad.load(tmp_path / "best.ckpt")


def test_another_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "best.ckpt", "w") as file:
        file.writestr("hello.txt", "hello")
    with pytest.raises(RunError, match="damaged, or no checkpoint"):
        dfad.load(tmp_path / "best.ckpt")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_a_truncated_checkpoint_is_refused(checkpoint, tmp_path, share):
    data = checkpoint.read_bytes()
    (tmp_path / "best.ckpt").write_bytes(data[: int(share * len(data))])
    with pytest.raises(RunError, match="damaged"):
        dfad.load(tmp_path / "best.ckpt")


def test_a_changed_weight_is_found(checkpoint, tmp_path):
    data = bytearray(checkpoint.read_bytes())
    weight = torch.load(checkpoint)["state_dict"]["network.blocks.0.weight"].permute(0, 2, 3, 1).numpy().tobytes()
    place = data.find(weight[:64])
    assert place > 0
    data[place + 3] ^= 0x40  # the exponent of the first weight
    (tmp_path / "best.ckpt").write_bytes(data)
    with pytest.raises(RunError, match="damaged"):
        dfad.load(tmp_path / "best.ckpt")


@pytest.mark.parametrize("legacy", [False, True])
def test_random_damage_never_gives_a_traceback(tmp_path, legacy):
    random = np.random.default_rng(0)
    path = tmp_path / "best.ckpt"
    torch.save(content(), path, _use_new_zipfile_serialization=not legacy)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(100):
        data = whole.copy()
        data[random.integers(len(data), size=5)] ^= random.integers(1, 256, size=5, dtype=np.uint8)
        path.write_bytes(data[: random.integers(1, len(data) + 1)].tobytes())
        with pytest.raises(RunError, match="damaged"):
            Checkpoint.read(path)


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("where", ["pickle", "legacy", "zip", "dfad", "state_dict"])
def test_code_in_a_checkpoint_never_runs(tmp_path, where):
    path, trace = tmp_path / "best.ckpt", tmp_path / "trace"
    bomb = Bomb(trace)
    if where == "pickle":
        path.write_bytes(pickle.dumps(bomb))
    elif where == "legacy":
        torch.save(bomb, path, _use_new_zipfile_serialization=False)
    elif where == "zip":
        torch.save(bomb, path)
    else:
        torch.save({**content(), where: {"x": bomb}}, path)
    with pytest.raises(RunError, match="damaged, or no checkpoint that can be loaded safely"):
        dfad.load(path)
    assert not trace.exists()
    if where == "pickle":
        pickle.loads(path.read_bytes())
        assert trace.exists()  # the bomb was live


# --- what it is made of --------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [1.5, None])
def test_a_run_brings_its_threshold(checkpoint, tmp_path, threshold):
    run_folder(checkpoint, tmp_path, json.dumps(Deployed(threshold=threshold).plain()))
    assert dfad.load(tmp_path).judge(0.0).threshold == (threshold or 0.0)


def test_an_unfinished_run_has_the_threshold_0_and_is_raw(checkpoint, tmp_path):
    run_folder(checkpoint, tmp_path)
    result = dfad.load(str(tmp_path)).judge(1.5)
    assert (result.threshold, result.calibrated, result.score) == (0, False, 1.5)


DAMAGED = [
    *("", "{", "[]", "null", "7", '"eer"', "\xff", '{"threshold": "high"}', '{"threshold": NaN}', '{"prior": 2}'),
    *('{"calibrator": {"name": "magic"}}', '{"calibrator": {"name": "logistic", "slope": -1, "offset": 0}}'),
    *('{"calibrator": {"name": "isotonic", "scores": [], "ratios": []}}', '{"news": 1}'),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_choices_of_validation_are_refused(checkpoint, tmp_path, text):
    run_folder(checkpoint, tmp_path, text)
    with pytest.raises(
        RunError, match=r"deployed\.json is damaged or missing; type the command that made the folder again"
    ):
        dfad.load(tmp_path)


def test_results_without_the_choices_of_validation_are_refused(checkpoint, tmp_path):
    run_folder(checkpoint, tmp_path)
    (tmp_path / "metrics.json").write_text('{"format": 1, "values": {"val/eer_threshold": 1.5}}')
    with pytest.raises(RunError, match=r"give a bare checkpoint"):
        dfad.load(tmp_path)
    assert not dfad.load(tmp_path / "checkpoints" / "best.ckpt").judge(0.0).calibrated


def test_scoring_needs_neither_lightning_nor_hydra_nor_wandb(checkpoint, tmp_path, scorer):
    soundfile.write(tmp_path / "x.wav", noise(), RATE, subtype="FLOAT")
    code = (
        "import sys, dfad\n"
        "print(dfad.load(sys.argv[1])(sys.argv[2]).score)\n"
        "heavy = {'lightning', 'pytorch_lightning', 'hydra', 'omegaconf', 'wandb', 'torchmetrics', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(checkpoint), str(tmp_path / "x.wav")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    score, heavy = done.stdout.splitlines()
    assert float(score) == pytest.approx(scorer(noise(), RATE).score, abs=1e-5)
    assert heavy == "[]"
