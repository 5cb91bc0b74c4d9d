"""Corpora and packs for tests, and servers that give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import soundfile

from dfad.clips import Manifest
from dfad.corpora import CORPORA
from dfad.packs import Pack
from tests.servers import listening

KINDS = {  # suffix → how such a clip is written: rate, channels, format, subtype
    "plain.wav": (16000, 1, "WAV", "PCM_16"),
    "stereo.wav": (16000, 2, "WAV", "PCM_16"),
    "slow.wav": (8000, 1, "WAV", "PCM_16"),
    "deep.wav": (16000, 1, "WAV", "PCM_24"),
    "float.wav": (16000, 1, "WAV", "FLOAT"),
    "a.flac": (16000, 1, "FLAC", "PCM_16"),
    "b.flac": (44100, 2, "FLAC", "PCM_24"),
    "c.mp3": (16000, 1, "MP3", "MPEG_LAYER_III"),
    "d.ogg": (22050, 1, "OGG", "VORBIS"),
    "e.ogg": (48000, 1, "OGG", "OPUS"),
    "f.aiff": (16000, 1, "AIFF", "PCM_16"),
}


def all_kinds(root: Path) -> Path:
    """A corpus with clips of all kinds, each twice in every split, and one outside its folder; its manifest."""
    random = np.random.default_rng(0)
    lines = ["path,label,split,attack,page"]
    for split in ("train", "val", "test"):
        for label in ("bona-fide", "spoof"):
            for name, (rate, channels, format_, subtype) in KINDS.items():
                wave = 0.2 * random.normal(size=(round(random.uniform(0.4, 0.9) * rate), channels))
                path = f"{split}/{label}/{name}"
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(root / path, np.clip(wave, -1, 1), rate, format=format_, subtype=subtype)
                lines.append(f"{path},{label},{split},x,p1")
    soundfile.write(root.parent / "outside.wav", 0.1 * random.normal(size=9000), 16000)
    lines.append("../outside.wav,spoof,test,x,p2")
    (root / "clips.csv").write_text("\n".join(lines) + "\n")
    return root / "clips.csv"


def packed(address: object, **options: Any) -> tuple[Manifest, Pack]:
    """What `data=packed` reads."""
    manifest = CORPORA["packed"].read({"name": "packed", "path": str(address), **options}).manifest()
    assert isinstance(manifest.root, Pack)
    return manifest, manifest.root


@dataclass
class Shelf:
    """A server of the files of a folder, and for object stores one that takes files too.

    Attributes:
        drop_after: bytes of a body after which the connection is cut.
        drops: how often.
        fails: requests that are answered by an error, per name of a file.
        length: what a header says instead of the length of a body.
        asked: names that were asked for, with the ranges.
    """

    folder: Path
    drop_after: int | None = None
    drops: int = 0
    fails: dict[str, int] = field(default_factory=dict)
    length: str | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def path(self, handler: BaseHTTPRequestHandler) -> Path:
        return self.folder / unquote(urlsplit(handler.path).path).lstrip("/")

    def give(self, handler: BaseHTTPRequestHandler) -> None:
        path = self.path(handler)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        self.asked.append((handler.command, path.name, handler.headers.get("Range", "")))
        if self.fails.get(path.name, 0):
            self.fails[path.name] -= 1
            handler.send_error(503)
            return
        if not path.is_file():
            handler.send_error(404)
            return
        data = path.read_bytes()
        first, last = (int(span[1]), int(span[2] or len(data) - 1)) if span else (0, len(data) - 1)
        body = data[first : last + 1]
        handler.send_response(206 if span else 200)
        if span:
            handler.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(data)}")
        handler.send_header("Content-Length", self.length or str(len(body)))
        handler.send_header("ETag", f'"{len(data)}"')
        handler.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if self.drops and self.drop_after is not None and path.suffix == ".tar":
            self.drops -= 1
            body = body[: self.drop_after]
        handler.wfile.write(body)

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        path = self.path(handler)
        self.asked.append((handler.command, path.name, ""))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.answer(handler, 200)

    def delete(self, handler: BaseHTTPRequestHandler) -> None:
        """Delete the keys that a request lists, as S3 does it."""
        keys = re.findall(rb"<Key>(.*?)</Key>", handler.rfile.read(int(handler.headers["Content-Length"])))
        for key in keys:
            (self.path(handler) / key.decode()).unlink(missing_ok=True)
        gone = b"".join(b"<Deleted><Key>%b</Key></Deleted>" % key for key in keys)
        self.answer(handler, 200, b"<DeleteResult>%b</DeleteResult>" % gone)

    def answer(self, handler: BaseHTTPRequestHandler, status: int, body: bytes = b"") -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", '"x"')
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def shelf(folder: Path, **options: Any) -> Iterator[Shelf]:
    """Run such a server."""
    behaviour = Shelf(folder, **options)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.give(self)

        def do_HEAD(self) -> None:
            behaviour.give(self)

        def do_PUT(self) -> None:
            behaviour.take(self)

        def do_POST(self) -> None:
            behaviour.delete(self)

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as port:
        behaviour.port = port
        yield behaviour
