"""Corpora of several archives: each comes once, from servers that fail, from a killed process, from a user's disk."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.corpora.archives import SOURCES, Archive, Source
from dfad.corpora.base import AbsentError, CorpusKnobs
from dfad.corpora.base import Progress as Told
from dfad.prepared.bring import RECORD, lacking
from tests.conftest import ROOT, environment
from tests.servers import Served, serving


class StandInKnobs(CorpusKnobs):
    """Options of a corpus whose keys and clips come in archives of their own."""

    name: Literal["stand_in"] = "stand_in"
    path: Path = Path("data/stand_in")

    def read_clips(self, progress: Told | None = None) -> Manifest:
        """Read it."""
        keys = list(self.path.rglob("keys.csv"))
        if not keys:
            raise AbsentError(f"no stand_in at {self.path}")
        return Manifest.read(keys[0], root=keys[0].parents[1])


def sound(seed: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.1 * np.random.default_rng(seed).normal(size=40_000), 16000, format="FLAC")
    return buffer.getvalue()


def tar(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


NAMES = [f"flac/{split}{number}.flac" for split in ("train", "val", "test") for number in range(4)]
CLIPS = {name: sound(number) for number, name in enumerate(NAMES)}


def keys() -> bytes:
    lines = ["path,label,split,speaker"]
    for number, name in enumerate(NAMES):
        split = name.removeprefix("flac/")[:-6]
        lines.append(f"{name},{'real' if number % 2 else 'fake'},{split},{split}-{number}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("keys/keys.csv", "\n".join(lines))
    return buffer.getvalue()


CONTENT = {
    "keys.zip": keys(),
    "part_aa.tar": tar(dict(list(CLIPS.items())[:6]), "w"),
    "part_ab.tar.gz": tar(dict(list(CLIPS.items())[6:])),
}
GIVES = {"keys.zip": "keys", "part_aa.tar": "flac", "part_ab.tar.gz": "flac"}

Prepare = Callable[..., tuple[int, str]]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Served]]:
    """A server for each archive of the stand-in, and tables that know it."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(CORPORA, "stand_in", StandInKnobs)  # type: ignore[arg-type]
    with ExitStack() as stack:
        served = {name: stack.enter_context(serving(Served(content))) for name, content in CONTENT.items()}
        archives = tuple(
            Archive(
                *(name, GIVES[name], served[name].url, len(content)),
                size=len(content),
                md5=hashlib.md5(content).hexdigest(),
            )
            for name, content in CONTENT.items()
        )
        monkeypatch.setitem(SOURCES, "stand_in", Source(archives, "for tests", "https://example.org"))
        yield served


