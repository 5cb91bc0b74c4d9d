"""Explanations find what is known to be there, add up, change what they should, and leave the detector alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import butter, firwin, sosfilt
from scipy.stats import spearmanr
from torch import Tensor, nn

from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.errors import AudioError, ConfigError
from dfad.explain import Map, explain
from dfad.explain.cells import Cells
from dfad.explain.methods import EXACT, gradcam, gradients, occlusion
from dfad.frontends import FRONTENDS
from dfad.report.explained import page_of
from dfad.scorer import Scorer
from tests.conftest import Called

RATE, SECONDS = 8000, 1.0
SAMPLES = round(RATE * SECONDS)
BAND, LASTS = (2000.0, 2500.0), 0.25  # of the planted artefact, Hz and seconds
STFT = {"n_fft": 256, "window_ms": 25.0}
# nothing is scaled to the clip: else a burst would change all of it, and a network might well go by that
UNSCALED = {"level": "none", "normalise": "none"}
FRONTEND = {"name": "logmel", "sample_rate": RATE, "crop_s": SECONDS, "n_mels": 32, **STFT, **UNSCALED}
WAVE = {"name": "raw", "sample_rate": RATE, "crop_s": SECONDS}
CNN = {"name": "cnn", "channels": [4, 8], "activation": "gelu", "pool": "avg"}
RAWNET2 = {"name": "rawnet2", "filters": 4, "taps": 65, "widths": [4, 4], "gru_width": 4, "hidden": 4}
_FILTER = butter(4, BAND, "bandpass", fs=RATE, output="sos")


def noise(seed: int, samples: int = SAMPLES) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def planted(seed: int, at: float, samples: int = SAMPLES) -> np.ndarray:
    """Noise with a burst in a band from a moment on."""
    wave, begin, length = noise(seed, samples), round(at * RATE), round(LASTS * RATE)
    burst = sosfilt(_FILTER, np.random.default_rng(seed + 999).normal(size=length)) * np.hanning(length)
    wave[begin : begin + length] += (0.5 * burst).astype(np.float32)
    return wave


def scorer_of(frontend: dict[str, Any], model: dict[str, Any]) -> Scorer:
    """A detector with random weights."""
    knobs = DetectorKnobs.read({"frontend": frontend, "model": model})
    torch.manual_seed(0)
    return Scorer(Checkpoint(Path("random.ckpt"), knobs, knobs.network().state_dict(), 1))


def small(name: str) -> Scorer:
    """A detector of every frontend: a random CNN, or a network whose ear is known."""
    own: dict[str, Any] = {
        "logmel": {**STFT, "n_mels": 32},
        "logspec": STFT,
        "lfcc": {**STFT, "n_filters": 32, "n_coefficients": 20},
        "mfcc": {**STFT, "n_mels": 32, "n_coefficients": 32, "normalise": "clip"},
        "cqt": {"bins_per_octave": 8, "n_octaves": 5, "f_min": 100.0},
    }
    if name != "raw":
        return scorer_of({"name": name, "sample_rate": RATE, "crop_s": SECONDS, **own[name]}, CNN)
    scorer = scorer_of(WAVE, RAWNET2)
    scorer.network = BandPower().eval()
    return scorer


class BandPower(nn.Module):
    """A network over the waveform that takes power in a band for spoof: what speaks for it is known."""

    def __init__(self) -> None:
        super().__init__()
        taps = firwin(129, BAND, pass_zero=False, fs=RATE)
        self.register_buffer("taps", torch.tensor(taps, dtype=torch.float32)[None, None])

    def forward(self, wave: Tensor) -> Tensor:
        band = nn.functional.conv1d(wave[:, None], self.taps, padding=64)
        return 1 - 100 * band.square().mean((1, 2))


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A small CNN that has learnt to hear the burst, whenever it comes."""
    knobs = DetectorKnobs.read({"frontend": FRONTEND, "model": {"name": "cnn", "channels": [8, 16], "dropout": 0.0}})
    torch.manual_seed(0)
    network, frontend = knobs.network().train(), knobs.frontend.build()
    moments = np.random.default_rng(0).uniform(0.02, 0.72, 64)
    waves = [noise(seed) for seed in range(64)] + [planted(100 + n, at) for n, at in enumerate(moments)]
    with torch.no_grad():
        features = frontend(torch.from_numpy(np.stack(waves)))
    labels = torch.cat([torch.ones(64), torch.zeros(64)])
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(50):
        rows = torch.randperm(128, generator=torch.Generator().manual_seed(step))[:32]
        loss = nn.functional.binary_cross_entropy_with_logits(network(features[rows]), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Checkpoint(Path("planted.ckpt"), knobs, network.eval().state_dict(), 1)


@pytest.fixture
def scorer(checkpoint: Checkpoint) -> Scorer:
    return Scorer(checkpoint)


def share_inside(one: Map, seconds: tuple[float, float], hertz: tuple[float, float] = BAND) -> tuple[float, float]:
    """What of all that speaks for spoof lies in a box, and what of the map's cells."""
    inside = _over(one.hertz, hertz)[:, None] & _over(one.seconds, seconds)[None]
    positive = np.maximum(one.values, 0)
    return positive[inside].sum() / positive.sum(), inside.mean()


def _over(edges: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return (edges[1:] > span[0]) & (edges[:-1] < span[1])


def strongest(one: Map, axis: int) -> tuple[float, float]:
    edges = one.hertz if axis == 0 else one.seconds
    at = int(one.values.max(1 - axis).argmax())
    return edges[at], edges[at + 1]


# --- it finds what is there ----------------------------------------------------------------------


def test_the_small_network_has_learnt_the_artefact(scorer):
    assert scorer(planted(7, 0.4), RATE).verdict == "spoof"
    assert scorer(noise(7), RATE).verdict == "bona-fide"


@pytest.mark.parametrize("at", [0.1, 0.6])
def test_a_planted_artefact_is_found_in_its_band_and_second(scorer, at):
    found = explain(scorer, planted(7, at), RATE)
    lasts = (at, at + LASTS)
    for name, times in (("gradients", 4), ("gradcam", 2)):
        one = found.map(name)
        inside, chance = share_inside(one, lasts)
        assert inside > times * chance, name
        assert any(_over(np.array(strongest(one, 0)), BAND)), name
        assert any(_over(np.array(strongest(one, 1)), lasts)), name
    assert any(_over(np.array(strongest(found.map("occlusion-time"), 1)), lasts))
    assert any(_over(np.array(strongest(found.map("occlusion-frequency"), 0)), BAND))


def test_a_network_over_the_waveform_is_explained_in_hertz_and_seconds():
    found = explain(small("raw"), planted(7, 0.6), RATE)
    inside, chance = share_inside(found.map("gradients"), (0.6, 0.85))
    assert inside > 5 * chance
    assert any(_over(np.array(strongest(found.map("occlusion-time"), 1)), (0.6, 0.85)))
    assert any(_over(np.array(strongest(found.map("occlusion-frequency"), 0)), BAND))
    assert found.map("gradcam") is None
    assert any("no Grad-CAM" in note for note in found.notes)


def ranks(one: Map, cells: Cells) -> Tensor:
    """The value of each cell, of a coarser map that of the cell of it that covers it."""
    bands, frames, _ = cells.values.shape
    rows, columns = (np.arange(n) * m // n for n, m in zip((bands, frames), one.values.shape, strict=True))
    return torch.from_numpy(one.values[np.ix_(rows, columns)])


@pytest.mark.parametrize("method", [gradients, gradcam])
def test_what_is_said_to_matter_matters_more_than_what_is_drawn(scorer, method):
    areas: dict[str, list[float]] = {"said": [], "drawn": []}
    for seed in range(4):
        cells = Cells(scorer, torch.from_numpy(planted(seed, 0.15 + 0.15 * seed)))
        said = ranks(method(cells)[0][0], cells).flatten()
        for kind, value in (("said", said), ("drawn", torch.rand(said.shape, generator=torch.manual_seed(seed)))):
            order = value.argsort(descending=True)
            masks = torch.ones(11, len(order))
            for step in range(11):
                masks[step, order[: step * len(order) // 50]] = 0  # up to a fifth of all cells
            told = cells.told(masks.reshape(11, *cells.values.shape[:2], 1) * cells.values)
            areas[kind].append(float((told - told[0]).mean()))
    assert np.mean(areas["said"]) < np.mean(areas["drawn"]) - 1


def test_other_weights_give_other_maps(scorer, checkpoint):
    wave = torch.from_numpy(planted(7, 0.4))
    other = scorer_of(FRONTEND, checkpoint.knobs.model.plain())
    for method in (gradients, gradcam):
        maps = [method(Cells(one, wave))[0][0].values.ravel() for one in (scorer, other)]
        assert abs(spearmanr(*maps).statistic) < 0.5


# --- it adds up ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FRONTENDS)
def test_gradients_add_up_and_cells_are_the_clip(name):
    cells = Cells(small(name), torch.from_numpy(planted(7, 0.4)))
    assert cells.told(cells.values[None]).item() == pytest.approx(cells.heard(cells.features[None]).item(), abs=1e-4)
    (one,), notes = gradients(cells)
    wanted = float(cells.told(cells.values[None]) - cells.told(torch.zeros_like(cells.values)[None]))
    assert one.values.sum() == pytest.approx(wanted, rel=EXACT)
    assert not notes
    assert one.values.shape == (len(one.hertz) - 1, len(one.seconds) - 1) == cells.values.shape[:2]
    assert (np.diff(one.hertz) > 0).all()
    assert (one.seconds[0], one.seconds[-1]) == (0, pytest.approx(SECONDS, abs=0.011))


@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("hertz", [600.0, 2100.0])
def test_a_tone_lights_its_own_band(name, hertz):
    wave = 0.001 * noise(0)
    lasts = slice(SAMPLES // 4, SAMPLES // 2)  # cepstra are told apart from their mean over time
    wave[lasts] += 0.3 * np.sin(2 * np.pi * hertz * np.arange(SAMPLES // 4) / RATE).astype(np.float32)
    cells = Cells(small(name), torch.from_numpy(wave))
    while_it_lasts = _over(cells.seconds, (0.3, 0.45))
    size = cells.values.norm(dim=-1) if name == "raw" else cells.values[..., 0]
    row = int(size.numpy()[:, while_it_lasts].mean(1).argmax())
    assert cells.hertz[max(0, row - 1)] < hertz < cells.hertz[min(row + 2, len(cells.hertz) - 1)]


def test_occlusion_takes_away_what_it_says(scorer):
    cells = Cells(scorer, torch.from_numpy(planted(7, 0.4)))
    (over_time, over_bands), _ = occlusion(cells)
    at = int(over_time.values.argmax())
    left = cells.values.clone()
    start, end = np.searchsorted(cells.seconds, over_time.seconds[[at, at + 1]])
    left[:, start:end] = 0
    told = cells.told(torch.stack([cells.values, left]))
    assert over_time.values.max() == pytest.approx(float(told[0] - told[1]), abs=1e-4)
    assert (over_time.values.shape, over_bands.values.shape) == ((1, 24), (16, 1))


def test_a_smaller_map_says_the_same_in_sum():
    one = Map("gradients", np.arange(35.0).reshape(5, 7), np.arange(6.0), np.arange(8.0), "raw score", adds_up=True)
    small = one.smaller(2, 3)
    assert small.values.shape == (2, 3)
    assert small.values.sum() == one.values.sum()
    assert (small.hertz[-1], small.seconds[-1]) == (5, 7)
    mean = Map("gradcam", np.ones((5, 7)), one.hertz, one.seconds, "").smaller(2, 3)
    assert (mean.values == 1).all()


# --- every detector, every clip ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frontend", "model", "rows"),
    [
        (FRONTEND, {"name": "lcnn", "width": 4, "pooling": "lstm", "hidden": 8}, 2),
        ({**WAVE, "name": "lfcc", **STFT}, CNN, 1),
        (WAVE, RAWNET2, 0),
        ({**WAVE, "crop_s": 0.4}, {"name": "aasist", "filters": 12, "taps": 65, "widths": [4, 4]}, 1),
    ],
    ids=["lcnn", "lfcc", "rawnet2", "aasist"],
)
def test_every_kind_of_network_is_left_as_it_was(frontend, model, rows):
    """`rows` of Grad-CAM: none without a map, one where they are no frequencies, two for more."""
    scorer = scorer_of(frontend, model)
    methods = ["gradcam"] if model["name"] == "aasist" else ["gradcam", "gradients", "occlusion"]
    parts = list(scorer.network.modules())
    parts[-1].training = True  # found as it was left, whatever that is
    trained = [p.requires_grad for p in scorer.network.parameters()]
    before = {name: value.clone() for name, value in scorer.network.state_dict().items()}
    with torch.inference_mode():
        found = explain(scorer, planted(7, 0.4), RATE, methods=methods)
    assert all(torch.equal(value, before[name]) for name, value in scorer.network.state_dict().items())
    assert [part.training for part in parts] == [part is parts[-1] for part in parts]
    assert [p.requires_grad for p in scorer.network.parameters()] == trained
    assert all(p.grad is None for p in scorer.network.parameters())
    assert not any(part._forward_hooks for part in parts)
    one = found.map("gradcam")
    assert (one is None) if not rows else (min(len(one.values), 2) == rows)
    assert len(found.maps) == (1 if len(methods) == 1 else 3 + bool(rows))
    assert all(np.isfinite(one.values).all() for one in found.maps)
    json.dumps(found.to_json(), allow_nan=False)


def test_of_a_long_file_the_most_spoofed_part_is_explained(scorer, tmp_path):
    wave = planted(7, 13.2, 20 * RATE)
    soundfile.write(tmp_path / "long.wav", np.repeat(wave[:, None], 2, axis=1), RATE, subtype="FLOAT")
    found = explain(scorer, tmp_path / "long.wav", methods=["occlusion"])
    assert found.start_s <= 13.2 < found.end_s == found.start_s + SECONDS
    assert len(found.result.windows) == 39
    begin = round(found.start_s * RATE)
    np.testing.assert_array_equal(found.heard, wave[begin : begin + SAMPLES])
    np.testing.assert_array_equal(found.around, wave)
    window = next(one for one in found.result.windows if one.start_s == found.start_s)
    assert found.crop.score == pytest.approx(window.score, abs=1e-4)
    edges = found.map("occlusion-time").seconds
    assert (edges[0], edges[-1]) == (found.start_s, pytest.approx(found.end_s, abs=0.011))
    array = explain(scorer, wave, RATE, at_s=3.21, methods=["occlusion"], result=found.result)
    assert (array.start_s, array.end_s) == (3.21, 4.21)
    np.testing.assert_array_equal(array.heard, wave[25680 : 25680 + SAMPLES])
    assert explain(scorer, wave, RATE, at_s=19.9, methods=[], result=found.result).start_s == 19.0


def test_a_longer_file_keeps_only_what_surrounds_the_part(scorer):
    wave = planted(7, 40.2, 60 * RATE)
    found = explain(scorer, wave, RATE, methods=[])
    assert len(found.around) == 20 * RATE
    begin = round(found.around_s * RATE)
    np.testing.assert_array_equal(found.around, wave[begin : begin + len(found.around)])
    assert found.around_s < found.start_s < found.end_s < found.around_s + 20


@pytest.mark.parametrize(("wave", "warned"), [(noise(0, 3000), "short"), (np.zeros(SAMPLES, np.float32), "silent")])
def test_short_and_silent_clips_have_a_page_too(scorer, wave, warned):
    found = explain(scorer, wave, RATE)
    assert (found.end_s, found.crop_s, len(found.heard)) == (len(wave) / RATE, SECONDS, SAMPLES)
    png, page = page_of(found, "a <b>.wav", "planted")
    assert png.startswith(b"\x89PNG")
    assert warned in page
    assert "a &lt;b&gt;.wav" in page
    assert 'src="data:' in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_cannot_be_explained_is_said(scorer):
    with pytest.raises(ConfigError, match="did you mean 'gradcam'"):
        explain(scorer, noise(0), RATE, methods=["gradcm"])
    with pytest.raises(ConfigError, match=r"nothing to explain at 3 s: the clip lasts 1\.00 s"):
        explain(scorer, noise(0), RATE, at_s=3)
    with pytest.raises(AudioError):
        explain(scorer, Path("nowhere.wav"))


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def run(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    state = {f"network.{name}": value for name, value in checkpoint.weights.items()}
    torch.save({"dfad": checkpoint.knobs.plain(), "state_dict": state}, tmp_path / "planted.ckpt")
    soundfile.write(tmp_path / "clip.wav", planted(7, 1.2, 2 * RATE), RATE)
    return tmp_path / "planted.ckpt"


def test_the_command_writes_a_picture_and_a_page(command: Called, run: Path, tmp_path: Path) -> None:
    code, out, err = command("explain", "clip.wav", "--run", run)
    assert (code, err) == (0, "")
    assert "clip.wav: spoof, P(spoof)" in out
    assert (tmp_path / "explained/clip.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "explained/clip.html").read_text()
    for text in ("Grad-CAM", "Integrated gradients", "less for spoof", "not calibrated", "none: raw checkpoint"):
        assert text in page
    assert sorted(path.name for path in (tmp_path / "explained").iterdir()) == ["clip.html", "clip.png"]


def test_the_command_gives_json(command: Called, run: Path, tmp_path: Path) -> None:
    code, out, _ = command("explain", "clip.wav", "--run", run, "--json", "--methods", "occlusion", "--at", "0.5")
    about = json.loads(out)
    assert code == 0
    assert about["explained"]["start_s"] == 0.5
    assert [one["name"] for one in about["maps"]] == ["occlusion-time", "occlusion-frequency"]
    assert about["polarity"].startswith("positive = speaks for spoof")
    assert len(about["result"]["windows"]) == 3
    assert not (tmp_path / "explained").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere.wav"], 3, "nowhere.wav"),
        (["planted.ckpt"], 3, "planted.ckpt"),
        (["clip.wav", "--methods", "gradcm"], 2, "did you mean 'gradcam'?"),
        (["clip.wav", "--at", "9"], 2, "nothing to explain at 9 s"),
        (["clip.wav", "--out", "x.pdf"], 2, ".png or .html"),
        (["clip.wav", "--device", "tpu9"], 2, "--device tpu9"),
    ],
)
def test_errors_are_a_line(command: Called, run: Path, words: list[str], code: int, says: str) -> None:
    found, out, err = command("explain", *words, "--run", run)
    assert (found, out) == (code, "")
    assert says in err


def test_without_a_run_it_says_how_to_get_one(command: Called) -> None:
    code, _, err = command("explain", "clip.wav")
    assert code == 2
    assert "dfad train" in err
