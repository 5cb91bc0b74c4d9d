"""Published weights become a run that is loaded, evaluated, attacked and compared like one that was trained here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import dfad
from dfad.deployed import Deployed
from dfad.download import fetch
from dfad.errors import RunError
from dfad.frontends import RawKnobs
from dfad.networks import published
from dfad.networks.aasist import AASISTKnobs
from dfad.networks.pretrained import sha256
from dfad.networks.published import PUBLISHED, options_of, their_name
from dfad.scores import ScoreTable
from dfad.training.config import EvalConfig
from dfad.training.evaluation import evaluate_run
from dfad.training.runs import Run
from dfad.training.scoring import SILENT
from tests.conftest import Called, write_corpus
from tests.servers import Served, serving
from tests.test_aasist import preset

CONFIG = {
    "model_config": {
        "architecture": "AASIST",
        "nb_samp": 4800,
        "first_conv": 32,
        "filts": [12, [1, 4], [4, 4], [4, 6], [6, 6]],
        "gat_dims": [5, 7],
        "pool_ratios": [0.5, 0.7, 0.5, 0.5],
        "temperatures": [2.0, 2.0, 100.0, 100.0],
    }
}
CPU = {"accelerator": "cpu"}


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint in the authors' form, of a small network, and its configuration."""
    torch.manual_seed(0)
    options, samples = options_of(CONFIG)
    network = AASISTKnobs.read(options).build(RawKnobs(crop_s=samples / 16000)).train()
    network(0.1 * torch.randn(16, samples))  # running statistics of its own
    weights, config = tmp_path / "their.pth", tmp_path / "their.json"
    torch.save({their_name(name): tensor for name, tensor in network.state_dict().items()}, weights)
    config.write_text(json.dumps(CONFIG))
    return weights, config


@pytest.fixture
def imported(given: tuple[Path, Path], command: Called, tmp_path: Path) -> Path:
    code, out, err = command("import", "aasist", given[0], "--config", given[1])
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"run runs/{folder.name}" in out
    return folder


def evaluated(run: Path, path: Path, **more: Any) -> Any:
    data = {"name": "manifest", "path": str(path), "batch_size": 4}
    values = {"run": str(run), "data": data, "trainer": CPU, "eval": {"resamples": 20}, **more}
    return evaluate_run(EvalConfig.read(values), SILENT)


def test_the_published_options_are_those_of_the_presets_and_of_the_authors_files(reference: Path) -> None:
    for name, file in (("aasist", "AASIST"), ("aasist-l", "AASIST-L")):
        built_in = AASISTKnobs.read({"name": "aasist", **PUBLISHED[name].options})
        assert built_in == AASISTKnobs.read(preset("model", name.replace("-", "_")))
        theirs = json.loads((reference / "reference" / "aasist" / f"{file}.json").read_text())
        options, samples = options_of(theirs)
        assert AASISTKnobs.read(options) == built_in
        assert samples == published.SAMPLES
        assert sha256(reference / "reference" / "aasist" / f"{file}.pth") == PUBLISHED[name].sha256


def test_a_run_folder_says_where_its_weights_came_from(
    imported: Path, given: tuple[Path, Path], command: Called
) -> None:
    about = json.loads((imported / "imported.json").read_text())
    assert about["system"] == "aasist"
    assert about["published"] is None
    assert len(about["sha256"]) == 64
    assert yaml.safe_load((imported / "config.yaml").read_text())["frontend"]["crop_s"] == 0.3
    code, out, _ = command("import", "aasist", given[0], "--config", given[1])
    assert code == 0
    assert f"{about['sha256']}: not a file that is known here" in out
    assert "is there already" in out
    assert command("runs")[1].split("\n")[1].split()[:2] == [imported.name, "imported"]


def test_it_scores_as_the_network_does(imported: Path, given: tuple[Path, Path], tmp_path: Path) -> None:
    scorer = dfad.load(imported)
    wave = np.random.default_rng(0).normal(0, 0.1, 4800).astype(np.float32)
    theirs = torch.load(given[0], weights_only=True)
    network = AASISTKnobs.read(options_of(CONFIG)[0]).build(scorer.knobs.frontend)
    network.load_state_dict(published.translated(theirs, network))
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(wave[None])).item()
    result = scorer(wave, 16000)
    assert result.score == pytest.approx(expected, abs=1e-6)
    assert not result.calibrated
    assert result.threshold == 0


def test_the_validation_clips_of_a_corpus_choose_threshold_and_calibrator(imported: Path, tmp_path: Path) -> None:
    path = write_corpus(tmp_path, train=1, val=4, test=4)
    done = evaluated(imported, path)
    assert done.validation == done.place.folder / "validation" / "scores.csv"
    ids = list(ScoreTable.read(done.validation).frame["id"])
    assert len(ids) == 8
    assert all(id.startswith("val-") for id in ids)
    deployed = Deployed.of_run(done.place.folder)
    assert deployed is not None
    assert deployed.threshold is not None
    assert deployed.calibrator is not None
    assert any("were chosen on the 8 validation clips of this corpus" in note for note in done.results["notes"])
    assert not any("not finished" in note for note in done.results["notes"])
    again = evaluated(imported, path)
    assert again.before
    assert not again.judged
    other = evaluated(imported, path, eval={"resamples": 20, "threshold": "fa@0.25"})  # judged anew, not scored anew
    assert other.judged
    assert other.place == done.place
    assert Deployed.of_run(imported) is None  # the run itself chose nothing


def test_without_validation_clips_it_decides_at_0_and_says_so(imported: Path, tmp_path: Path) -> None:
    done = evaluated(imported, write_corpus(tmp_path, train=1, val=0, test=3))
    assert done.validation is None
    deployed = Deployed.of_run(done.place.folder)
    assert deployed is not None
    assert (deployed.threshold, deployed.calibrator) == (None, None)
    assert any("decides at 0 and its scores are raw" in note for note in done.results["notes"])


