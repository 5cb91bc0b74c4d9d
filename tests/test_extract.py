"""Archives, good and evil, of every kind: all of one comes or nothing, and nothing appears beside it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dfad.errors import DataError
from dfad.extract import extract
from tests.conftest import ROOT, environment

FILES = {"top/a.wav": b"a" * 5000, "top/deep/b.wav": b"b" * 70_000, "top/deep/empty.wav": b""}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}
KINDS = [*PACKED, "zip"]


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def tar(files: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return buffer.getvalue()


def zipped(files: dict[str, bytes], *extra: zipfile.ZipInfo, large: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            with archive.open(name, "w", force_zip64=large) as file:
                file.write(content)
        for info in extra:
            archive.writestr(info, b"x")
    return buffer.getvalue()


Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    def make(files: dict[str, bytes] = FILES, *extra: tarfile.TarInfo, kind: str = "tar.gz") -> Path:
        path = tmp_path / f"archive.{kind}"
        path.write_bytes(zipped(files) if kind == "zip" else PACKED[kind](tar(files, *extra)))
        return path

    return make


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def complaint(archive: Path, tmp_path: Path) -> str:
    """Extract what must fail, and see that nothing is left of it."""
    before = tree(tmp_path)
    with pytest.raises(DataError) as error:
        extract(archive, tmp_path / "home")
    assert tree(tmp_path) == before
    assert not list((tmp_path / "home").iterdir())
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_an_archive_comes_and_progress_is_told(pack: Pack, tmp_path: Path, kind: str) -> None:
    told: list[tuple[int, int]] = []
    path = pack(kind=kind)
    path = path.rename(path.with_name("archive.bin"))  # what it is, its content says
    extract(path, tmp_path / "home", progress=lambda done, of: told.append((done, of)))
    assert tree(tmp_path / "home") == FILES
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["top"]
    assert told == sorted(told)
    assert told[-1] == (2 * path.stat().st_size,) * 2


def test_a_zip_of_the_large_kind_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(FILES, large=True))
    assert b"\x2d\x00" in (tmp_path / "a.zip").read_bytes()[4:6]  # needs version 4.5, that of zip64
    extract(tmp_path / "a.zip", tmp_path / "home")
    assert tree(tmp_path / "home") == FILES


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_archive_in_parts_is_joined(pack: Pack, tmp_path: Path, kind: str) -> None:
    whole = pack({"noise.wav": os.urandom(10_000), **FILES}, kind=kind)
    content, parts = whole.read_bytes(), []
    for number, start in enumerate(range(0, len(content), 3000)):
        parts.append(tmp_path / f"{whole.name}.a{chr(97 + number)}")
        parts[-1].write_bytes(content[start : start + 3000])
    extract(parts, tmp_path / "home")
    extract(whole, tmp_path / "other")
    assert tree(tmp_path / "home") == tree(tmp_path / "other")
    with pytest.raises(DataError, match="is damaged"):
        extract([parts[0], *parts[2:]], tmp_path / "third")


def test_archives_of_one_folder_are_laid_together(pack: Pack, tmp_path: Path) -> None:
    extract(pack(), tmp_path / "home")
    (tmp_path / "home" / "mine.txt").write_text("mine")
    extract(pack({"top/c.wav": b"c", "top/deep/d.wav": b"d"}, kind="zip"), tmp_path / "home")
    more = {"top/c.wav": b"c", "top/deep/d.wav": b"d", "mine.txt": b"mine"}
    assert tree(tmp_path / "home") == {**FILES, **more}
    extract(pack(), tmp_path / "home")  # once more: of a run that was killed while it moved the files
    assert tree(tmp_path / "home") == {**FILES, **more}


@pytest.mark.parametrize("there", [b"other", None])
def test_what_is_in_the_way_is_kept(pack: Pack, tmp_path: Path, there: bytes | None) -> None:
    place = tmp_path / "home" / "top" / "a.wav"
    place.parent.mkdir(parents=True)
    place.write_bytes(there) if there else place.mkdir()
    before = tree(tmp_path / "home")
    with pytest.raises(DataError, match=r"a\.wav is in the way"):
        extract(pack(), tmp_path / "home")
    assert tree(tmp_path / "home") == before
    assert [path.name for path in (tmp_path / "home" / "top").iterdir()] == ["a.wav"]


NAMES = [
    ("../evil.wav", "leads out of the folder"),
    ("top/../../evil.wav", "leads out of the folder"),
    ("..\\evil.wav", "leads out of the folder"),
    ("/tmp/evil.wav", "has an absolute path"),
    ("\\evil.wav", "has an absolute path"),
    ("C:\\evil.wav", "has an absolute path"),
]
EVIL = [
    *((member(name), answer) for name, answer in NAMES),
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


def entry(name: str, mode: int = 0, encrypted: bool = False) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.flag_bits = mode << 16, int(encrypted)
    return info


EVIL_ZIP = [
    *((entry(name), answer) for name, answer in NAMES),
    (entry("top/link", stat.S_IFLNK | 0o777), "is a link"),
    (entry("top/pipe", stat.S_IFIFO), "is a device or a pipe"),
    (entry("top/null", stat.S_IFCHR), "is a device or a pipe"),
]


@pytest.mark.parametrize(
    ("info", "answer"), EVIL_ZIP, ids=[f"{info.filename}-{info.external_attr}" for info, _ in EVIL_ZIP]
)
def test_an_evil_entry_refuses_the_whole_zip(tmp_path: Path, info: zipfile.ZipInfo, answer: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(FILES, info))
    assert f"its member {info.filename!r} {answer}" in complaint(tmp_path / "a.zip", tmp_path)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.wav": b"a"}))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    assert "'a.wav' is encrypted" in complaint(tmp_path / "a.zip", tmp_path)


def test_permissions_of_members_are_tamed(pack: Pack, tmp_path: Path) -> None:
    info = member("top/run.wav")
    info.mode = 0o6777
    extract(pack(FILES, info), tmp_path / "corpus")
    assert (tmp_path / "corpus" / "top" / "run.wav").stat().st_mode & 0o6022 == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_archive_is_damaged(pack: Pack, tmp_path: Path, share: float, kind: str) -> None:
    path = pack({"top/noise.wav": os.urandom(100_000), "top/other.wav": os.urandom(100_000)}, kind=kind)
    end = path.stat().st_size if kind != "tar" else 202_000  # zeros follow, which say nothing
    path.write_bytes(path.read_bytes()[: int(share * end)])
    assert "is damaged, or no archive" in complaint(path, tmp_path)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_a_changed_byte_is_damage(pack: Pack, tmp_path: Path, kind: str) -> None:
    path = pack({"top/noise.wav": os.urandom(100_000)}, kind=kind)
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


@pytest.mark.parametrize("content", [b"<html>404</html>", b"PK", b"PK\x05\x06", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0"])
def test_other_files_are_no_archives(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.tar.gz"
    path.write_bytes(content)
    assert "is damaged, or no archive" in complaint(path, tmp_path)
    assert "No such file" in complaint(tmp_path / "none.tar.gz", tmp_path)


def test_a_bomb_is_refused_unwritten(tmp_path: Path) -> None:
    info = member("top/zeros.wav")
    info.size = 1 << 60
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(1 << 20)))
    assert "are free there" in complaint(path, tmp_path)


def test_a_zip_that_is_a_bomb_or_lies_of_its_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(zipped({"zeros.wav": bytes(10_000_000)}))
    assert path.stat().st_size < 20_000
    with monkeypatch.context() as small:
        small.setattr("dfad.download.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 9_000_000})())
        assert "9 MB are free there" in complaint(path, tmp_path)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24  # the size in the directory at the end
    content[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    assert "is damaged" in complaint(path, tmp_path)


def test_a_killed_extraction_leaves_nothing_that_a_reader_sees_and_is_begun_anew(pack: Pack, tmp_path: Path) -> None:
    files = {f"top/{number}.wav": os.urandom(1000) for number in range(3000)}
    code = "import sys; from pathlib import Path; from dfad.extract import extract; extract(*map(Path, sys.argv[1:]))"
    home = tmp_path / "home"
    process = subprocess.Popen([sys.executable, "-c", code, pack(files), home], cwd=ROOT, env=environment())
    while not list(home.glob(".archive.tar.gz.partial/top/9*.wav")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (home / "top").exists()
    extract(tmp_path / "archive.tar.gz", home)
    assert tree(home) == files
