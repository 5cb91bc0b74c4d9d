"""Downloads against a real server that does all that servers do: every file arrives whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dfad.download import check, fetch
from dfad.errors import DataError
from tests.conftest import ROOT, environment
from tests.servers import Served, serving

CONTENT = os.urandom(1 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WAITS = (0.0, 0.0, 0.0)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("no_proxy", "*")
    with serving(Served(CONTENT)) as behaviour:
        yield behaviour


Get = Callable[..., Path]


@pytest.fixture
def get(served: Served, tmp_path: Path) -> Get:
    def call(**options: Any) -> Path:
        given = {"size": len(CONTENT), "sha256": SHA256, "waits": WAITS, "offline": "or bring it yourself", **options}
        return fetch(served.url, tmp_path / "deep" / "file.bin", **given)

    return call


def complaint(get: Get, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        get(**options)
    return str(error.value)


def leftovers(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "deep").iterdir() if not path.name.endswith(".lock")}


def test_a_file_arrives_with_progress_and_is_not_fetched_twice(served: Served, get: Get, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = get(progress=lambda done, of: told.append((done, of)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert leftovers(tmp_path) == {"file.bin"}
    get()
    assert len(served.asked) == 1


@pytest.mark.parametrize("known", [{}, {"size": None}, {"size": None, "sha256": None}, {"sha256": SHA256[:8].upper()}])
def test_what_is_known_beforehand_may_be_little(get: Get, known: dict[str, Any]) -> None:
    assert get(**known).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_dropped_connection_goes_on_where_it_was(served: Served, get: Get, size: int | None) -> None:
    served.drop_after, said = 150_000, list[str]()
    assert get(size=size, say=said.append, waits=(0.0,)).read_bytes() == CONTENT  # seven drops, each with news
    starts = [int(asked.get("Range", "bytes=0-")[6:-1]) for asked in served.asked]
    assert starts == [150_000 * number for number in range(7)]
    assert all(asked["If-Range"] == '"one"' for asked in served.asked[1:])
    assert len(said) == 6
    assert "150 kB are here, trying again" in said[0]


def test_a_server_without_ranges_begins_anew(served: Served, get: Get) -> None:
    served.ranges, served.drop_after, served.drops, said = False, 500_000, 2, list[str]()
    assert get(say=said.append).read_bytes() == CONTENT
    assert any("begins anew" in line for line in said)


def test_a_server_without_ranges_that_always_drops_is_given_up(served: Served, get: Get) -> None:
    served.ranges, served.drop_after = False, 500_000
    text = complaint(get)
    assert "closed the connection, again and again" in text
    assert text.endswith("or bring it yourself")
    assert len(served.asked) == 1 + len(WAITS)


def test_a_length_that_is_too_short_is_gone_beyond(served: Served, get: Get) -> None:
    served.length = 300_000
    assert get().read_bytes() == CONTENT
    assert served.asked[1]["Range"] == "bytes=300000-"


def test_a_length_that_is_never_kept_is_given_up(served: Served, get: Get, tmp_path: Path) -> None:
    served.length, served.content, served.etag = len(CONTENT), CONTENT[:400_000], ""
    assert "the file there has 400,000 bytes, expected 1,048,576" in complaint(get)
    assert not (tmp_path / "deep" / "file.bin").exists()


@pytest.mark.parametrize("size", [len(CONTENT) - 5, 10])
def test_a_file_that_is_too_long_is_refused_at_once(served: Served, get: Get, tmp_path: Path, size: int) -> None:
    assert f"expected {size:,}: it is another one" in complaint(get, size=size)
    assert len(served.asked) == 1
    assert leftovers(tmp_path) == set()


def test_a_wrong_checksum_is_told_and_thrown_away(get: Get, tmp_path: Path) -> None:
    text = complaint(get, sha256="0" * 64)
    assert f"sha256 {SHA256}, expected {'0' * 64}" in text
    assert "deleted, so try once more" in text
    assert leftovers(tmp_path) == set()


def test_a_file_that_changes_between_tries_is_never_mixed(served: Served, get: Get, tmp_path: Path) -> None:
    served.drop_after, served.drops = 400_000, 1
    assert "kept, and the same command goes on" in complaint(get, waits=())
    assert leftovers(tmp_path) == {"file.bin.part", "file.bin.part.tag"}
    served.content, served.etag = CONTENT[::-1], '"two"'
    assert get(sha256=None).read_bytes() == CONTENT[::-1]


def test_a_changed_file_is_noticed_though_the_server_ignores_the_question(served: Served, get: Get) -> None:
    served.drop_after, served.drops = 400_000, 1
    complaint(get, waits=())
    served.content, served.etag = CONTENT[::-1], '"two"'
    answer = served.answer
    served.answer = lambda handler: (handler.headers.__delitem__("If-Range"), answer(handler))[1]  # type: ignore[method-assign]
    assert get(sha256=None).read_bytes() == CONTENT[::-1]


def test_a_part_that_is_the_whole_is_enough(served: Served, get: Get, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin.part").write_bytes(CONTENT)
    assert get(size=None).read_bytes() == CONTENT  # asks, and is told that there is no more
    assert served.asked[0]["Range"] == f"bytes={len(CONTENT)}-"


def test_a_part_that_is_too_long_is_thrown_away(get: Get, tmp_path: Path) -> None:
    for size in (len(CONTENT), None):
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / "file.bin.part").write_bytes(CONTENT + b"more")
        assert get(size=size).read_bytes() == CONTENT
        (tmp_path / "deep" / "file.bin").unlink()


def test_a_killed_download_is_continued(served: Served, get: Get, tmp_path: Path) -> None:
    served.pause_s = 0.05
    code = (
        "import sys; from pathlib import Path; from dfad.download import fetch; fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    target = tmp_path / "deep" / "file.bin"
    process = subprocess.Popen([sys.executable, "-c", code, served.url, str(target)], cwd=ROOT, env=environment())
    part = target.with_name("file.bin.part")
    while not part.is_file() or part.stat().st_size == 0:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have, served.pause_s = part.stat().st_size, 0.0
    assert 0 < have < len(CONTENT)
    assert get().read_bytes() == CONTENT
    assert served.asked[-1]["Range"] == f"bytes={have}-"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_clear_no_is_not_asked_again(served: Served, get: Get, status: int) -> None:
    served.status = [status] * 9
    text = complaint(get)
    assert f"cannot download {served.url} (1.05 MB): the server answers {status}" in text
    assert len(served.asked) == 1


def test_a_busy_server_is_asked_again(served: Served, get: Get) -> None:
    served.status = [503, 429, 500]
    assert get().read_bytes() == CONTENT
    served.status = [503] * 9


def test_waits_grow_and_end(served: Served, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("dfad.download.time.sleep", slept.append)
    served.status = [503] * 9
    assert "503" in complaint(get, waits=(1, 2, 5))
    assert slept == [1, 2, 5]


def test_a_redirection_is_followed(served: Served, get: Get) -> None:
    served.redirect, served.drop_after = [served.url + "?elsewhere"] * 3, 900_000
    assert get().read_bytes() == CONTENT
    assert served.asked[-1]["Range"] == "bytes=900000-"


def test_a_redirection_that_leads_nowhere_is_told(served: Served, get: Get) -> None:
    served.redirect = [served.url] * 99
    assert "the server answers 302" in complaint(get)
    served.redirect = ["file:///etc/passwd"]
    assert "'file:///etc/passwd' is not allowed" in complaint(get)


def test_no_connection_is_told_at_once(served: Served, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(DataError, match=r"no connection: Connection refused") as error:
            fetch(url, tmp_path / "x", size=1_560_000_000, offline="fetch it elsewhere and give it as …")
    assert f"{url} (1.56 GB)" in str(error.value)
    assert str(error.value).endswith("fetch it elsewhere and give it as …")
    with pytest.raises(DataError, match="no network, or no such server"):
        fetch("http://nowhere.invalid/x", tmp_path / "x")


def test_a_full_disk_is_told_before(served: Served, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfad.download.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    assert "needs 1.05 MB in" in complaint(get)
    assert not served.asked
    assert "1 kB are free there" in complaint(get, size=None)  # told by the server


def test_a_place_that_cannot_be_written_is_told(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write to"):
        fetch(served.url, tmp_path / "file" / "x")


def test_a_file_that_was_brought_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    check(path, size=len(CONTENT), sha256=SHA256)
    with pytest.raises(DataError, match="bytes, expected 7"):
        check(path, size=7)
    with pytest.raises(DataError, match="expected abc: damaged or another file"):
        check(path, sha256="abc")
    with pytest.raises(DataError, match="no file at"):
        check(tmp_path / "y")
