"""VGG16: torchvision's own network on one channel, its weights from anywhere, and exactly the chosen blocks trained."""

from __future__ import annotations

import hashlib
import pickle
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import gettempdir
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import torchvision
from torch import Tensor, nn

from dfad.checkpoint import Checkpoint, DetectorKnobs
from dfad.clips import Manifest
from dfad.corpora.table import ManifestKnobs
from dfad.errors import ConfigError, DataError, DfadError, RunError
from dfad.frontends import LFCCKnobs, LogMelKnobs, RawKnobs
from dfad.networks import pretrained
from dfad.networks.cnn import CNNKnobs
from dfad.networks.vgg16 import VGG, VGG16Knobs
from dfad.training.config import DeviceKnobs, TrainerKnobs
from dfad.training.datamodule import ClipDataModule
from dfad.training.detectors import DETECTORS, Detector, VGG16Detector
from dfad.training.trainer import make_trainer

FRONTEND = LogMelKnobs(n_mels=40, crop_s=0.5)  # 40 bands, 51 frames
CPU = DeviceKnobs(accelerator="cpu")
BLOCKS = range(1, 6)


def knobs(**options: Any) -> VGG16Knobs:
    """Options of the smallest variant, not pretrained."""
    return VGG16Knobs.read({"name": "vgg16", "variant": "vgg11", "pretrained": "none", "hidden": 8, **options})


def build(**options: Any) -> VGG:
    torch.manual_seed(0)
    return knobs(**options).build(FRONTEND)


def maps(clips: int = 2, bands: int = 40, frames: int = 51, **more: Any) -> Tensor:
    return torch.randn(clips, 1, bands, frames, generator=torch.Generator().manual_seed(0), **more)


def theirs(variant: str, **options: Any) -> Any:
    """A network of torchvision's, biases drawn at random too, in eval mode."""
    torch.manual_seed(1)
    return getattr(torchvision.models, variant)(init_weights=False, **options).eval()


def features_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in network.state_dict().items() if name.startswith("features.")}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of torchvision's vgg11, without its classifier."""
    path = tmp_path_factory.mktemp("weights") / "vgg11.pth"
    torch.save(features_of(theirs("vgg11")), path)
    return path


# --- the network ---------------------------------------------------------------------------------


