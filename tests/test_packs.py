"""Packs: the same clips as the files that were packed, on a disk and elsewhere; nothing that a pack can do to us."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfad.audio import LIMITS, load, probe
from dfad.audit.measure import facts_of
from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.corpora.check import broken, fingerprint
from dfad.corpora.packed_clips import Recipe, prepared
from dfad.corpora.packing import write_pack
from dfad.errors import AudioError, ConfigError, DataError
from dfad.packs import open_pack, where
from dfad.packs.ahead import AHEAD
from dfad.packs.buckets import Bucket
from dfad.packs.web import Web
from dfad.places import Piece
from dfad.training.windows import Windows, require_room
from dfad.wav import HEADER, Plain, header
from tests.packs import all_kinds, packed, shelf

SMALL_CHUNK = 100_000  # bytes


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kinds") / "corpus"
    root.mkdir()
    return all_kinds(root)


@pytest.fixture(scope="module")
def packs(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The corpus as packs of all three kinds."""
    home = tmp_path_factory.mktemp("packs")
    for kind in ("as-is", "pcm", "flac"):
        recipe = Recipe(kind, None if kind == "as-is" else 16000, SMALL_CHUNK)
        write_pack(Manifest.read(clips).noted("said"), where(str(home / kind)), recipe, limits=LIMITS)
    return {kind: home / kind for kind in ("as-is", "pcm", "flac")}


# --- what is read --------------------------------------------------------------------------------


def test_a_pack_as_is_gives_the_clips_of_the_corpus(clips: Path, packs: dict[str, Path]) -> None:
    loose, (found, _) = Manifest.read(clips), packed(packs["as-is"])
    pd.testing.assert_frame_equal(found.frame, loose.frame)
    assert found.digest() == loose.digest()
    assert found.notes == ("said",)
    assert fingerprint(found) != found.digest()
    for row in range(len(loose)):
        ours, theirs = found.path(row), loose.path(row)
        assert probe(ours) == probe(theirs)
        for crop_s, position in ((None, 0.0), (0.25, 0.0), (0.25, 0.7), (0.25, 1.0)):
            for rate in (16000, 22050):
                options: dict[str, Any] = {"sample_rate": rate, "crop_s": crop_s, "position": position}
                np.testing.assert_array_equal(load(ours, **options), load(theirs, **options))
        for ours_fact, theirs_fact in zip(facts_of(ours), facts_of(theirs), strict=True):
            np.testing.assert_array_equal(ours_fact, theirs_fact)


def test_samples_are_the_same_where_a_clip_has_16_bits_and_near_elsewhere(clips: Path, packs: dict[str, Path]) -> None:
    loose, (pcm, _), (flac, _) = Manifest.read(clips), packed(packs["pcm"]), packed(packs["flac"])
    exact = 0
    for row in range(len(loose)):
        wave = load(loose.path(row), sample_rate=16000)
        ours = load(pcm.path(row), sample_rate=16000)
        np.testing.assert_array_equal(load(flac.path(row), sample_rate=16000), ours)
        assert probe(pcm.path(row)).format == "WAV PCM_16"
        np.testing.assert_allclose(ours, np.clip(wave, -1, 1 - 2**-15), atol=2**-16 + 1e-7)
        name = loose.ids[row].rpartition("/")[2]
        if name in ("plain.wav", "a.flac", "f.aiff", "outside.wav"):
            np.testing.assert_array_equal(ours, wave)
            exact += 1
    changed = len(loose) - exact
    assert pcm.notes[1] == flac.notes[1]
    assert pcm.notes[1].startswith(f"packed as 16,000 Hz mono in 16 bits: {changed} of {len(loose)} clips")


def test_chunks_are_archives_of_one_split_that_unpack_to_the_files(
    clips: Path, packs: dict[str, Path], tmp_path: Path
) -> None:
    names = []
    for chunk in sorted(packs["as-is"].glob("*.tar")):
        with tarfile.open(chunk) as archive:
            assert chunk.stat().st_size <= SMALL_CHUNK + 1024 or len(archive.getmembers()) == 1
            archive.extractall(tmp_path, filter="data")
            inside = archive.getnames()
        assert {name.split("/")[0] for name in inside} <= {chunk.name.split("-")[0], "outside.wav"}
        names += inside
    ids = Manifest.read(clips).ids
    assert sorted(names) == sorted(id_.removeprefix("../") for id_ in ids)
    for id_ in ids:
        assert (tmp_path / id_.removeprefix("../")).read_bytes() == (clips.parent / id_).read_bytes()
    assert [id_ for id_ in names if id_.startswith("val")] == [id_ for id_ in ids if id_.startswith("val")]
    assert [id_ for id_ in names if id_.startswith("train")] != [id_ for id_ in ids if id_.startswith("train")]


