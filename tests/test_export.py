"""Exported detectors say what PyTorch says: every frontend, network, calibrator; by onnxruntime alone; of a run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfad.audio import fit, load
from dfad.calibrate import Calibrator, Isotonic, Logistic, Temperature
from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.deployed import Deployed, Raw
from dfad.errors import ConfigError, RunError
from dfad.explain import explain
from dfad.export.about import describe
from dfad.export.clips import MADE, made
from dfad.export.graph import require, write
from dfad.export.mapping import as_module
from dfad.export.parity import TOLERANCE
from dfad.frontends import FRONTENDS, FrontendKnobs, LogMelKnobs, RawKnobs
from dfad.frontends.convolved import convolved
from dfad.graphs import Graph
from dfad.networks import NETWORKS
from dfad.networks.base import NetworkKnobs
from dfad.networks.fusion import FusionKnobs, Member
from dfad.scorer import Scorer, load_scorer
from tests.conftest import ROOT, Called, environment
from tests.test_every_network import SMALL, hearing, knobs

pytest.importorskip("onnxscript")
TINY: NetworkKnobs = NETWORKS["cnn"].read({"name": "cnn", "channels": [4, 8]})
STEPS = Isotonic(scores=(-1.0, -0.5, -0.5 + 1e-9, 2.0), ratios=(-3.0, -1.0, 0.5, 4.0))
CALIBRATORS: list[Calibrator | None] = [
    None,
    Logistic(slope=1.5, offset=-0.25),
    Temperature(temperature=3.0),
    STEPS,
    Isotonic(scores=(0.5,), ratios=(1.25,)),
]


def scorer_of(frontend: FrontendKnobs, model: NetworkKnobs, deployed: Deployed | None = None) -> Scorer:
    """A detector with random weights whose norms have seen some sound."""
    torch.manual_seed(0)
    detector = DetectorKnobs(frontend=frontend, model=model)
    network = detector.network().train()
    with torch.no_grad():
        network(frontend.build()(torch.from_numpy(np.stack([heard(frontend, seed) for seed in range(8)]))))
    return Scorer(Checkpoint(Path("made"), detector, network.state_dict(), 0), deployed)


def heard(frontend: FrontendKnobs, seed: int) -> np.ndarray:
    return made(frontend, seed)[: frontend.crop_samples]


def agrees(scorer: Scorer, path: Path, clips: int = 5) -> Graph:
    """Export it, which compares it with PyTorch, and look at what came of that."""
    sounds = [made(scorer.knobs.frontend, seed) for seed in range(clips)]
    found = write(path, scorer, describe(scorer, Path("made")), sounds, MADE)
    assert max(found.raw, found.calibrated) <= TOLERANCE
    return Graph.read(path)


# --- parts, without a graph ----------------------------------------------------------------------


@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("share", [0.7, 1.63])
def test_a_frontend_of_convolutions_gives_the_same_features(name: str, share: float) -> None:
    frontend = FRONTENDS[name].read({"name": name, "crop_s": 0.5})
    share = min(share, 1.0) if name == "cqt" else share  # which takes a crop
    waves = np.stack([made(frontend, seed) for seed in range(3)])[:, : round(share * frontend.crop_samples)]
    wave = torch.from_numpy(waves)
    one, other = frontend.build()(wave), convolved(frontend.build())(wave)
    assert one.shape == other.shape
    # in a lone, quiet bin the logarithm shows what float32 rounds off loud ones: 1.1e-3, in one value of 126,444
    torch.testing.assert_close(one, other, atol=2e-3 if name in ("logspec", "cqt") else 1e-4, rtol=0)
    assert (one - other).abs().mean() < 1e-5


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda each: type(each).__name__)
def test_a_calibrator_as_a_module_is_the_same_map(calibrator: Calibrator | None) -> None:
    scores = np.concatenate([np.linspace(-5, 5, 1001), np.array(STEPS.scores)])
    wanted = calibrator(scores) if calibrator else scores
    np.testing.assert_allclose(as_module(calibrator)(torch.from_numpy(scores)).numpy(), wanted, atol=1e-12)


def test_an_unknown_calibrator_is_refused() -> None:
    class Another(Calibrator):
        name: str = "another"

    with pytest.raises(ConfigError, match="calibrator=another"):
        as_module(Another())


# --- graphs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the small run, by the command, in a folder of their own."""
    folder = tmp_path_factory.mktemp("exported")
    words = [sys.executable, "-m", "dfad", "export", str(trained), "--clips", "12", "--out", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert "compared on 12 clips of 3 lengths (validation and test clips of the run)" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == [
        "detector.json", "detector.onnx", "detector.safetensors", "model_card.md",
    ]  # fmt: skip
    return folder


ALONE = """
import sys
import numpy as np, onnxruntime, soundfile
session = onnxruntime.InferenceSession(sys.argv[1])
crop = int(session.get_modelmeta().custom_metadata_map["crop_samples"])
for path in sys.argv[2:]:
    wave, rate = soundfile.read(path, dtype="float32")
    assert rate == int(session.get_modelmeta().custom_metadata_map["sample_rate"])
    print(*(float(value[0]) for value in session.run(None, {"wave": np.resize(wave[:crop], crop)[None]})))
assert not {"torch", "dfad"} & set(sys.modules)
"""


def test_it_scores_with_onnxruntime_alone(exported: Path, trained: Path, manifest_csv: Path) -> None:
    clips = sorted(manifest_csv.parent.glob("test-*.wav"))[:6]
    words = [sys.executable, "-c", ALONE, str(exported / "detector.onnx"), *map(str, clips)]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    scorer = load_scorer(trained)
    for line, clip in zip(done.stdout.splitlines(), clips, strict=True):
        wanted = scorer(clip, first=True)
        score, raw, p_spoof = map(float, line.split())
        assert score == pytest.approx(wanted.score, abs=TOLERANCE)
        assert raw == pytest.approx(wanted.raw_score, abs=TOLERANCE)
        assert p_spoof == pytest.approx(wanted.p_spoof, abs=TOLERANCE)


def test_a_graph_is_loaded_as_a_run_is(exported: Path, trained: Path, manifest_csv: Path) -> None:
    graph, run = load_scorer(exported / "detector.onnx"), load_scorer(trained)
    clip = manifest_csv.parent / "test-spoof-0.wav"
    found, wanted = graph(clip), run(clip)
    same = ("score", "p_spoof", "raw_score", "windows")
    assert replace(found, **{name: getattr(wanted, name) for name in same}) == wanted
    assert [window.start_s for window in found.windows] == [window.start_s for window in wanted.windows]
    assert found.score == pytest.approx(wanted.score, abs=TOLERANCE)
    batch = torch.from_numpy(np.stack([heard(run.knobs.frontend, seed) for seed in range(5)]))
    torch.testing.assert_close(graph.score(batch), run.score(batch), atol=TOLERANCE, rtol=0)
    with pytest.raises(ConfigError, match="on the CPU, not on cuda"):
        load_scorer(exported / "detector.onnx", device="cuda")
    with pytest.raises(RunError, match="no gradients"):
        graph.network(batch.requires_grad_())
    with pytest.raises(ConfigError, match="no gradients to explain by"):
        explain(graph, clip)


def test_what_it_says_of_itself(exported: Path, trained: Path) -> None:
    graph, run = Graph.read(exported / "detector.onnx"), load_scorer(trained)
    about, manifest = graph.about, json.loads((trained / "manifest.json").read_text())
    assert about["framework"] == "dfad"
    assert about["dfad_version"] == version("dfad")
    assert int(about["sample_rate"]) == 16000
    assert int(about["crop_samples"]) == 8000
    assert "higher = more likely bona fide" in about["polarity"]
    assert float(about["raw_threshold"]) == run.deployed.threshold
    assert float(about["threshold"]) == run.judge(0.0).threshold
    assert about["calibration"] == "logistic"
    assert about["unit"] == "log-likelihood ratio"
    assert float(about["prior"]) == 0.5
    data = graph.json("training_data")
    assert (data["digest"], data["clips"]) == (manifest["digest"], manifest["clips"])
    assert DetectorKnobs.read(graph.json("detector")) == run.knobs
    assert Deployed.read(graph.json("deployed")) == run.deployed
    assert str(trained.parent) not in json.dumps(dict(about))  # no path of the machine


def test_a_damaged_graph_is_a_clear_error(exported: Path, tmp_path: Path) -> None:
    whole = (exported / "detector.onnx").read_bytes()
    for name, data in {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)
        with pytest.raises(RunError, match="dfad export RUN"):
            load_scorer(tmp_path / f"{name}.onnx")
    with pytest.raises(RunError, match="no exported detector at"):
        load_scorer(tmp_path / "none.onnx")


def test_foreign_and_newer_graphs_are_refused(exported: Path, tmp_path: Path) -> None:
    import onnx

    for key, value, told in (("framework", "another", "no exported detector"), ("format", "99", "format 99")):
        model = onnx.load(exported / "detector.onnx")
        for entry in model.metadata_props:
            entry.value = value if entry.key == key else entry.value
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(RunError, match=told):
            load_scorer(tmp_path / "other.onnx")


def test_a_graph_that_says_something_else_is_not_kept(
    exported: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(path: str, **_: object) -> None:
        shutil.copy(exported / "detector.onnx", path)

    program = SimpleNamespace(model=SimpleNamespace(metadata_props={}), save=written)
    monkeypatch.setattr("dfad.export.graph._program", lambda *_: program)
    scorer = load_scorer(trained)
    about, network, sound = describe(scorer, trained), scorer.network, [made(scorer.knobs.frontend, 0)]
    write(tmp_path / "same.onnx", scorer, about, sound, MADE)
    monkeypatch.setattr(scorer, "score", lambda wave: network(scorer.frontend(wave)) + 0.01)
    with pytest.raises(RunError, match="not kept"):
        write(tmp_path / "other.onnx", scorer, about, sound, MADE)
    assert [path.name for path in tmp_path.iterdir()] == ["same.onnx"]


def test_the_score_command_takes_a_graph(command: Called, exported: Path, trained: Path, manifest_csv: Path) -> None:
    clips, rows = manifest_csv.parent / "test-*.wav", []
    for run in (trained, exported / "detector.onnx", exported):
        code, out, err = command("score", clips, "--json", "--run", run)
        assert code == 0, err
        rows.append([json.loads(line) for line in out.splitlines()])
    of_run, of_graph, of_weights = rows
    assert len(of_run) == len(list(manifest_csv.parent.glob("test-*.wav")))
    numbers = ("score", "p_spoof", "raw_score")
    for one, two, three in zip(of_run, of_graph, of_weights, strict=True):
        assert {**three, "scored_by": one["scored_by"]} == one
        assert {**two, "scored_by": one["scored_by"], **{name: one[name] for name in numbers}} == one
        assert [two[name] for name in numbers] == pytest.approx([one[name] for name in numbers], abs=TOLERANCE)


def test_a_fusion_of_several_rates_says_what_to_do_instead() -> None:
    members = tuple(Member(frontend=LogMelKnobs(sample_rate=rate), model=TINY, weight=0.5) for rate in (8000, 16000))
    scorer: Any = SimpleNamespace(knobs=SimpleNamespace(model=FusionKnobs(members=members)))
    with pytest.raises(ConfigError, match="several sample rates has no graph"):
        require(scorer)


def test_a_network_without_a_graph_says_what_to_do_instead() -> None:
    scorer: Any = SimpleNamespace(knobs=SimpleNamespace(model=NETWORKS["ssl"].read({"name": "ssl"})))
    with pytest.raises(ConfigError, match=r"model=ssl has no graph, as .*; --format safetensors,card"):
        require(scorer)


@pytest.mark.slow  # seconds, as it imports all that records graphs
def test_what_cannot_be_recorded_says_what_to_do_instead(trained: Path, tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.mean((1, 2, 3)) * float(features.max())  # a number, where a graph has none yet

    scorer = load_scorer(trained)
    scorer.network = Odd()
    with pytest.raises(RunError, match=r"model=cnn cannot be recorded as a graph; --format safetensors,card"):
        write(tmp_path / "x.onnx", scorer, describe(scorer, trained), [], MADE)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FRONTENDS if name != "raw"])
def test_every_frontend(name: str, tmp_path: Path) -> None:
    frontend = FRONTENDS[name].read({"name": name, "crop_s": 0.5})
    agrees(
        scorer_of(frontend, TINY, Deployed(threshold=0.1, calibrator=Logistic(slope=2.0, offset=0.5))),
        tmp_path / "x.onnx",
    )


NETWORK_CASES = [(name, options) for name, cases in SMALL.items() if name != "ssl" for options in cases]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), NETWORK_CASES, ids=str)
def test_every_network(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    agrees(scorer_of(hearing(name), knobs(name, options)), tmp_path / "x.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda each: type(each).__name__)
def test_every_calibrator_in_a_graph(calibrator: Calibrator | None, tmp_path: Path) -> None:
    deployed = Deployed(threshold=0.0, calibrator=calibrator, prior=0.2)
    agrees(scorer_of(hearing("cnn"), TINY, deployed), tmp_path / "x.onnx")


@pytest.mark.slow
def test_a_cosine_without_a_calibrator_tells_no_probability(tmp_path: Path) -> None:
    deployed = Deployed(raw=Raw(unit="cosine", scale=20.0, middle=0.5))
    graph = agrees(scorer_of(hearing("cnn"), TINY, deployed), tmp_path / "x.onnx")
    assert np.isnan(graph.run(heard(hearing("cnn"), 0)[None])["p_spoof"]).all()


@pytest.mark.slow
def test_a_fusion_takes_the_crop_that_its_members_hear(tmp_path: Path) -> None:
    members = (
        Member(frontend=hearing("cnn"), model=TINY, weight=0.7),
        Member(frontend=RawKnobs(crop_s=0.3), model=knobs("rawnet2", SMALL["rawnet2"][0]), weight=0.3),
    )
    model = FusionKnobs(members=members, offset=0.1)
    graph = agrees(scorer_of(model.hears, model), tmp_path / "x.onnx")
    assert graph.session.get_inputs()[0].shape[1] == model.hears.crop_samples
    with pytest.raises(RunError, match="takes 6400 samples, found 7000"):
        graph.run(np.zeros((1, 7000), np.float32))


@pytest.mark.slow
def test_a_hundred_clips_of_the_development_corpus(reference: Path, tmp_path: Path) -> None:
    scorer = scorer_of(FRONTENDS["logmel"].read({"name": "logmel"}), NETWORKS["cnn"].read({"name": "cnn"}))
    paths = sorted((reference / "corpus").rglob("*.wav"))[::7][:100]
    clips = [load(path, sample_rate=16000, crop_s=4.0) for path in paths]
    found = write(tmp_path / "x.onnx", scorer, describe(scorer, Path("made")), clips, "corpus")
    assert found.clips == 100
    assert found.lengths > 10


# --- the command, the portable form --------------------------------------------------------------


def test_weights_score_as_the_run_does(exported: Path, trained: Path, manifest_csv: Path) -> None:
    portable, before = load_scorer(exported), load_scorer(trained)
    assert portable.judge(0.3) == before.judge(0.3)
    for clip in sorted(manifest_csv.parent.glob("test-*.wav"))[:4]:
        assert portable(clip) == before(clip)  # bit for bit
    assert load_scorer(exported / "detector.safetensors")(clip) == before(clip)


def test_what_is_not_asked_for_is_not_written(command: Called, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    code, out, err = command("export", run, "--format", "safetensors")
    assert code == 0, err
    names = ["detector.json", "detector.safetensors", "model_card.md"]
    assert sorted(path.name for path in (run / "export").iterdir()) == names
    assert all(name in out for name in names)
    code, _, err = command("export", run / "export", "--format", "safetensors")
    assert code == 2
    assert "is an export already" in err


def test_damaged_weights_are_a_clear_error(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "out")
    weights, about = tmp_path / "out" / "detector.safetensors", tmp_path / "out" / "detector.json"
    data, text = weights.read_bytes(), about.read_text()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RunError, match="damaged, or belongs to another"):
        load_scorer(weights)
    weights.write_bytes(b"no tensors")
    about.write_text(text.replace(hashlib.sha256(data).hexdigest(), hashlib.sha256(b"no tensors").hexdigest()))
    with pytest.raises(RunError, match="no safetensors"):
        load_scorer(weights)
    about.write_text("[")
    with pytest.raises(RunError, match="describes no detector"):
        load_scorer(tmp_path / "out")
    about.unlink()
    with pytest.raises(RunError, match="both files"):
        load_scorer(weights)


def test_wrong_words_are_refused(command: Called, trained: Path, tmp_path: Path) -> None:
    code, _, err = command("export", trained, "--format", "onx")
    assert code == 2
    assert "did you mean 'onnx'" in err
    code, _, err = command("export")
    assert code == 2
    assert "no finished run" in err
    code, _, err = command("export", tmp_path / "detector.onnx")
    assert code == 2
    assert "is an export already" in err
    code, _, err = command("export", tmp_path / "nothing")
    assert code == 2
    assert "no checkpoint" in err


def test_made_sound_is_never_the_same_and_within_bounds() -> None:
    waves = [made(hearing("cnn"), seed) for seed in range(4)]
    assert all(np.abs(wave).max() <= 0.5 for wave in waves)
    assert all(not np.array_equal(one, other) for one, other in pairwise(waves))
    assert len(fit(waves[0], 10)) == 10