def test_evaluated_laundered_attacked_reported_and_compared_as_a_user_does(
    imported: Path, dfad: Callable[..., Any], command: Called, tmp_path: Path
) -> None:  # the fixture `dfad` runs eval.py
    path = write_corpus(tmp_path, train=1, val=3, test=3)
    words = ("data=manifest", f"data.path={path}", "trainer.accelerator=cpu", "eval.resamples=20")
    suite = ("robustness=full", "robustness.only=[fgsm,telephone]", "robustness.strengths={fgsm: [0.001]}")
    done = dfad("eval", f"run={imported}", *words, *suite, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (place,) = (imported / "evals").iterdir()
    robust = json.loads((place / "robustness.json").read_text())
    assert {"fgsm", "telephone"} <= set(json.dumps(robust).replace('"', " ").split())
    page = (place / "report.html").read_text()
    assert "6 validation clips of this corpus" in page
    code, out, err = command("compare", place, place)
    assert code == 0, err
    assert "resamples" in out
    assert dfad("eval", f"run={imported}", cwd=tmp_path).stderr.startswith(f"error {imported} was imported without")


def damage(kind: str, weights: Path) -> None:
    state = torch.load(weights, weights_only=True)
    if kind == "missing":
        del state["pos_S"]
    elif kind == "unexpected":
        state["fc.weight"] = torch.zeros(3)
    elif kind == "shape":
        state["master1"] = torch.zeros(1, 1, 6)
    elif kind == "nan":
        state["out_layer.bias"][0] = torch.nan
    torch.save(state, weights)
    if kind == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "missing: pos_S"),
        ("unexpected", "unexpected: fc.weight"),
        ("shape", "of another shape: master1 (1, 1, 6), not (1, 1, 5)"),
        ("nan", "NaN or infinite numbers: out_layer.bias"),
        ("cut", "is damaged, or no state dict"),
    ],
)
def test_what_does_not_fit_is_named(
    kind: str, said: str, given: tuple[Path, Path], command: Called, tmp_path: Path
) -> None:
    damage(kind, given[0])
    code, _, err = command("import", "aasist", given[0], "--config", given[1])
    assert code == 2
    assert said in err
    assert str(given[0]) in err
    assert not (tmp_path / "runs").exists()


def test_nothing_in_a_file_can_run_code(given: tuple[Path, Path], command: Called, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    torch.save({"pos_S": Evil()}, given[0])
    code, _, err = command("import", "aasist", given[0], "--config", given[1])
    assert (code, "can be loaded safely" in err) == (2, True)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "RawNet2"}, "architecture 'RawNet2': only AASIST can be imported"),
        ({"gat_dims": [5]}, "IndexError"),
        ({"filts": None}, "TypeError"),
        ({"pool_ratios": [0.5, 2.0, 0.5]}, "model_config.keep.1=2.0"),
    ],
)
def test_a_configuration_of_something_else_is_told(
    change: dict[str, Any], said: str, given: tuple[Path, Path], command: Called
) -> None:
    given[1].write_text(json.dumps({"model_config": {**CONFIG["model_config"], **change}}))
    code, _, err = command("import", "aasist", given[0], "--config", given[1])
    assert code == 2
    assert said in err
    assert f"--config {given[1]}" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("aasits",), "no published network 'aasits'; did you mean 'aasist'?"),
        (("aasist", "none.pth"), "none.pth: there is no such file; dfad import aasist downloads the published one"),
    ],
)
def test_wrong_words_are_told(words: tuple[str, ...], said: str, command: Called) -> None:
    code, _, err = command("import", *words)
    assert (code, said in err) == (2, True)


def test_a_folder_of_something_else_is_left_alone(given: tuple[Path, Path], command: Called, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("seed: 1\n")
    code, _, err = command("import", "aasist", given[0], "--config", given[1], "--out", "mine")
    assert (code, "mine holds another run; choose another folder with --out DIR" in err) == (2, True)
    assert (tmp_path / "mine" / "config.yaml").read_text() == "seed: 1\n"


def test_without_a_file_it_is_downloaded_checked_and_gone_on_with(
    given: tuple[Path, Path], command: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    digest = sha256(given[0])
    with serving(Served(given[0].read_bytes(), drop_after=20_000, drops=2)) as server:
        one = published.Published(server.url, digest, trained_on="buzzes")
        monkeypatch.setitem(PUBLISHED, "aasist", one)  # type: ignore[arg-type]
        code, out, err = command("import", "aasist", "--config", given[1])
        assert code == 0, err
        assert "as published, trained on buzzes" in out
        assert [request.get("Range") for request in server.asked[1:3]] == ["bytes=20000-", "bytes=40000-"]
        asked = len(server.asked)
        assert command("import", "aasist", "--config", given[1])[0] == 0
        assert len(server.asked) == asked  # it is here now
        next((tmp_path / "torch").rglob("file.bin")).write_bytes(b"damaged")
        code, _, err = command("import", "aasist", "--config", given[1])
        assert (code, "damaged or another file; delete it" in err) == (3, True)
    next((tmp_path / "torch").rglob("file.bin")).unlink()
    monkeypatch.setitem(fetch.__kwdefaults__, "waits", ())
    code, _, err = command("import", "aasist", "--config", given[1])
    assert (code, "bring that file from elsewhere: dfad import aasist file.bin" in err) == (3, True)


def test_an_imported_run_has_no_training_to_read(imported: Path) -> None:
    with pytest.raises(RunError, match="was imported, so it has no training and no clips of its own"):
        Run(imported).read_config()
