"""A server on a socket, until a signal ends it: what is at work is answered first."""

from __future__ import annotations

import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from dfad.errors import ConfigError
from dfad.serve.service import Service

GRACE_S = 10  # for what is at work when a signal comes


class _Server(uvicorn.Server):
    """Gives up uploads under way as soon as it is told to end."""

    service: Service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.service.uploads.give_up()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free.

    Raises:
        ConfigError: if that cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0].lower()
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}; --port 0 takes any that is free") from None


def serve(app: ASGIApp, service: Service, listening: socket.socket) -> None:
    """Serve until a signal comes, which is raised again once all is answered."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    server.service = service
    server.run(sockets=[listening])
