"""A web server on this machine that does all that web servers do to a download."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """How a server behaves, and what it was asked."""

    content: bytes
    etag: str = '"one"'
    ranges: bool = True
    drop_after: int | None = None  # bytes of a body
    drops: int = 1_000  # so many times
    length: int | None = None  # that it says a body has
    status: list[int] = field(default_factory=list)  # answered before anything else
    redirect: list[str] = field(default_factory=list)  # answered before the file
    pause_s: float = 0.0
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(dict(handler.headers))
        if self.status:
            handler.send_error(self.status.pop(0))
            return
        if self.redirect:
            handler.send_response(302)
            handler.send_header("Location", self.redirect.pop(0))
            handler.end_headers()
            return
        start = 0
        span = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if span and self.ranges and handler.headers.get("If-Range", self.etag) == self.etag:
            start = int(span[1])
        if start >= len(self.content) > 0:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        length = len(body) if self.length is None or start else self.length
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        if self.drop_after is not None and self.drops > 0:
            self.drops -= 1
            body = body[: self.drop_after]
        for place in range(0, len(body), 1 << 16):
            handler.wfile.write(body[place : place + (1 << 16)])
            time.sleep(self.pause_s)


@contextmanager
def serving(behaviour: Served, context: ssl.SSLContext | None = None) -> Iterator[Served]:
    """Run the server, over TLS if a context is given; its address stands in `url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler, context) as port:
        behaviour.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/file.bin"
        yield behaviour


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer requests in threads, over TLS if a context is given; gives the port."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that went away

    server = Server(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