def test_no_clip_is_broken_and_a_pack_of_a_pack_is_the_same(packs: dict[str, Path], tmp_path: Path) -> None:
    manifest, pack = packed(packs["as-is"])
    assert broken(manifest, range(len(manifest)), limits=LIMITS) == {}
    write_pack(manifest, where(str(tmp_path / "again")), Recipe("as-is", None, SMALL_CHUNK), limits=LIMITS)
    again, other = packed(tmp_path / "again")
    assert other.listing == pack.listing
    assert fingerprint(again) == fingerprint(manifest)


def test_other_chunks_are_other_clips_to_a_run(clips: Path, packs: dict[str, Path], tmp_path: Path) -> None:
    write_pack(Manifest.read(clips), where(str(tmp_path / "p")), Recipe("as-is", None, 200_000), limits=LIMITS)
    assert fingerprint(packed(tmp_path / "p")[0]) != fingerprint(packed(packs["as-is"])[0])


def test_in_a_mix_parts_are_packed_or_not(clips: Path, packs: dict[str, Path]) -> None:
    parts = {
        "far": {"name": "packed", "path": str(packs["as-is"]), "window": 2},
        "near": {"name": "packed", "path": str(packs["pcm"])},
        "loose": {"name": "manifest", "path": str(clips)},
    }
    mix = CORPORA["mix"].read({"name": "mix", "parts": parts}).manifest()
    assert len(mix) == 3 * len(Manifest.read(clips))
    waves = {}
    for row in range(len(mix)):
        if mix.ids[row].endswith("train/spoof/plain.wav"):
            waves[mix.frame["corpus"].iloc[row]] = load(mix.path(row), sample_rate=16000)
    assert set(waves) == {"far", "near", "loose"}
    np.testing.assert_array_equal(waves["far"], waves["near"])
    np.testing.assert_array_equal(waves["far"], waves["loose"])
    parts["near"]["path"] = parts["far"]["path"]
    with pytest.raises(DataError, match="files are in two parts"):
        CORPORA["mix"].read({"name": "mix", "parts": parts}).manifest()


# --- packs that are damaged or hostile -----------------------------------------------------------


@pytest.fixture
def pack(packs: dict[str, Path], tmp_path: Path) -> Path:
    """A pack to break."""
    return Path(shutil.copytree(packs["pcm"], tmp_path / "pack"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: it.update(format=2), "format 2, and this dfad reads format 1"),
        (lambda it: it["chunks"][0].update(name="../a-00000.tar"), "names files that no pack has"),
        (lambda it: it["clips"].update(name="/etc/passwd"), "names files that no pack has"),
        (lambda it: it["chunks"][0].update(bytes=-1), "damaged"),
        (lambda it: it["chunks"][0].update(bytes=10**30), "damaged"),
        (lambda it: it["chunks"][0].update(sha256="../../x"), "damaged"),
        (lambda it: it["made"].update(clips=[[]]), "damaged"),
        (lambda it: it["made"].update(packed="x"), "damaged"),
        (lambda it: it["made"].update(skipped=["a"]), "damaged"),
        (lambda it: it.pop("chunks"), "damaged"),
        (lambda it: it["chunks"].pop(), "lie outside the chunks"),
        (lambda it: it["chunks"][1].update(bytes=500), "lie outside the chunks"),
        (lambda it: it["clips"].update(sha256="0" * 64), "damaged or another file"),
    ],
)
def test_a_list_that_cannot_be_is_refused(pack: Path, change: Any, told: str) -> None:
    listing = json.loads((pack / "pack.json").read_text())
    change(listing)
    (pack / "pack.json").write_text(json.dumps(listing))
    with pytest.raises(DataError, match=told):
        packed(pack)


