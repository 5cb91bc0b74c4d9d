"""Archives, good and evil: a target is whole or not there, and nothing appears beside it."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dfad.errors import DataError
from dfad.extract import extract
from tests.conftest import ROOT, environment

FILES = {"top/a.wav": b"a" * 5000, "top/deep/b.wav": b"b" * 70_000, "top/deep/empty.wav": b""}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    def make(files: dict[str, bytes] = FILES, *extra: tarfile.TarInfo) -> Path:
        path = tmp_path / "archive.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            for info in extra:
                tar.addfile(info)
        return path

    return make


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def complaint(archive: Path, tmp_path: Path) -> str:
    """Extract what must fail, and see that nothing is left of it."""
    before = tree(tmp_path)
    with pytest.raises(DataError) as error:
        extract(archive, tmp_path / "home" / "corpus")
    assert tree(tmp_path) == before
    assert not list((tmp_path / "home").iterdir())
    return str(error.value)


def test_the_one_folder_around_all_is_taken_off(pack: Pack, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    extract(pack(), tmp_path / "home" / "corpus", progress=lambda done, of: told.append((done, of)))
    assert tree(tmp_path / "home") == {name.replace("top/", "corpus/"): content for name, content in FILES.items()}
    assert told == sorted(told)
    assert told[-1] == (2 * (tmp_path / "archive.tar.gz").stat().st_size,) * 2


def test_several_folders_stay(pack: Pack, tmp_path: Path) -> None:
    extract(pack({**FILES, "._top": b"mac"}), tmp_path / "corpus")
    assert tree(tmp_path / "corpus") == {**FILES, "._top": b"mac"}


EVIL = [
    (member("../evil.wav"), "leads out of the folder"),
    (member("top/../../evil.wav"), "leads out of the folder"),
    (member("..\\evil.wav"), "leads out of the folder"),
    (member("/tmp/evil.wav"), "has an absolute path"),
    (member("\\evil.wav"), "has an absolute path"),
    (member("C:\\evil.wav"), "has an absolute path"),
    (member("top/link", tarfile.SYMTYPE, "/etc/passwd"), "is a link to '/etc/passwd'"),
    (member("top/link", tarfile.SYMTYPE, "a.wav"), "is a link to 'a.wav'"),
    (member("top/link", tarfile.LNKTYPE, "top/a.wav"), "is a link to 'top/a.wav'"),
    (member("top/null", tarfile.CHRTYPE), "is a device or a pipe"),
    (member("top/disk", tarfile.BLKTYPE), "is a device or a pipe"),
    (member("top/pipe", tarfile.FIFOTYPE), "is a device or a pipe"),
]


@pytest.mark.parametrize(("info", "answer"), EVIL, ids=[f"{info.name}-{info.type.decode()}" for info, _ in EVIL])
def test_an_evil_member_refuses_the_whole_archive(
    pack: Pack, tmp_path: Path, info: tarfile.TarInfo, answer: str
) -> None:
    text = complaint(pack(FILES, info), tmp_path)
    assert f"its member {info.name!r} {answer}" in text
    assert "nothing was unpacked" in text


def test_permissions_of_members_are_tamed(pack: Pack, tmp_path: Path) -> None:
    info = member("top/run.wav")
    info.mode = 0o6777
    extract(pack(FILES, info), tmp_path / "corpus")
    assert (tmp_path / "corpus" / "run.wav").stat().st_mode & 0o6022 == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_archive_is_damaged(pack: Pack, tmp_path: Path, share: float) -> None:
    path = pack({"top/noise.wav": os.urandom(100_000), "top/other.wav": os.urandom(100_000)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "is damaged, or no tar.gz" in complaint(path, tmp_path)


def test_a_changed_byte_is_damage(pack: Pack, tmp_path: Path) -> None:
    path = pack({"top/noise.wav": os.urandom(100_000)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "delete it and download it again" in complaint(path, tmp_path)


@pytest.mark.parametrize("cut", ["header", "end"])
def test_a_tar_that_ends_early_inside_a_sound_gzip_is_damaged(pack: Pack, tmp_path: Path, cut: str) -> None:
    path = pack()
    plain = gzip.decompress(path.read_bytes())
    place = plain.index(b"top/deep/b.wav")
    broken = plain[:place] + b"?" * 512 + plain[place + 512 :] if cut == "header" else plain[:place]
    path.write_bytes(gzip.compress(broken))
    assert "is damaged" in complaint(path, tmp_path)


def test_other_files_are_no_archives(tmp_path: Path) -> None:
    path = tmp_path / "page.tar.gz"
    path.write_text("<html>404</html>")
    assert "is damaged, or no tar.gz" in complaint(path, tmp_path)
    assert "No such file" in complaint(tmp_path / "none.tar.gz", tmp_path)


def test_a_bomb_is_refused_unwritten(tmp_path: Path) -> None:
    info = member("top/zeros.wav")
    info.size = 1 << 60
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(1 << 20)))
    assert "are free there" in complaint(path, tmp_path)


def test_a_target_in_the_way_is_kept(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    extract(pack(), tmp_path / "corpus")  # an empty folder is fine
    with pytest.raises(DataError, match="is in the way"):
        extract(pack(), tmp_path / "corpus")


def test_a_killed_extraction_is_no_corpus_and_is_begun_anew(pack: Pack, tmp_path: Path) -> None:
    files = {f"top/{number}.wav": os.urandom(1000) for number in range(3000)}
    code = "import sys; from pathlib import Path; from dfad.extract import extract; extract(*map(Path, sys.argv[1:]))"
    target = tmp_path / "home" / "corpus"
    process = subprocess.Popen([sys.executable, "-c", code, pack(files), target], cwd=ROOT, env=environment())
    while not list(target.parent.glob(".corpus.partial/top/9*.wav")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    extract(tmp_path / "archive.tar.gz", target)
    assert len(tree(target)) == 3000
    assert [path.name for path in target.parent.iterdir()] == ["corpus"]
