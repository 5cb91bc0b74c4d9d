"""`dfad serve` over HTTP, with a server in a process of its own."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest
import torch

import dfad
from dfad.commands.score_rows import COLUMNS
from dfad.commands.serve import DEMO, caveats
from dfad.corpora.demo import NOTE
from dfad.scorer import Scorer
from dfad.serve.models import ScoreModel
from dfad.serve.page import FILES, read
from dfad.serve.refusals import MEANINGS
from tests.hostile import SECRET, SENT, encoded, speech
from tests.serving import Answer, Server, answer, serving
from tests.test_hostile import address, holds, other, server  # noqa: F401  (fixtures)
from tests.test_scorer import content, noise

LIMITS = ("--queue", "2", "--max-mb", "4", "--max-seconds", "60", "--decoders", "1")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    torch.save(content(), path)
    return path


@pytest.fixture(scope="module")
def scorer(checkpoint: Path) -> Scorer:
    return dfad.load(checkpoint)


@pytest.fixture(scope="module")
def served(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests, which leaves nothing behind and ends with the code of the signal."""
    home = tmp_path_factory.mktemp("server")
    with serving(checkpoint, *LIMITS, cwd=home) as one:
        yield one
        assert one.end(signal.SIGINT) == 130
    assert list(home.iterdir()) == []


def healthy(served: Server) -> bool:
    state = served.ask("/health").json
    return state["ready"] and state["at_work"] == 0


def refused(found: Answer, status: int, reason: str) -> bool:
    return (
        found.status == status
        and found.json.keys() == {"error", "reason"}
        and bool(re.search(reason, found.body.decode()))
    )


@pytest.mark.parametrize("kind", SENT)
def test_whatever_is_sent_gets_a_score_or_one_reason(
    kind: str,
    served: Server,
    other: Path,  # noqa: F811
    server: socket.socket,  # noqa: F811
) -> None:
    found = served.ask("/score", SENT[kind].make(other, address(server)))
    said = found.json
    reason = None if found.status == 200 else said["reason"]
    assert holds(reason, SENT[kind].reason), reason
    if reason is None:
        assert 0 <= said["p_spoof"] <= 1
    else:
        assert found.status in (400, 413)
        assert "\n" not in reason
        assert not re.search(r"/proc|/tmp|/dev|Traceback|Error", found.body.decode())
    assert SECRET.encode() not in found.body
    assert healthy(served)