def test_features_equal_torchvisions_on_the_repeated_channel(tmp_path: Path) -> None:
    whole = theirs("vgg16")
    torch.save(features_of(whole), tmp_path / "vgg16.pth")
    options = knobs(variant="vgg16", pretrained=str(tmp_path / "vgg16.pth"))
    network = options.build(FRONTEND).double()
    options.start(network)
    x = maps(2, 64, 40, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(
            network.blocks(x), whole.features.double()(x.repeat(1, 3, 1, 1)), rtol=1e-9, atol=1e-12
        )


def test_torchvisions_classifier_keeps_its_weights_but_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = theirs("vgg11")
    monkeypatch.setattr(pretrained, "read_weights", lambda path: whole.state_dict())
    options = knobs(pretrained="x", classifier="torchvision", dropout=0.0)
    network = options.build(FRONTEND)
    options.start(network)
    x = maps(2)
    with torch.no_grad():
        before_the_last = whole.classifier[:-1](whole.avgpool(whole.features(x.repeat(1, 3, 1, 1))).flatten(1))
        expected = network.head[2][-1](before_the_last).squeeze(-1)
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    assert network(x).shape == (2,)


@pytest.mark.parametrize("variant", ["vgg11", "vgg13_bn", "vgg16", "vgg19"])
def test_every_variant_has_five_blocks_that_halve(variant: str) -> None:
    network = build(variant=variant).eval()
    x = maps(1, 32, 70)
    for block in network.blocks:
        height, width = x.shape[-2:]
        x = block(x)
        assert x.shape[-2:] == (height // 2, width // 2)
    assert network(maps(3, 32, 32)).shape == (3,)


@pytest.mark.parametrize(
    ("frontend", "answer"),
    [
        (RawKnobs(), "needs a map of bands over frames, not frontend=raw"),
        (LogMelKnobs(n_mels=24), r"there are 24 bands: raise frontend.n_mels \(now 24\)"),
        (LFCCKnobs(n_coefficients=20), r"there are 20 bands: raise frontend.n_coefficients \(now 20\)"),
        (LogMelKnobs(crop_s=0.3), r"there are 31 frames: raise frontend.crop_s \(now 0.3\)"),
    ],
    ids=str,
)
def test_features_it_cannot_take_are_refused(frontend: Any, answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        knobs().build(frontend)


def test_the_smallest_map_is_taken() -> None:
    frontend = LogMelKnobs(n_mels=32, crop_s=0.31)
    assert knobs().build(frontend)(frontend.build()(torch.randn(2, frontend.crop_samples))).shape == (2,)


def test_the_same_seed_draws_the_same_weights() -> None:
    one, other = build().state_dict(), build().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(value.isfinite().all() for value in one.values())


# --- what is frozen ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, 1),
        ({"pretrained": "imagenet"}, 6),
        ({"unfreeze_from": "none"}, 6),
        ({"pretrained": "x.pth", "unfreeze_from": 3}, 3),
    ],
)
def test_what_is_trained_depends_on_whether_it_is_pretrained(options: dict[str, Any], first: int) -> None:
    assert knobs(**options).trained_from == first
    network = build(**options).train()
    assert [block.training for block in network.blocks] == [number >= first for number in BLOCKS]
    for number, block in enumerate(network.blocks, 1):
        assert all(parameter.requires_grad == (number >= first) for parameter in block.parameters())
    assert all(parameter.requires_grad for parameter in network.head.parameters())


def test_frozen_blocks_stay_in_eval_mode_whatever_is_called() -> None:
    network = nn.ModuleList([build(variant="vgg11_bn", unfreeze_from=4)]).train()[0]
    norms = [module for module in network.blocks[:3].modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(module.training for module in norms)
    assert network.head.training
    assert not any(module.training for module in network.eval().modules())


@pytest.mark.parametrize("classifier", ["pool", "torchvision"])
def test_gradients_reach_the_waveform_through_frozen_blocks(classifier: str) -> None:
    network = build(unfreeze_from="none", classifier=classifier).train()
    wave = torch.randn(2, FRONTEND.crop_samples, requires_grad=True)
    network(FRONTEND.build()(wave)).sum().backward()
    assert wave.grad is not None
    assert wave.grad.abs().amax(1).min() > 0
    assert all(parameter.grad is None for parameter in network.blocks.parameters())


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ({"unfreeze_from": "none"}, 6),  # five blocks and the pool
        ({"unfreeze_from": "none", "classifier": "torchvision"}, 6),
        ({"unfreeze_from": 5, "variant": "vgg11_bn"}, 4),
        ({"unfreeze_from": 2, "unfreeze_every": 1}, 1),
        ({"unfreeze_from": 1}, 0),
        ({"unfreeze_from": 1, "unfreeze_every": 1}, 0),
    ],
)
def test_a_network_is_cut_where_its_training_begins(options: dict[str, Any], pieces: int) -> None:
    network = build(**options, dropout=0.0).train()
    parts = knobs(**options).split(network)
    if not pieces:
        assert parts is None
        return
    assert parts is not None
    frozen, rest = parts
    assert len(list(frozen.children())) == pieces
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(any(p is q for q in network.parameters()) for part in parts for p in part.parameters())
    for _ in range(2):  # running statistics, had they moved, would change the second
        torch.testing.assert_close(rest(frozen(maps())), network(maps()), rtol=0, atol=0)


def test_other_networks_have_no_frozen_part() -> None:
    assert CNNKnobs().split(CNNKnobs().build(FRONTEND)) is None


@pytest.mark.parametrize(
    ("options", "firsts"),
    [
        ({"unfreeze_from": 1, "unfreeze_every": 1}, [6, 5, 4, 3, 2, 1, 1, 1]),
        ({"unfreeze_from": 4, "unfreeze_every": 2}, [6, 6, 5, 5, 4, 4, 4, 4]),
        ({"unfreeze_from": 3}, [3] * 8),
        ({"unfreeze_from": "none"}, [6] * 8),
    ],
)
def test_blocks_are_unfrozen_by_epoch(options: dict[str, Any], firsts: list[int]) -> None:
    assert [knobs(**options).trained_in(epoch) for epoch in range(8)] == firsts


