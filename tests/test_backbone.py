"""Backbones are found, read and refused: folders, every form of weights, and a hub that is there or is not."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dfad.errors import ConfigError, DataError, DfadError, RunError
from dfad.frontends import LogMelKnobs, RawKnobs
from dfad.networks import architecture, backbone
from dfad.networks.architecture import Architecture
from dfad.networks.ssl import SSLKnobs
from tests import backbones

pytest.importorskip("transformers")
FRONTEND = RawKnobs(crop_s=0.5)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return backbones.write(tmp_path_factory.mktemp("published"))


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(published, tmp_path / "backbone")


def knobs(folder: Path | str, **options: Any) -> SSLKnobs:
    return SSLKnobs.read({"backbone": str(folder), "hidden": 8, **options})


def started(folder: Path | str, **options: Any) -> dict[str, Tensor]:
    """The weights of the backbone in a network that begins with it."""
    ready = knobs(folder, **options).ready()
    network = ready.build(FRONTEND)
    ready.start(network)
    return network.encoder.pretrained()


def tensors(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- every form in which weights are published ---------------------------------------------------


def as_old_state_dict(folder: Path) -> None:
    """With a pretraining head around it, and the names that older versions of torch gave weight norm."""
    older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    content = {"quantizer.codevectors": torch.ones(3), "project_q.weight": torch.ones(2, 2)}
    for name, tensor in tensors(folder).items():
        for new, old in older.items():
            name = name.replace(new, old)
        content[f"wav2vec2.{name}"] = tensor
    assert any("weight_g" in name for name in content)
    torch.save(content, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def in_shards(folder: Path) -> None:
    from safetensors.torch import save_file

    content = tensors(folder)
    places = {name: f"model-{number % 2 + 1}-of-2.safetensors" for number, name in enumerate(content)}
    for shard in set(places.values()):
        save_file({name: content[name] for name in content if places[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("form", [as_old_state_dict, in_shards])
def test_every_form_of_weights_gives_the_same_network(form: Callable[[Path], None], folder: Path) -> None:
    before = started(folder)
    form(folder)
    assert same(started(folder), before)


# --- what a run is named by ----------------------------------------------------------------------


def test_a_folder_is_known_by_what_is_in_it(folder: Path, published: Path) -> None:
    before = knobs(published).identity()
    assert knobs(folder).identity() == before
    assert knobs(folder, revision="v2").identity() == before  # a folder has none
    assert knobs(folder).ready().identity() == {**before, "normalise": True}
    for name, change in (
        ("config.json", lambda text: text.replace(b'"layerdrop": 0.5', b'"layerdrop": 0.6')),
        ("preprocessor_config.json", lambda text: text.replace(b"true", b"false")),
        ("model.safetensors", lambda text: text[:-1] + bytes([text[-1] ^ 1])),
    ):
        content = (folder / name).read_bytes()
        assert change(content) != content
        (folder / name).write_bytes(change(content))
        assert knobs(folder).identity() != before, name
        (folder / name).write_bytes(content)
    assert knobs(folder).identity() == before


def test_a_name_on_the_hub_is_known_by_its_revision() -> None:
    identities = [knobs("a/b", revision=revision).identity() for revision in ("main", "v2")]
    assert identities[0] != identities[1]
    assert identities[0]["backbone"] == "a/b"


def test_plain_options_hold_all_that_build_needs(folder: Path) -> None:
    ready = knobs(folder, unfreeze=2).ready()
    shutil.rmtree(folder)
    again = SSLKnobs.read(json.loads(json.dumps(ready.plain())))
    assert again == ready
    assert same(
        {name: torch.empty(0) for name in again.build(FRONTEND).state_dict()},
        {name: torch.empty(0) for name in ready.build(FRONTEND).state_dict()},
    )


def test_what_an_architecture_leaves_out_is_what_transformers_has() -> None:
    import transformers

    for kind in ("wav2vec2", "hubert", "wavlm"):
        ours = Architecture(model_type=kind).plain()
        config, _ = architecture._CLASSES[kind]
        theirs = getattr(transformers, config)().to_dict()
        for name in ours.keys() & theirs.keys():
            expected = theirs[name]
            assert ours[name] == (list(expected) if isinstance(expected, tuple) else expected), (kind, name)


@pytest.mark.parametrize("samples", [400, 401, 719, 720, 16000, 64000])
def test_frames_are_counted_as_the_convolutions_give_them(samples: int) -> None:
    little = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small = Architecture.read({"model_type": "hubert", "conv_dim": [2] * 7, **little})
    model: Any = small.model(0.0)
    assert model.feature_extractor(torch.zeros(1, samples)).shape[-1] == small.frames(samples)
    assert small.frames(399) < 1


# --- what is refused -----------------------------------------------------------------------------


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["DFAD_TEST_EVIL"],)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"encoder.layer_norm.weight": Evil()}, protocol=2))


def pickled_by_torch(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"encoder.layer_norm.weight": Evil()}, folder / "pytorch_model.bin")


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def with_other(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def form(folder: Path) -> None:
        from safetensors.torch import save_file

        content = tensors(folder)
        change(content)
        save_file(content, folder / "model.safetensors")

    return form


def config(**changes: Any) -> Callable[[Path], None]:
    def form(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return form


NORM = "encoder.layer_norm.weight"
REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (pickled, "damaged, or no state dict that can be loaded safely"),
    (pickled_by_torch, "damaged, or no state dict that can be loaded safely"),
    (cut_off, "damaged, or no safetensors"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 64), "damaged, or no safetensors"),
    (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights: expected model.safetensors"),
    (with_other(lambda content: content.pop(NORM)), f"missing: {NORM}"),
    (with_other(lambda content: content.update({NORM: torch.ones(3)})), "of another shape: encoder.layer_norm.weight"),
    (with_other(lambda content: content.update({"encoder.layers.9.x": torch.ones(3)})), "unexpected: encoder.layers.9"),
    (with_other(lambda content: content[NORM].fill_(torch.nan)), f"{NORM} holds NaN or infinite"),
    (lambda folder: (folder / "config.json").unlink(), r"there is no config\.json in it"),
    (lambda folder: (folder / "config.json").write_text("{"), r"config\.json is damaged"),
    (lambda folder: (folder / "config.json").write_text("[]"), r"config\.json is damaged"),
    (config(model_type="bert"), "a network of the kind 'bert'; give a wav2vec2"),
    (config(hidden_size="wide"), r"config\.json\.hidden_size="),
    (config(hidden_size=17), "should be a multiple of num_attention_heads=2"),
    (config(conv_dim=[8, 8]), "should be of one length"),
    (config(hidden_size=8, num_attention_heads=2), "of another shape"),
    (lambda folder: (folder / "preprocessor_config.json").unlink(), "say so: model.normalise=true or false"),
    (
        lambda folder: (folder / "preprocessor_config.json").write_text('{"sampling_rate": 8000}'),
        "expected sampling_rate 16000",
    ),
]


@pytest.mark.parametrize(("form", "answer"), REFUSED, ids=range(len(REFUSED)))
def test_a_damaged_or_other_backbone_is_refused(
    form: Callable[[Path], Any], answer: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFAD_TEST_EVIL", str(tmp_path / "evil"))
    form(folder)
    with pytest.raises((ConfigError, RunError), match=answer):
        started(folder)
    assert not (tmp_path / "evil").exists()


def test_shards_lie_in_the_folder_only(folder: Path) -> None:
    in_shards(folder)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {NORM: "../elsewhere.safetensors"}}))
    with pytest.raises(ConfigError, match="names no files of weights"):
        started(folder)


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "wav2vec2", "a/b/c", "~/nothing"])
def test_a_folder_that_is_not_there_is_no_name_on_the_hub(name: str) -> None:
    with pytest.raises(ConfigError, match=f"model.backbone={name}: there is no such folder"):
        knobs(name).identity()


@pytest.mark.parametrize(
    ("options", "frontend", "answer"),
    [
        ({}, LogMelKnobs(), "not frontend=logmel; use frontend=raw"),
        ({}, RawKnobs(sample_rate=8000), "use frontend.sample_rate=16000"),
        ({}, RawKnobs(crop_s=0.01), "crop_s=0.01 gives 0 frames, and model.back_end=pool needs 1"),
        ({"back_end": "aasist"}, RawKnobs(crop_s=0.05), "gives 2 frames, and model.back_end=aasist needs 3"),
        ({"unfreeze": 4}, FRONTEND, "model.unfreeze=4: the backbone has 3 layers"),
        ({"architecture": {"model_type": "wavlm"}}, FRONTEND, "leave it null"),
        ({"unfreeze": 0}, FRONTEND, "unfreeze=0: should be none, all, or how many of the last layers"),
        ({"unfreeze": "some"}, FRONTEND, 'unfreeze="some": should be none, all, or how many of the last layers'),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Any, frontend: Any, answer: str, published: Path) -> None:
    with pytest.raises(ConfigError, match=answer):
        knobs(published, **options).ready().build(frontend)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'dfad\[ssl\]'"):
        knobs("a/b").require(FRONTEND)


# --- the hub -------------------------------------------------------------------------------------


@dataclass
class Hub:
    """A hub with one model, and what it was asked."""

    folder: Path
    name: str = "owner/model"
    commit: str = "0" * 39 + "1"
    asked: list[str] = field(default_factory=list)
    broken: int = 0  # answered to everything

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(f"{handler.command} {handler.path}")
        file = handler.path.removeprefix(f"/{self.name}/resolve/")
        if self.broken:
            self.reply(handler, self.broken, b"", {})
        elif handler.path.startswith(f"/api/models/{self.name}/revision/main"):
            siblings = [{"rfilename": path.name} for path in self.folder.iterdir()]
            about = {"id": self.name, "sha": self.commit, "siblings": siblings}
            self.reply(handler, 200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        elif file != handler.path and (path := self.folder / file.split("/")[1]).is_file():
            self.reply(handler, 200, path.read_bytes(), {"ETag": f'"{path.name}"', "X-Repo-Commit": self.commit})
        else:
            known = {f"/api/models/{self.name}/": "RevisionNotFound", f"/{self.name}/": "EntryNotFound"}
            code = next((code for start, code in known.items() if handler.path.startswith(start)), "RepoNotFound")
            self.reply(handler, 404, b"", {"X-Error-Code": code})

    @staticmethod
    def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)


def at(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Point `huggingface_hub` to another hub and an empty cache; to wait for a try would be to fail."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda s: pytest.fail(f"waits {s} s"))


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    at(monkeypatch, f"http://127.0.0.1:{server.server_port}", tmp_path / "cache")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("form", [lambda folder: None, as_old_state_dict, in_shards])
def test_a_model_is_brought_once(form: Callable[[Path], None], hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    before = started(hub.folder)
    form(hub.folder)
    (hub.folder / "README.md").write_text("not wanted")
    told: list[tuple[int, int]] = []
    ready = knobs(hub.name).ready(lambda done, total: told.append((done, total)))
    assert ready.revision == hub.commit  # what `main` was when the detector was made
    assert told[-1][0] == told[-1][1] > 1000
    asked = len(hub.asked)
    assert same(started(hub.name), before)
    assert len(hub.asked) == asked  # of what is in the cache no network is asked
    assert not any("README" in line for line in hub.asked)
    assert capfd.readouterr() == ("", "")


def test_a_download_that_was_cut_off_goes_on(hub: Hub) -> None:
    before = started(hub.folder)
    in_shards(hub.folder)
    missing = (hub.folder / "model-2-of-2.safetensors").rename(hub.folder.parent / "later")
    with pytest.raises(DfadError, match="without internet"):
        knobs(hub.name).ready()
    missing.rename(hub.folder / "model-2-of-2.safetensors")
    assert same(started(hub.name), before)


@pytest.mark.parametrize(
    ("name", "revision", "answer"),
    [
        ("owner/modle", "main", "model.backbone=owner/modle: the hub has no such model"),
        ("owner/model", "v9", "model.revision=v9: owner/model on the hub has no such"),
    ],
)
def test_a_model_that_the_hub_has_not_is_told(name: str, revision: str, answer: str, hub: Hub) -> None:
    with pytest.raises(ConfigError, match=answer):
        knobs(name, revision=revision).ready()


def test_a_model_without_weights_is_told(hub: Hub) -> None:
    (hub.folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="no weights such as"):
        knobs(hub.name).ready()


def test_a_hub_that_is_ill_is_asked_once(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    hub.broken = 503
    with pytest.raises(DataError, match=r"model\.backbone=<folder>"):
        knobs(hub.name).ready()
    assert len(hub.asked) == 1
    assert capfd.readouterr() == ("", "")


def test_without_a_network_the_hint_comes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        at(monkeypatch, f"http://127.0.0.1:{nobody.getsockname()[1]}", tmp_path)
        with pytest.raises(DataError, match=r"(?s)cannot be downloaded: .*refused.*copy config\.json.*=<folder>"):
            knobs("facebook/wav2vec2-base").ready()
    assert capfd.readouterr() == ("", "")


def test_offline_mode_is_respected(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="without internet"):
        knobs(hub.name).ready()


def test_it_is_found_in_the_cache_by_folder_name(hub: Hub) -> None:
    folder = backbone.find(hub.name, "main")
    assert folder.name == hub.commit
    assert backbone.find(hub.name, hub.commit) == folder