def test_it_says_what_the_scorer_says(served: Server, scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    path.write_bytes(encoded(noise(40_000, channels=2), 22_050, format="FLAC"))
    said, expected = served.ask("/score", path.read_bytes()).json, scorer(path)
    assert said.keys() == {*COLUMNS, "windows"} - {"path", "error"} == set(ScoreModel.model_fields)
    assert said["score"] == pytest.approx(expected.score, abs=1e-5)
    assert said["verdict"] == expected.verdict
    assert said["warnings"] == list(expected.warnings)
    assert said["duration_s"] == expected.duration_s
    assert [one["start_s"] for one in said["windows"]] == [one.start_s for one in expected.windows]


def test_each_client_gets_its_own_answer(checkpoint: Path, scorer: Scorer, tmp_path: Path) -> None:
    clips = [encoded(noise(9000 + 5000 * number, seed=number)) for number in range(8)]
    right = []
    for number, clip in enumerate(clips):
        (tmp_path / f"{number}.wav").write_bytes(clip)
        right.append(scorer(tmp_path / f"{number}.wav").score)
    home = tmp_path / "home"
    home.mkdir()
    with serving(checkpoint, "--decoders", "1", cwd=home) as many, ThreadPoolExecutor(8) as clients:
        found = list(clients.map(lambda number: many.ask("/score", clips[number % 8]).json["score"], range(32)))
        assert found == pytest.approx(right * 4, abs=1e-5)
        half = begun(many, clips[0])
        assert many.ask("/health").status == 200
        many.process.send_signal(signal.SIGTERM)
        assert refused(answer(half), 503, "shutting down")
        assert many.process.wait(60) == 143


def begun(served: Server, clip: bytes) -> http.client.HTTPConnection:
    """An upload of which half has come."""
    before = served.ask("/health").json["at_work"]
    connection = served.connection()
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Length", str(len(clip)))
    connection.endheaders(clip[: len(clip) // 2])
    while served.ask("/health").json["at_work"] == before:
        sleep(0.01)
    return connection


def test_at_overload_it_refuses_and_recovers(served: Server) -> None:
    clip = encoded(speech())
    halves = [begun(served, clip) for _ in range(2)]
    found = served.ask("/score", clip)
    assert refused(found, 429, "2 requests are at work")
    assert int(found.headers["retry-after"]) > 0
    assert served.ask("/explain", clip).status == 429
    for half in halves:
        half.send(clip[len(clip) // 2 :])
    assert [answer(half).status for half in halves] == [200, 200]
    assert served.ask("/score", clip).status == 200
    begun(served, clip).close()  # a client that goes away gives its place back
    for _ in range(500):
        if healthy(served):
            break
        sleep(0.01)
    assert healthy(served)


def test_too_large(served: Server) -> None:
    large = bytes(5 * 2**20)
    assert refused(served.ask("/score", large), 413, "larger than 4 MiB")
    connection = served.connection()
    connection.request("POST", "/score", iter([large]), encode_chunked=True)
    assert refused(answer(connection), 413, "larger than 4 MiB")
    assert refused(served.ask("/score", encoded(speech(61), format="FLAC")), 413, "61 s long, at most 60 s")
    assert refused(served.ask("/score", b""), 400, "the file is empty")
    assert healthy(served)


def test_an_explanation(served: Server) -> None:
    clip = encoded(speech())
    said = served.ask("/explain", clip).json
    assert {one["name"] for one in said["maps"]} >= {"gradcam", "occlusion-time"}
    for one in said["maps"]:
        assert (len(one["values"]), len(one["values"][0])) == (len(one["hertz"]) - 1, len(one["seconds"]) - 1)
    assert said["result"]["score"] == pytest.approx(served.ask("/score", clip).json["score"], abs=1e-5)
    assert served.ask("/explain?at_s=0.25", clip).json["explained"]["start_s"] == 0.25
    assert refused(served.ask("/explain?at_s=99", clip), 422, "nothing to explain at 99 s")
    assert refused(served.ask("/explain?at_s=x", clip), 422, "at_s: .*number")
    assert refused(served.ask("/explain", b"hello"), 400, "no audio")


HOSTS = ("localhost", "LOCALHOST:80", "127.0.0.1", "192.168.1.5:8000", "[::1]:9")
NO_HOSTS = (
    "example.org",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "",
    "a@localhost",
    "localhost/",
    "[::1",
    "1",
)


@pytest.mark.parametrize("host", HOSTS)
def test_names_that_it_has(host: str, served: Server) -> None:
    assert served.ask("/health", Host=host).status == 200


@pytest.mark.parametrize("host", NO_HOSTS)
def test_names_that_others_have(host: str, served: Server) -> None:
    assert served.ask("/health", Host=host).status == 421
    assert refused(served.ask("/score", encoded(speech()), Host=host), 421, "Host header")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:3000"},
    ],
)
def test_pages_of_other_sites_may_not_send(headers: dict[str, str], served: Server) -> None:
    assert refused(served.ask("/score", encoded(speech()), **headers), 403, "another site")
    assert served.ask("/score", encoded(speech()), Origin=served.url, Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize("path", [*FILES, "/openapi.json", "/health", "/about", "/missing", "/score"])
def test_headers_of_every_answer(path: str, served: Server) -> None:
    found = served.ask(path)
    assert found.status == {"/missing": 404, "/score": 405}.get(path, 200)
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"unsafe|https?:|\*|data:", policy)
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["referrer-policy"] == "no-referrer"
    assert found.headers["cross-origin-opener-policy"] == "same-origin"
    assert found.headers["cache-control"] == "no-store"
    assert "server" not in found.headers
    assert "access-control-allow-origin" not in found.headers


def test_pages_name_nothing_elsewhere() -> None:
    for name, _ in FILES.values():
        text = read(name).decode().replace("http://www.w3.org/2000/svg", "")
        assert "//cdn" not in text
        assert not re.search(r"https?://", text), name


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "//etc/passwd", "/static/", "/docs/", "/redoc"]
)
def test_there_are_no_other_files(path: str, served: Server) -> None:
    assert refused(served.ask(path), 404, "not found")


def test_what_the_api_says_of_itself(served: Server) -> None:
    paths = served.ask("/openapi.json").json["paths"]
    for path in ("/score", "/explain"):
        said = paths[path]["post"]
        assert {"200", *map(str, MEANINGS)} <= said["responses"].keys()
        assert "application/octet-stream" in said["requestBody"]["content"]
    about = served.ask("/about").json
    assert about["max_mb"] == 4
    assert about["caveats"]


def test_caveats(scorer: Scorer, checkpoint: Path, tmp_path: Path) -> None:
    assert DEMO not in caveats(checkpoint, scorer)
    assert any("not calibrated" in one for one in caveats(checkpoint, scorer))
    values = {"test/miss_at_val": 0.125, "test/false_alarm_at_val": 0.25}
    (tmp_path / "metrics.json").write_text(json.dumps({"notes": [NOTE], "values": values}))
    found = caveats(tmp_path, scorer)
    assert found[0] == DEMO
    assert "12.5%" in found[-1]


Called = Callable[..., tuple[int, str, str]]


def test_options_that_cannot_be(command: Called, checkpoint: Path) -> None:
    assert "no finished run" in command("serve")[2]
    assert command("serve", checkpoint, "--prior", "1")[0] == 2
    assert command("serve", checkpoint, "--max-mb", "-1")[0] == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = command("serve", checkpoint, "--port", taken.getsockname()[1])
    assert (code, "in use; --port 0" in err) == (2, True)
    assert "cannot listen on nowhere.invalid" in command("serve", checkpoint, "--host", "nowhere.invalid")[2]