def test_unfreezing_needs_something_to_unfreeze() -> None:
    with pytest.raises(ConfigError, match=r"unfreeze_every needs a block to end at: unfreeze_from=1 to 5"):
        knobs(pretrained="imagenet", unfreeze_every=2)
    with pytest.raises(ConfigError, match=r"unfreeze_from=6: input should be 1, 2, 3, 4, 5 or 'none'"):
        knobs(unfreeze_from=6)


# --- training ------------------------------------------------------------------------------------


def detector(**options: Any) -> VGG16Detector:
    described = DetectorKnobs(frontend=FRONTEND, model=knobs(**options))
    schedule = TrainerKnobs(schedule="constant", warmup_epochs=0)
    return VGG16Detector(described, schedule, class_weights=(1.0, 1.0))


def fit(manifest_csv: Path, detector: Detector, checkpoint: Path | None = None, **more: Any) -> pl.Trainer:
    detector.manifest = Manifest.read(manifest_csv)
    data = ManifestKnobs(path=manifest_csv, batch_size=12)
    trainer = make_trainer(CPU, folder=manifest_csv.parent, **more)
    module = ClipDataModule(detector.manifest, data=data, frontend=FRONTEND)
    trainer.fit(detector, datamodule=module, ckpt_path=checkpoint, weights_only=True)
    return trainer


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("variant", ["vgg16", "vgg11_bn"])
def test_a_step_changes_exactly_the_last_block_and_the_head(variant: str, manifest_csv: Path) -> None:
    module = detector(variant=variant, unfreeze_from=5)
    before = copied(module.network)
    fit(manifest_csv, module, max_steps=1, limit_val_batches=0)
    trained = {name for name in before if name.startswith(("blocks.4.", "head."))}
    assert any("running_mean" in name for name in before) == (variant == "vgg11_bn")
    assert changed(before, module.network.state_dict()) == trained


def test_head_and_backbone_learn_at_rates_of_their_own() -> None:
    module = detector(unfreeze_from=4, variant="vgg11_bn", lr=0.5, backbone_lr=0.25, weight_decay=0.125)
    head, head_plain, backbone, backbone_plain = module.parameter_groups()
    assert (head["lr"], head_plain["lr"]) == (0.5, 0.5)
    assert (backbone["lr"], backbone_plain["lr"]) == (0.25, 0.25)
    assert (head["weight_decay"], backbone["weight_decay"]) == (0.125, 0.125)
    assert (head_plain["weight_decay"], backbone_plain["weight_decay"]) == (0, 0)
    listed = [p for group in (head, head_plain, backbone, backbone_plain) for p in group["params"]]
    network = module.network
    expected = [*network.head.parameters(), *network.blocks[3:].parameters()]  # type: ignore[union-attr, index]
    assert {id(p) for p in listed} == {id(p) for p in expected}
    assert len(listed) == len(expected)
    assert DETECTORS["vgg16"] is VGG16Detector