def clips(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.flac")}


def asked(servers: dict[str, Served]) -> list[int]:
    return [len(server.asked) for server in servers.values()]


def test_all_archives_come_once_and_lie_together(servers: dict[str, Served], prepare: Prepare, tmp_path: Path) -> None:
    servers["part_aa.tar"].drop_after, servers["part_aa.tar"].drops = 20_000, 1
    code, said = prepare("stand_in")
    assert code == 0, said
    root = tmp_path / "data" / "stand_in"
    assert clips(root) == CLIPS
    assert "stand_in: 3 archives" in said
    assert "terms: for tests; https://example.org" in said
    assert said.count("size and md5 are as published") == 3
    assert "12 of 12 clips can be used" in said
    assert {path.name for path in root.iterdir() if not path.name.startswith(".")} == {
        *("keys", "flac", "stand_in.prepared.parquet", "stand_in.prepared.html")
    }
    assert asked(servers) == [1, 2, 1]
    code, said = prepare("stand_in")
    assert (code, asked(servers)) == (0, [1, 2, 1])
    assert "stand_in is there already: data/stand_in" in said


def test_one_that_fails_is_all_that_is_missing_then(
    servers: dict[str, Served], prepare: Prepare, tmp_path: Path
) -> None:
    servers["part_aa.tar"].content = CONTENT["part_aa.tar"][:-1] + b"?"
    code, said = prepare("stand_in", "--root", "here")
    assert code == 3
    assert "md5" in said
    assert "damaged on the way, or no longer the same file" in said
    assert "dfad prepare stand_in --root here --archive part_aa.tar" in said
    assert json.loads((tmp_path / "here" / RECORD).read_text()) == {"unpacked": ["keys.zip"]}
    servers["part_aa.tar"].content = CONTENT["part_aa.tar"]
    assert prepare("stand_in", "--root", "here")[0] == 0
    assert asked(servers) == [1, 2, 1]
    assert clips(tmp_path / "here") == CLIPS


def test_a_killed_process_is_gone_on_with(servers: dict[str, Served], prepare: Prepare, tmp_path: Path) -> None:
    servers["part_ab.tar.gz"].pause_s = 0.3
    code = (
        "from tests.test_bring import *; from dfad.commands.prepare import main; urls = sys.argv.pop().split();"
        "archives = tuple(Archive(name, GIVES[name], url) for name, url in zip(CONTENT, urls));"
        "CORPORA['stand_in'] = StandInKnobs; SOURCES['stand_in'] = Source(archives, '', ''); main()"
    )
    urls = " ".join(server.url for server in servers.values())
    words = [sys.executable, "-c", code, "stand_in", "--root", str(tmp_path / "x"), urls]
    process = subprocess.Popen(words, cwd=ROOT, env=environment())
    part = tmp_path / "x" / "part_ab.tar.gz.part"
    while not part.is_file() or part.stat().st_size == 0:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    servers["part_ab.tar.gz"].pause_s = 0.0
    assert prepare("stand_in", "--root", str(tmp_path / "x"))[0] == 0
    assert asked(servers) == [1, 1, 2]
    assert int(servers["part_ab.tar.gz"].asked[1]["Range"][6:-1]) > 0
    assert clips(tmp_path / "x") == CLIPS


def test_archives_that_were_brought_are_unpacked_and_nothing_is_downloaded(
    servers: dict[str, Served], prepare: Prepare, tmp_path: Path
) -> None:
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    code, said = prepare("stand_in", "--archive", "keys.zip", "--archive", "part_aa.tar")
    assert code == 3  # six clips are not there
    assert "not brought: 1 archive" in said
    assert "part_ab.tar.gz" in said
    assert "6 of 12 clips cannot be used" in said
    code, said = prepare("stand_in", "--archive", "part_ab.tar.gz", "--no-download")
    assert code == 0, said
    assert asked(servers) == [0, 0, 0]
    assert clips(tmp_path / "data" / "stand_in") == CLIPS
    assert all((tmp_path / name).is_file() for name in CONTENT)


def test_parts_of_an_archive_are_joined(servers: dict[str, Served], prepare: Prepare, tmp_path: Path) -> None:
    content = CONTENT["part_ab.tar.gz"]
    for letter, piece in zip("abc", (content[:9000], content[9000:20_000], content[20_000:]), strict=True):
        (tmp_path / f"part_ab.tar.gz.a{letter}").write_bytes(piece)
    for name in ("keys.zip", "part_aa.tar"):
        (tmp_path / name).write_bytes(CONTENT[name])
    words = [f"--archive={path}" for path in tmp_path.iterdir() if path.is_file()]
    code, said = prepare("stand_in", *words)
    assert code == 0, said
    assert "part_ab.tar.gz.aa (3 parts)" in said
    assert clips(tmp_path / "data" / "stand_in") == CLIPS


def test_a_file_that_is_none_of_the_archives_is_told(
    servers: dict[str, Served], prepare: Prepare, tmp_path: Path
) -> None:
    (tmp_path / "what.zip").write_bytes(CONTENT["keys.zip"])
    code, said = prepare("stand_in", "--archive", "what.zip")
    assert code == 2
    assert "which archive is what.zip? name it as one of: keys.zip, part_aa.tar, part_ab.tar.gz" in said


def test_a_copy_laid_by_hand_gets_what_it_lacks(servers: dict[str, Served], prepare: Prepare, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for name, content in CLIPS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    code, said = prepare("stand_in", "--root", "mine")
    assert code == 0, said
    assert asked(servers) == [1, 0, 0]
    assert json.loads((root / RECORD).read_text()) == {"unpacked": ["part_aa.tar", "part_ab.tar.gz", "keys.zip"]}


def test_a_copy_in_a_layout_of_its_own_is_left_alone(
    servers: dict[str, Served], prepare: Prepare, tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(CONTENT["keys.zip"])) as archive:
        archive.extractall(tmp_path / "mine" / "deep")
    for name, content in CLIPS.items():
        (tmp_path / "mine" / "deep" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "mine" / "deep" / name).write_bytes(content)
    assert prepare("stand_in", "--root", "mine")[0] == 0
    assert asked(servers) == [0, 0, 0]


def test_a_copy_that_lies_as_archives_unpack_only_in_part_is_left_alone_if_it_can_be_read(
    servers: dict[str, Served], prepare: Prepare, tmp_path: Path
) -> None:
    root = tmp_path / "mine"
    with zipfile.ZipFile(io.BytesIO(CONTENT["keys.zip"])) as archive:
        archive.extractall(root)
    (root / "keys" / "keys.csv").write_text((root / "keys" / "keys.csv").read_text().replace("flac/", "elsewhere/"))
    for name, content in CLIPS.items():
        (root / name.replace("flac/", "elsewhere/")).parent.mkdir(exist_ok=True)
        (root / name.replace("flac/", "elsewhere/")).write_bytes(content)
    assert prepare("stand_in", "--root", "mine")[0] == 0
    assert asked(servers) == [0, 0, 0]


def test_a_corpus_that_was_brought_and_deleted_is_brought_again(
    servers: dict[str, Served], prepare: Prepare, tmp_path: Path
) -> None:
    assert prepare("stand_in")[0] == 0
    shutil.rmtree(tmp_path / "data" / "stand_in" / "flac")
    shutil.rmtree(tmp_path / "data" / "stand_in" / "keys")
    assert prepare("stand_in")[0] == 0
    assert asked(servers) == [2, 2, 2]


def test_a_folder_that_cannot_be_read_is_not_downloaded_into(
    tmp_path: Path, servers: dict[str, Served], prepare: Prepare
) -> None:
    (tmp_path / "mine" / "deep" / "keys").mkdir(parents=True)
    (tmp_path / "mine" / "deep" / "keys" / "keys.csv").write_text("path\n")
    code, said = prepare("stand_in", "--root", "mine")
    assert code == 3
    assert "no column label" in said
    assert "to download it, give another folder: dfad prepare stand_in --root DIR" in said
    assert asked(servers) == [0, 0, 0]


def test_an_archive_is_no_folder(servers: dict[str, Served], prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "keys.zip").write_bytes(CONTENT["keys.zip"])
    code, said = prepare("stand_in", "--root", "keys.zip")
    assert code == 3
    assert "keys.zip is a file; give it as: dfad prepare stand_in --archive keys.zip" in said


def test_half_of_a_corpus_is_never_taken_for_a_copy(servers: dict[str, Served], tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"unpacked": ["keys.zip"]}')
    (tmp_path / "flac").mkdir()
    (tmp_path / "flac" / "train0.flac").touch()  # of an archive that was moved there in part
    assert [archive.name for archive in lacking("stand_in", tmp_path, None)] == ["part_aa.tar", "part_ab.tar.gz"]
    (tmp_path / RECORD).unlink()
    (tmp_path / "keys").mkdir()
    assert [archive.name for archive in lacking("stand_in", tmp_path, None)] == ["keys.zip"]  # empty


def test_a_record_that_cannot_be_read_is_told(servers: dict[str, Served], prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"unpa')
    code, said = prepare("stand_in", "--root", ".")
    assert code == 3
    assert f"{RECORD} cannot be read" in said


def test_a_disk_without_room_is_told_before_anything_is_asked_for(
    servers: dict[str, Served], prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfad.download.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    code, said = prepare("stand_in")
    assert code == 3
    assert "stand_in, before it is unpacked, needs" in said
    assert asked(servers) == [0, 0, 0]


def test_what_nobody_gives_without_being_asked_is_told_before_the_rest_is_downloaded(
    servers: dict[str, Served], prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, *rest = SOURCES["stand_in"].archives
    source = Source((replace(first, url=None), *rest), "ask them", "https://example.org", "get keys to {root}")
    monkeypatch.setitem(SOURCES, "stand_in", source)
    code, said = prepare("stand_in", "--root", "x")
    assert code == 3
    assert "keys of stand_in cannot be downloaded without you (ask them; https://example.org):\nget keys to x\n" in said
    assert asked(servers) == [0, 0, 0]
    (tmp_path / "keys.zip").write_bytes(CONTENT["keys.zip"])
    assert prepare("stand_in", "--root", "x", "--archive", "keys.zip")[0] == 3  # the clips are missing
    assert prepare("stand_in", "--root", "x")[0] == 0
    assert asked(servers) == [0, 1, 1]


@pytest.mark.parametrize("corpus", SOURCES)
def test_the_table_is_of_one_piece(corpus: str) -> None:
    source = SOURCES[corpus]
    names = [archive.name for archive in source.archives]
    assert len(set(names)) == len(names)
    assert source.home.startswith("https://")
    for archive in source.archives:
        assert archive.url is None or archive.url.startswith(("https://", "http://ss-takashi"))
        assert (archive.url is None) == (bool(source.by_hand) and archive is source.archives[0])
        assert archive.sha256 is None or len(bytes.fromhex(archive.sha256)) == 32
        assert archive.md5 is None or len(bytes.fromhex(archive.md5)) == 16
        assert archive.size is None or archive.size == archive.about
        assert not Path(archive.gives).is_absolute()
        assert archive.gives.startswith(archive.into)