def test_what_is_no_pack_is_told(tmp_path: Path, pack: Path) -> None:
    with pytest.raises(DataError, match=r"no pack at .*: there is no pack\.json; dfad pack CORPUS --out"):
        packed(tmp_path / "nothing")
    with pytest.raises(DataError, match="is a pack; use data=packed"):
        CORPORA["folder"].read({"name": "folder", "path": str(pack)}).manifest()
    (pack / "pack.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        packed(pack)
    (pack / "pack.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="is damaged"):
        packed(pack)
    with pytest.raises(ConfigError, match="expected a folder, or an address"):
        packed("ftp://host/pack")


def test_a_gap_in_the_places_of_clips_is_refused(pack: Path) -> None:
    frame = pd.read_parquet(pack / "clips.parquet")
    frame["pack_start"] = frame["pack_start"].astype("Int64").mask(frame.index == 3)
    frame.to_parquet(pack / "clips.parquet", index=False)
    listing, data = json.loads((pack / "pack.json").read_text()), (pack / "clips.parquet").read_bytes()
    listing["clips"].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (pack / "pack.json").write_text(json.dumps(listing))
    with pytest.raises(DataError, match="no whole numbers in a column pack_start"):
        packed(pack)


def test_clips_of_one_hash_are_refused(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfad.packs.pack._hash", lambda id_: len(id_))
    with pytest.raises(DataError, match=r"cannot be told apart.* rename one"):
        packed(pack)


class Held(Piece):
    """A piece of any size of which the first bytes alone are there."""

    def __init__(self, head: bytes, size: int) -> None:
        self.head, self._size = head, size

    @property
    def size(self) -> int:
        return self._size

    @property
    def look(self) -> bytes:
        return b""

    def read(self, start: int = 0, count: int | None = None) -> bytes:
        return self.head[start : None if count is None else start + count]


def test_no_header_of_a_wav_is_too_odd(tmp_path: Path) -> None:
    """One of 65,535 channels, of which a frame has more bytes than the header can say; one of a file beyond 4 GiB."""
    head = bytearray(header(0, 16000))
    head[22:24] = b"\xff\xff"
    assert Plain.of(Held(bytes(head), HEADER)) is None
    assert Plain.of(Held(header(0, 16000), 2**32 + HEADER)) is None
    (tmp_path / "a.wav").write_bytes(head)
    (tmp_path / "clips.csv").write_text("path,label\na.wav,spoof\n")
    with pytest.raises(DataError, match="none of 1 clips can be used"):
        write_pack(Manifest.read(tmp_path / "clips.csv"), where(str(tmp_path / "p")), Recipe(), limits=LIMITS)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to("/dev/zero")
    with pytest.raises(AudioError, match="not a regular file"):
        prepared(tmp_path / "a.wav", Recipe(), limits=LIMITS)


def test_a_chunk_that_is_cut_off_or_away_is_named(pack: Path) -> None:
    manifest, whole = packed(pack)
    (row,) = (row for row in range(len(manifest)) if (clip := manifest.path(row)).chunk == 1 and clip.start == 512)
    chunk = pack / whole.listing.chunks[1].name
    with chunk.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(AudioError, match=rf"its chunk {chunk.name} is cut off"):
        load(manifest.path(row), sample_rate=16000)
    chunk.unlink()
    with pytest.raises(AudioError, match=rf"cannot read its chunk {chunk.name}: No such file"):
        load(manifest.path(row), sample_rate=16000)


# --- packs elsewhere -----------------------------------------------------------------------------


def waves(manifest: Manifest) -> list[np.ndarray]:
    return [load(manifest.path(row), sample_rate=16000) for row in range(len(manifest))]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of it than users have."""
    for kind in (Web, Bucket):
        monkeypatch.setattr(kind, "waits", (0.01, 0.01, 0.01))


@pytest.mark.usefixtures("patience")
def test_chunks_come_once_from_a_server_that_fails_on_the_way(packs: dict[str, Path], tmp_path: Path) -> None:
    here, pack = packed(packs["as-is"])
    with shelf(packs["as-is"], drop_after=30_000, drops=9, fails={"val-00000.tar": 2, "pack.json": 1}) as server:
        there, _ = packed(server.url, cache=str(tmp_path / "cache"))
        assert there.digest() == here.digest()
        assert fingerprint(there) == fingerprint(here)
        assert [name for _, name, _ in server.asked] == ["pack.json", "pack.json", "clips.parquet"]  # no chunk yet
        for ours, theirs in zip(waves(there), waves(here), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert server.drops == 0
        assert any(span for _, name, span in server.asked if name.endswith(".tar"))  # it went on where it was
        whole = sum(1 for _, name, span in server.asked if name.endswith(".tar") and not span)
        assert whole == len(pack.listing.chunks) + 2
        asked = len(server.asked)
        waves(packed(server.url, cache=str(tmp_path / "cache"))[0])
        assert [name for _, name, _ in server.asked[asked:]] == ["pack.json"]  # all the rest is here


@pytest.mark.usefixtures("patience")
def test_a_server_that_dies_is_told_with_the_chunk_and_the_next_try_goes_on(
    packs: dict[str, Path], tmp_path: Path
) -> None:
    with shelf(packs["as-is"], drop_after=1_000, drops=1) as server:
        there, _ = packed(server.url, cache=str(tmp_path / "cache"))
        row = next(row for row in range(len(there)) if there.path(row).chunk == 0)
        server.fails = {"train-00000.tar": 0}

        def die(handler: Any) -> None:
            if server.drops == 0:
                handler.send_error(503)
            else:
                type(server).give(server, handler)

        server.give = die  # type: ignore[method-assign]
        with pytest.raises(AudioError) as error:
            load(there.path(row), sample_rate=16000)
        for words in (f"{server.url}/{there.ids[row]}", "503", "1 kB of it are kept", "train-00000.tar of the pack"):
            assert words in str(error.value)
        assert "the same command goes on" in str(error.value)
        del server.give  # type: ignore[method-assign]
        server.asked.clear()
        load(there.path(row), sample_rate=16000)
        assert server.asked == [("GET", "train-00000.tar", "bytes=1000-")]


@pytest.mark.usefixtures("patience")
def test_what_is_damaged_on_the_way_is_never_used(pack: Path, tmp_path: Path) -> None:
    chunk = pack / "train-00000.tar"
    data = bytearray(chunk.read_bytes())
    data[700] ^= 1
    chunk.write_bytes(data)
    with shelf(pack) as server:
        there, _ = packed(server.url, cache=str(tmp_path / "cache"))
        row = next(row for row in range(len(there)) if there.path(row).chunk == 0)
        with pytest.raises(AudioError, match=r"sha256 .* expected .* damaged on the way"):
            load(there.path(row), sample_rate=16000)
    assert not list((tmp_path / "cache").rglob("train-*.tar*"))


def _read_all(url: str, cache: Path, seed: int, limit: int, into: Any) -> None:
    manifest, _ = open_pack(where(url), cache, limit)
    for row in np.random.default_rng(seed).permutation(len(manifest))[:20].tolist():
        into.put((row, float(load(manifest.path(row), sample_rate=16000).sum())))


def test_a_small_cache_serves_several_processes_and_stays_small(packs: dict[str, Path], tmp_path: Path) -> None:
    here, pack = packed(packs["as-is"])
    limit = round(2.5 * pack.listing.largest)
    assert pack.listing.size > 3 * limit
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    with shelf(packs["as-is"]) as server:
        with pytest.raises(ConfigError, match=r"more than data.cache_gb=0.000.* data.window=16"):
            packed(server.url, cache=str(tmp_path / "cache"), cache_gb=limit / 1e9)
        with pytest.raises(ConfigError, match=r"data.window=2: chunks for .* more than data.cache_gb=0.000"):
            packed(server.url, cache=str(tmp_path / "cache"), cache_gb=limit / 1e9, window=2)
        options = (server.url, tmp_path / "cache")
        other = context.Process(target=_read_all, args=(*options, 0, limit, found))
        other.start()
        sums = [found.get(timeout=60)]  # it has begun
        _read_all(*options, 1, limit, found)
        sums += [found.get(timeout=60) for _ in range(39)]
        other.join()
    wanted = [float(wave.sum()) for wave in waves(here)]
    assert all(value == wanted[row] for row, value in sums)
    assert sum(name.endswith(".tar") for _, name, _ in server.asked) > len(pack.listing.chunks)  # some came again
    kept = [path.stat().st_size for path in (tmp_path / "cache").rglob("*.tar")]
    assert sum(kept) <= limit


def test_a_cache_has_room_for_the_window_and_what_is_fetched_ahead_for_all_ranks_and_packs(
    packs: dict[str, Path], tmp_path: Path
) -> None:
    largest = packed(packs["as-is"])[1].listing.largest
    with shelf(packs["as-is"]) as one, shelf(packs["pcm"]) as other:
        options = {"name": "packed", "cache": str(tmp_path), "window": 1}
        with pytest.raises(ConfigError, match=r"data.window=1: chunks for"):
            packed(one.url, **{**options, "cache_gb": ((2 + AHEAD) * largest - 1) / 1e9})
        knobs = CORPORA["packed"].read({**options, "path": one.url, "cache_gb": (2 + AHEAD) * largest / 1e9})
        manifest = knobs.manifest()
        require_room(manifest, knobs, 1)
        with pytest.raises(ConfigError, match=r"2 ranks .* more than .*; type data.cache_gb=0.1"):
            require_room(manifest, knobs, 2)
        options["cache_gb"] = (2 + AHEAD) * largest / 1e9
        parts = {"a": {**options, "path": one.url}, "b": {**options, "path": other.url}}
        mix = CORPORA["mix"].read({"name": "mix", "parts": parts})
        with pytest.raises(ConfigError, match=r"1 rank .*; type data.parts.a.cache_gb=0.1 data.parts.b.cache_gb=0.1"):
            require_room(mix.manifest(), mix, 1)
        parts["b"]["cache"] = str(tmp_path / "other")
        mix = CORPORA["mix"].read({"name": "mix", "parts": parts})
        require_room(mix.manifest(), mix, 1)


@pytest.mark.parametrize("length", ["abc", "9" * 5000, "-1"])
def test_a_length_that_is_no_number_is_none(length: str, pack: Path, tmp_path: Path) -> None:
    with shelf(pack, length=length) as server:
        assert len(packed(server.url, cache=str(tmp_path / "cache"))[0])


@pytest.mark.usefixtures("patience")
def test_a_list_without_end_is_not_read(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfad.packs.web.SMALL", 100)
    with shelf(pack) as server, pytest.raises(DataError, match=r"pack.json: .* more than"):
        packed(server.url, cache=str(tmp_path / "cache"))
    assert len(server.asked) == 1


def test_chunks_are_fetched_before_they_are_wanted_and_not_much_before(packs: dict[str, Path], tmp_path: Path) -> None:
    with shelf(packs["as-is"]) as server:
        knobs = CORPORA["packed"].read({"name": "packed", "path": server.url, "cache": str(tmp_path), "window": 1})
        manifest = knobs.manifest()
        windows = Windows.of(manifest, knobs)
        assert windows
        rows = manifest.rows("train")
        rows = rows[windows.order(rows, np.random.default_rng(0))]
        order = list(dict.fromkeys(f"train-{chunk:05}.tar" for chunk in windows.chunk[rows]))
        assert len(order) > AHEAD + 2
        starts = windows.ahead(rows, range(0, len(rows), 2))

        def fetched() -> list[str]:
            return [name for _, name, _ in server.asked if name.endswith(".tar")]

        for at, start in enumerate(starts):
            begun = set(windows.chunk[rows[: start + 1]].tolist())
            wanted = order[: len(begun) + AHEAD]
            for _ in range(500):
                if len(fetched()) >= len(wanted):
                    break
                time.sleep(0.01)
            assert fetched() == wanted
            if at == len(rows) // 4:
                break
        assert len(fetched()) < len(order)
        before = len(fetched())
        starts.close()  # type: ignore[attr-defined]
        begin = len(rows) // 2  # as an epoch that goes on: what lies before is not fetched
        resumed = windows.ahead(rows, range(begin, len(rows), 2))
        next(resumed)
        later = {f"train-{chunk:05}.tar" for chunk in windows.chunk[rows[begin:]]}
        time.sleep(0.2)
        assert set(fetched()[before:]) <= later


# --- object stores -------------------------------------------------------------------------------


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: None) -> Any:
    """A server that speaks as much of S3 as a pack needs."""
    pytest.importorskip("obstore")
    with shelf(tmp_path / "s3") as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "key",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


def test_an_object_store_takes_and_gives_a_pack(
    clips: Path, packs: dict[str, Path], bucket: Any, tmp_path: Path
) -> None:
    here, pack = packed(packs["as-is"])
    recipe = Recipe("as-is", None, SMALL_CHUNK)
    done = write_pack(Manifest.read(clips).noted("said"), where("s3://box/my/pack"), recipe, limits=LIMITS)
    assert done.listing == pack.listing
    stored = {path.name for path in (tmp_path / "s3" / "box" / "my" / "pack").iterdir()}
    assert stored == {"pack.json", "clips.parquet", *(chunk.name for chunk in pack.listing.chunks)}
    asked = len(bucket.asked)
    assert write_pack(Manifest.read(clips), where("s3://box/my/pack"), recipe, limits=LIMITS).before
    assert [name for _, name, _ in bucket.asked[asked:]] == ["pack.json", "pack.json"]
    bucket.drop_after, bucket.drops = 20_000, 3
    there, _ = packed("s3://box/my/pack", cache=str(tmp_path / "cache"))
    for ours, theirs in zip(waves(there), waves(here), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert bucket.drops == 0
    with pytest.raises(DataError, match="no pack at s3://box/other"):
        packed("s3://box/other", cache=str(tmp_path / "cache"))


def test_a_list_without_end_is_not_read_from_an_object_store(
    pack: Path, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pack, tmp_path / "s3" / "box" / "p")
    monkeypatch.setattr("dfad.packs.buckets.SMALL", 100)
    with pytest.raises(DataError, match=r"pack.json in s3://box/p: .* more than"):
        packed("s3://box/p", cache=str(tmp_path / "cache"))


def test_a_fetching_process_takes_no_module_from_the_current_folder(
    pack: Path, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pack, tmp_path / "s3" / "box" / "p")
    chunk = packed(pack)[1].listing.chunks[0]
    (tmp_path / "filelock.py").write_text("raise SystemExit('taken from the current folder')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dfad.packs.buckets._threads", {"here": False})
    Bucket("s3://box/p").bring(chunk, tmp_path / "chunk.tar")
    assert (tmp_path / "chunk.tar").read_bytes() == (pack / chunk.name).read_bytes()


def _loads(manifest: Manifest, rows: list[int], into: Any) -> None:
    into.put([float(load(manifest.path(row), sample_rate=16000).sum()) for row in rows])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_processes_read_from_an_object_store(
    method: str, packs: dict[str, Path], bucket: Any, tmp_path: Path
) -> None:
    """The library's threads do not live on in a fork."""
    shutil.copytree(packs["pcm"], tmp_path / "s3" / "box" / "p")
    here, (there, _) = packed(packs["pcm"])[0], packed("s3://box/p", cache=str(tmp_path / "cache"))
    load(there.path(0), sample_rate=16000)
    context: Any = multiprocessing.get_context(method)
    found, rows = context.Queue(), [0, len(there) - 1]
    process = context.Process(target=_loads, args=(there, rows, found))
    process.start()
    try:
        assert found.get(timeout=60) == [float(load(here.path(row), sample_rate=16000).sum()) for row in rows]
    finally:
        process.kill()
        process.join()


def test_packing_to_an_object_store_goes_on(clips: Path, packs: dict[str, Path], bucket: Any, tmp_path: Path) -> None:
    manifest, recipe = Manifest.read(clips).noted("said"), Recipe("as-is", None, SMALL_CHUNK)

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise Stopped

    with pytest.raises(Stopped):
        write_pack(manifest, where("s3://box/p"), recipe, limits=LIMITS, progress=stop)
    box = tmp_path / "s3" / "box" / "p"
    made = {path.name for path in box.glob("*.tar")}
    assert made
    assert not (box / "pack.json").exists()
    bucket.asked.clear()
    done = write_pack(manifest, where("s3://box/p"), recipe, limits=LIMITS)
    assert not {name for method, name, _ in bucket.asked if method == "PUT"} & made
    assert done.listing == packed(packs["as-is"])[1].listing


def test_a_web_server_takes_no_pack(clips: Path, tmp_path: Path) -> None:
    with shelf(tmp_path) as server, pytest.raises(ConfigError, match="takes no files; pack into a folder"):
        write_pack(Manifest.read(clips), where(server.url), Recipe(), limits=LIMITS)
