"""What stands before every request: the name it calls us by, the page that sent it, what a browser may do after it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dfad.serve.refusals import problem

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests under a foreign name (DNS rebinding) and those that another site's page sends.

    Args:
        app: that serves the others.
        names: by which the server may be called, beside `localhost` and addresses.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self.app, self.names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of ASGI."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        if not self._ours(headers.get("host", "")):
            names = ", ".join(sorted({"localhost", *self.names}))
            await _refuse(guarded, 421, f"the Host header must name {names} or an address; --allow-host adds a name")
        elif scope["method"] not in ("GET", "HEAD") and not _same_site(headers):
            await _refuse(guarded, 403, "a page of another site sent this")
        else:
            await self.app(scope, receive, guarded)

    def _ours(self, host: str) -> bool:
        name = name_of(host)
        return name == "localhost" or name in self.names or _is_address(name)


def name_of(host: str) -> str:
    """The name or address in a Host header, without its port; empty if it has none.

    >>> name_of("LocalHost:8000"), name_of("[::1]:80"), name_of("a@b"), name_of("a/b"), name_of("a:x")
    ('localhost', '::1', '', '', '')
    """
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return parts.hostname or "" if parts.netloc == host and "@" not in host else ""


def _is_address(name: str) -> bool:
    """Whether it is an IP address: no foreign name can be made to lead to one."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_site(headers: Headers) -> bool:
    """Whether no browser says that another site's page sent it; what is no browser says nothing."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers["host"].lower()


async def _refuse(send: Send, status: int, reason: str) -> None:
    data = json.dumps(problem(status, reason)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": data})