class Watch(pl.Callback):
    """Notes which parts of the network each epoch changed."""

    def __init__(self) -> None:
        self.changed: list[list[str]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.before = copied(pl_module.network)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        names = changed(self.before, pl_module.network.state_dict())
        self.changed.append(sorted({name[: len("blocks.0")] if name[0] == "b" else "head" for name in names}))


def test_blocks_thaw_one_by_one_and_a_resumed_run_goes_on_alike(manifest_csv: Path, tmp_path: Path) -> None:
    options = {"unfreeze_from": 4, "unfreeze_every": 1}
    module, watch = detector(**options), Watch()
    ever = [p for group in module.parameter_groups() for p in group["params"]]
    assert all(parameter.requires_grad for parameter in ever)  # as a wrapper for several devices finds them
    assert any(parameter is next(module.network.blocks[3].parameters()) for parameter in ever)  # type: ignore[index]
    fit(manifest_csv, module, max_epochs=3, callbacks=[watch])
    assert watch.changed == [["head"], ["blocks.4", "head"], ["blocks.3", "blocks.4", "head"]]

    cut = fit(manifest_csv, detector(**options), max_epochs=2)
    cut.save_checkpoint(tmp_path / "cut.ckpt")
    resumed, watch = detector(**options), Watch()
    fit(manifest_csv, resumed, tmp_path / "cut.ckpt", max_epochs=3, callbacks=[watch])
    assert watch.changed == [["blocks.3", "blocks.4", "head"]]
    assert not changed(copied(module.network), resumed.network.state_dict())


def test_a_checkpoint_needs_neither_internet_nor_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("looked for pretrained weights")

    for name in ("imagenet", "read_weights", "sha256"):
        monkeypatch.setattr(pretrained, name, fail)
    for weights in ("imagenet", str(tmp_path / "gone.pth")):
        network = build(pretrained=weights).eval()
        content = {
            "dfad": DetectorKnobs(frontend=FRONTEND, model=knobs(pretrained=weights)).plain(),
            "state_dict": {f"network.{name}": value for name, value in network.state_dict().items()},
        }
        torch.save(content, tmp_path / "best.ckpt")
        loaded = Checkpoint.read(tmp_path / "best.ckpt").network()
        assert torch.equal(loaded(maps()), network(maps()))


# --- pretrained weights --------------------------------------------------------------------------


def started(path: Path, **options: Any) -> VGG:
    chosen = knobs(pretrained=str(path), **options)
    network = chosen.build(FRONTEND)
    chosen.start(network)
    return network


def test_a_new_detector_begins_with_its_pretrained_weights(weights: Path) -> None:
    module = detector(pretrained=str(weights))
    expected = torch.load(weights, weights_only=True)
    found = module.network.state_dict()
    torch.testing.assert_close(found["blocks.4.18.weight"], expected["features.18.weight"], rtol=0, atol=0)
    torch.testing.assert_close(found["blocks.0.0.weight"], expected["features.0.weight"].sum(1, keepdim=True))


def test_wrapped_and_one_channel_state_dicts_are_taken(weights: Path, tmp_path: Path) -> None:
    plain = torch.load(weights, weights_only=True)
    plain["features.0.weight"] = plain["features.0.weight"].sum(1, keepdim=True)
    torch.save({"state_dict": {f"module.{name}": value for name, value in plain.items()}}, tmp_path / "x.pth")
    one, other = started(tmp_path / "x.pth").blocks.state_dict(), started(weights).blocks.state_dict()
    for name in one:
        torch.testing.assert_close(one[name], other[name])


def test_batch_norm_statistics_are_taken_too(tmp_path: Path) -> None:
    network = theirs("vgg11_bn").features
    random = torch.Generator().manual_seed(0)
    state = {f"features.{name}": value for name, value in network.state_dict().items()}
    state["features.1.running_mean"].normal_(generator=random)
    del state["features.1.num_batches_tracked"]  # older state dicts have none
    torch.save(state, tmp_path / "x.pth")
    found = started(tmp_path / "x.pth", variant="vgg11_bn").state_dict()
    assert torch.equal(found["blocks.0.1.running_mean"], state["features.1.running_mean"])


WRONG = [
    (lambda s: s.pop("features.3.bias"), {}, ["missing: features.3.bias", "torchvision.models.vgg11()"]),
    (lambda s: s.update({"layer1.x": torch.ones(1)}), {}, ["unexpected: layer1.x"]),
    (
        lambda s: s.update({"features.3.bias": torch.ones(7)}),
        {},
        ["of another shape: features.3.bias (7,), not (128,)"],
    ),
    (lambda s: s, {"variant": "vgg13"}, ["missing: features.2.weight", "more", "it fits model.variant=vgg11"]),
    (
        lambda s: s,
        {"classifier": "torchvision"},
        ["missing: classifier.0.weight", "it fits model.classifier=pool"],
    ),
    (lambda s: s["features.3.bias"].fill_(float("nan")), {}, ["features.3.bias holds NaN"]),
    (lambda s: s.clear(), {}, ["missing: features.0.weight"]),
]


@pytest.mark.parametrize(("spoil", "options", "answers"), WRONG, ids=lambda x: x[0] if isinstance(x, list) else "")
def test_a_state_dict_that_does_not_fit_is_told(
    spoil: Any, options: dict[str, Any], answers: list[str], weights: Path, tmp_path: Path
) -> None:
    state = torch.load(weights, weights_only=True)
    spoil(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(RunError) as caught:
        started(tmp_path / "x.pth", **options)
    assert all(answer in str(caught.value) for answer in answers), caught.value
    assert len(str(caught.value).splitlines()) <= 5


TRACE = Path(gettempdir()) / "dfad-hostile-weights-were-run"


class Hostile:
    def __reduce__(self) -> Any:
        return (Path.touch, (TRACE,))


def test_files_that_are_no_state_dict_are_refused_in_a_line(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with pytest.raises(ConfigError, match="there is no such file"):
        started(path)
    flipped = bytearray(weights.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    contents = [b"", b"garbage", weights.read_bytes()[:100_000], pickle.dumps(Hostile()), bytes(flipped)]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"is damaged, or no state dict") as caught:
            started(path)
        assert "\n" not in str(caught.value)
    for what in ([1, 2], {"epoch": 3}, Hostile(), nn.Linear(1, 1)):
        torch.save(what, path)
        with pytest.raises(RunError, match=r"is damaged, or no state dict"):
            started(path)
    assert not TRACE.exists()


def test_the_identity_of_a_run_holds_the_content_of_the_weights(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (knobs(pretrained=str(tmp_path / name)).identity() for name in "abc")
    assert a == b != c
    assert a["pretrained"] == hashlib.sha256(b"1").hexdigest()
    assert knobs(pretrained="imagenet").identity()["pretrained"] == "imagenet"
    with pytest.raises(ConfigError, match=r"model.pretrained=imagnet: there is no such file; give imagenet, none or"):
        knobs(pretrained="imagnet").identity()


# --- ImageNet weights ----------------------------------------------------------------------------


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A web site that stands in for torchvision's, and a folder for what torch keeps; give it the file's name."""
    (tmp_path / "site").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def publish(name: str, port: int = server.server_port) -> Path:
        about = SimpleNamespace(url=f"http://127.0.0.1:{port}/{name}", meta={"_file_size": 527.796})
        monkeypatch.setattr(torchvision.models, "get_model_weights", lambda variant: SimpleNamespace(DEFAULT=about))
        return tmp_path / "hub" / "checkpoints" / name

    publish.site = tmp_path / "site"  # type: ignore[attr-defined]
    yield publish
    server.shutdown()
    server.server_close()


def test_imagenet_weights_are_downloaded_once(site: Any, weights: Path) -> None:
    name = f"vgg11-{pretrained.sha256(weights)[:8]}.pth"
    (site.site / name).write_bytes(weights.read_bytes())
    kept = site(name)
    first = started(Path("imagenet"))
    assert kept.read_bytes() == weights.read_bytes()
    (site.site / name).unlink()
    second = started(Path("imagenet"))
    assert not changed(first.blocks.state_dict(), second.blocks.state_dict())
    kept.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError, match="damaged or another file; delete it"):
        started(Path("imagenet"))


def test_a_wrong_download_is_not_kept(site: Any) -> None:
    (site.site / "vgg11-00000000.pth").write_bytes(b"a page of the provider")
    kept = site("vgg11-00000000.pth")
    with pytest.raises(DataError, match="cannot download"):
        started(Path("imagenet"))
    assert not [path for path in kept.parent.iterdir() if path.suffix != ".lock"]


def test_without_internet_the_way_round_is_told(site: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    kept = site("vgg16-397923af.pth", port)
    with pytest.raises(DfadError) as caught:
        started(Path("imagenet"), variant="vgg16")
    said = str(caught.value)
    assert f"cannot download http://127.0.0.1:{port}/vgg16-397923af.pth" in said
    assert f"put that file (553 MB) into {kept.parent}" in said
    assert "model.pretrained=<path to vgg16-397923af.pth>" in said
    assert caught.value.exit_code == 3


def test_torchvision_still_names_its_files_by_their_checksum() -> None:
    for variant in ("vgg11", "vgg16", "vgg19_bn"):
        weights = torchvision.models.get_model_weights(variant).DEFAULT
        assert len(Path(weights.url).stem.rsplit("-", 1)[1]) == 8
        assert weights.meta["_file_size"] > 500
